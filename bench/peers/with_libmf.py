"""LIBMF as the PyPI package `libmf` builds it: without vector instructions of its own."""

from __future__ import annotations

import numpy as np
from contract import Answer, Part

PACKAGES = ("libmf",)
MEASURE = "rmse"
CONTENDERS = {
    "libmf": {
        "18m": {"k": 64, "lambda_p2": 0.05, "lambda_q2": 0.05, "eta": 0.1, "nr_iters": [11]},
        "ml-1m": {"k": 256, "lambda_p2": 0.05, "lambda_q2": 0.05, "eta": 0.05, "nr_iters": [14, 18]},
        "ml-100k": {"k": 128, "lambda_p2": 0.07, "lambda_q2": 0.07, "eta": 0.05, "nr_iters": [10, 15, 20]},
    }
}


def fit(train: Part, settings: dict, threads: int) -> Answer:
    from libmf import mf

    options = {"lambda_p1": 0.0, "lambda_q1": 0.0, "nr_threads": threads, "quiet": True, **settings}
    model = mf.MF(**options)
    model.fit(np.column_stack(train))  # it takes rows of float32, so ids up to 2^24

    user_factors, item_factors = model.p_factors(), model.q_factors()

    def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:  # the package's own gives other numbers
        return np.einsum("nk,nk->n", user_factors[users], item_factors[items])

    return Answer(predict=predict)
