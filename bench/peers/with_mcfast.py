"""mcfast, through its Python face: from raw arrays to a model, everything included."""

from __future__ import annotations

from contract import Answer, Part

import mcfast

PACKAGES: tuple[str, ...] = ()  # the driver's own environment has it
MEASURE = "rmse"
CONTENDERS = {
    "mcfast": {
        "18m": {"factors": 64, "regularization": 0.025, "learning_rate": 0.17, "epochs": [2, 3, 4]},
        "ml-1m": {"factors": 512, "regularization": 0.0253, "learning_rate": 0.0643, "epochs": [3, 5, 8]},
        "ml-100k": {"factors": 256, "regularization": 0.037, "learning_rate": 0.108, "epochs": [2, 4, 6]},
    },
    "mcfast without biases": {
        "18m": {"factors": 64, "regularization": 0.022, "learning_rate": 0.2, "epochs": [4, 5, 6], "biases": False},
        "ml-1m": {"factors": 128, "regularization": 0.05, "learning_rate": 0.1, "epochs": [10, 20], "biases": False},
        "ml-100k": {"factors": 64, "regularization": 0.08, "learning_rate": 0.1, "epochs": [10, 20], "biases": False},
    },
}


def fit(train: Part, settings: dict, threads: int) -> Answer:
    model = mcfast.fit(tuple(train), **settings, threads=threads, progress=False)
    return Answer(
        predict=lambda users, items: model.predict(users, items, unknown="mean"),
        epochs=[record["seconds"] for record in model.history],
    )
