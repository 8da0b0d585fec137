"""Ranking losses of mcfast (scores of 4 and more are positives)."""

from __future__ import annotations

import numpy as np
from contract import POSITIVE, Answer, Part

import mcfast

PACKAGES: tuple[str, ...] = ()  # the driver's own environment has it
MEASURE = "recall@20"
CONTENDERS: dict[str, dict] = {}  # only in bench/peers/ranking.py
COMMON = {
    "similarity": ["cosine"],
    "factors": [64],
    "epochs": [50],
    "n_negatives": [256],
    "mask_known": [True],
    "learning_rate": [0.15],
}
GRIDS = {
    "mcfast softmax": {"loss": ["softmax"], **COMMON, "temperature": [0.08, 0.1]},
    "mcfast bsl": {"loss": ["bsl"], **COMMON, "temperature": [0.08], "negative_weight": [1.0, 1.22]},
}


def fit(train: Part, settings: dict, threads: int) -> Answer:
    model = mcfast.fit(tuple(train), positive=POSITIVE, exposed="ignore", threads=threads, **settings)

    def recommend(users: np.ndarray, k: int) -> np.ndarray:
        return model.recommend(users, k, unknown="mean").ids

    return Answer(recommend=recommend)
