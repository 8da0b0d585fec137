"""cmfrec: collective matrix factorization by alternating least squares with conjugate gradients."""

from __future__ import annotations

import numpy as np
from contract import Answer, Part

PACKAGES = ("cmfrec", "threadpoolctl")
MEASURE = "rmse"
CONTENDERS = {
    "cmfrec": {
        "18m": {"k": 64, "lambda_": 0.1, "scale_lam": True, "niter": [4]},
        "ml-1m": {"k": 40, "lambda_": 0.06, "scale_lam": True, "add_implicit_features": True, "niter": [5, 10, 15]},
        "ml-100k": {"k": 40, "lambda_": 0.1, "scale_lam": True, "add_implicit_features": True, "niter": [5, 10, 15]},
    }
}


def fit(train: Part, settings: dict, threads: int) -> Answer:
    from cmfrec import CMF
    from scipy.sparse import coo_array

    shape = int(train.users.max()) + 1, int(train.items.max()) + 1
    matrix = coo_array((train.scores, (train.users, train.items)), shape)
    model = CMF(method="als", precompute_for_predictions=False, nthreads=threads, verbose=False, **settings)
    model.fit(matrix)

    def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return model.predict(users.astype(np.int32), items.astype(np.int32))

    return Answer(predict=predict)
