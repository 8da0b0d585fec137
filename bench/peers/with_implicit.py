"""implicit: weighted alternating least squares and BPR on the positive feedback (scores of 4 and more), for ranking."""

from __future__ import annotations

import numpy as np
from contract import POSITIVE, Answer, Part

PACKAGES = ("implicit",)
MEASURE = "recall@20"
CONTENDERS = {
    "implicit ALS": {
        "18m": {"factors": 64, "regularization": 10.0, "alpha": 20.0, "iterations": [3]},
        "ml-1m": {"factors": 64, "regularization": 30.0, "alpha": 5.0, "iterations": [5, 15]},
        "ml-100k": {"factors": 64, "regularization": 30.0, "alpha": 5.0, "iterations": [5, 15]},
    }
}
GRIDS = {
    "implicit ALS": {
        "factors": [64],
        "regularization": [1.0, 10.0],
        "alpha": [20.0, 80.0, 320.0],
        "iterations": [15],
    },
    "implicit BPR": {
        "bpr": [True],
        "factors": [64],
        "learning_rate": [0.05, 0.1],
        "regularization": [0.001],
        "iterations": [100, 200],
    },
}


def fit(train: Part, settings: dict, threads: int) -> Answer:
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking
    from scipy.sparse import csr_matrix

    shape = int(train.users.max()) + 1, int(train.items.max()) + 1
    liked = train.scores >= POSITIVE
    matrix = csr_matrix((np.ones(liked.sum(), np.float32), (train.users[liked], train.items[liked])), shape)
    options = dict(settings)
    kind = BayesianPersonalizedRanking if options.pop("bpr", False) else AlternatingLeastSquares
    model = kind(num_threads=threads, random_state=0, **options)
    model.fit(matrix, show_progress=False)
    seen = csr_matrix((np.ones(len(train.users), np.float32), (train.users, train.items)), shape)

    def recommend(users: np.ndarray, k: int) -> np.ndarray:
        return model.recommend(users, seen[users], N=k, filter_already_liked_items=True)[0]

    return Answer(recommend=recommend)
