"""LightFM (the fork lightfm-next): WARP on the positive feedback (scores of 4 and more), for ranking."""

from __future__ import annotations

import numpy as np
from contract import POSITIVE, Answer, Part

PACKAGES = ("lightfm-next",)
MEASURE = "recall@20"
CONTENDERS = {
    "LightFM WARP": {
        "18m": {"no_components": 64, "learning_rate": 0.05, "epochs": [1]},
        "ml-1m": {"no_components": 64, "learning_rate": 0.03, "epochs": [10, 20]},
        "ml-100k": {"no_components": 64, "learning_rate": 0.03, "epochs": [20, 40]},
    }
}
GRIDS = {
    "LightFM WARP": {
        "no_components": [64],
        "learning_rate": [0.05],
        "max_sampled": [10, 100],
        "epochs": [20],
    }
}


def fit(train: Part, settings: dict, threads: int) -> Answer:
    from lightfm import LightFM
    from scipy.sparse import coo_matrix

    shape = int(train.users.max()) + 1, int(train.items.max()) + 1
    liked = train.scores >= POSITIVE
    ones = np.ones(liked.sum(), np.float32)
    matrix = coo_matrix((ones, (train.users[liked], train.items[liked])), shape)
    options = dict(settings)
    epochs = options.pop("epochs")
    model = LightFM(loss="warp", random_state=0, **options)
    model.fit(matrix, epochs=epochs, num_threads=threads)

    def recommend(users: np.ndarray, k: int) -> np.ndarray:
        item_biases, items = model.get_item_representations()
        scores = model.get_user_representations()[1][users] @ items.T + item_biases
        place = np.full(shape[0], -1)
        place[users] = np.arange(len(users))
        known = place[train.users] >= 0
        scores[place[train.users[known]], train.items[known]] = -np.inf
        best = np.argpartition(-scores, k, axis=1)[:, :k]
        return np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)

    return Answer(recommend=recommend)
