"""Surprise: SVD, biased matrix factorization by stochastic gradient descent, one thread."""

from __future__ import annotations

import numpy as np
from contract import Answer, Part

PACKAGES = ("scikit-surprise",)
MEASURE = "rmse"
CONTENDERS = {
    "Surprise SVD": {
        "18m": {"n_factors": 64, "reg_all": 0.05, "lr_all": 0.01, "n_epochs": [3]},
        "ml-1m": {"n_factors": 64, "reg_all": 0.05, "lr_all": 0.01, "n_epochs": [20, 40]},
        "ml-100k": {"n_factors": 128, "reg_all": 0.1, "lr_all": 0.02, "n_epochs": [10, 20, 40]},
    }
}


def fit(train: Part, settings: dict, threads: int) -> Answer:
    from surprise import SVD, Dataset, Reader

    reader = Reader(rating_scale=(float(train.scores.min()), float(train.scores.max())))
    columns = train.users.tolist(), train.items.tolist(), train.scores.tolist(), [None] * len(train.users)
    trainset = Dataset(reader).construct_trainset(list(zip(*columns, strict=True)))
    model = SVD(random_state=0, **settings)
    model.fit(trainset)

    def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.array([model.predict(u, i).est for u, i in zip(users.tolist(), items.tolist(), strict=True)])

    return Answer(predict=predict)
