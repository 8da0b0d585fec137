"""The baselines of mcfast, for ranking (scores of 4 and more count as liked)."""

from __future__ import annotations

import numpy as np
from contract import POSITIVE, Answer, Part

import mcfast

PACKAGES: tuple[str, ...] = ()  # the driver's own environment has it
MEASURE = "recall@20"
CONTENDERS: dict[str, dict] = {}  # only in bench/peers/ranking.py
GRIDS = {
    "most popular": {"baseline": ["popularity"]},
    "item-kNN": {
        "baseline": ["item_knn"],
        "neighbours": [200, 800],
        "shrinkage": [10.0, 30.0],
        "weighting": ["idf"],
    },
    "EASE": {"baseline": ["ease"], "regularization": [200.0, 600.0]},
}


def fit(train: Part, settings: dict, threads: int) -> Answer:
    options = dict(settings)
    make = getattr(mcfast, options.pop("baseline"))
    liked = train.scores >= POSITIVE
    model = make(tuple(column[liked] for column in train), threads=threads, **options)

    def recommend(users: np.ndarray, k: int) -> np.ndarray:
        return model.recommend(users, k, unknown="mean").ids

    return Answer(recommend=recommend)
