"""Validation RMSE over regularization and learning rate: what the defaults of `fit` were chosen by.

``python bench/defaults.py`` prints a table for MovieLens-100K and, where ``MCFAST_DATA`` has it, the training part of
MovieLens-1M. A tenth of the data is the validation part; no test part is looked at.
"""

from __future__ import annotations

import itertools

import mcfast
from quality import data_folder, movielens_1m

EPOCHS = 20


def main() -> None:
    """Print the table: best RMSE, and its epoch."""
    data = {"MovieLens-100K": mcfast.datasets.movielens_100k().triples}
    if (folder := data_folder()).is_dir():
        data["MovieLens-1M"] = movielens_1m(folder / "moviedata.mat")[0]
    print(f"| factors | regularization | learning_rate | {' | '.join(data)} |\n|---|---|---|{'---|' * len(data)}")
    for factors, regularization, rate in itertools.product((64, 128), (0.03, 0.05, 0.08, 0.1), (0.05, 0.1, 0.2)):
        settings = {"factors": factors, "regularization": regularization, "learning_rate": rate}
        cells = [best(triples, settings) for triples in data.values()]
        print(f"| {factors} | {regularization} | {rate} | {' | '.join(cells)} |", flush=True)


def best(triples: mcfast.Triples, settings: dict[str, float]) -> str:
    """Return the best RMSE on the validation part, and the epoch."""
    model = mcfast.fit(triples, epochs=EPOCHS, validation=0.1, patience=None, refit=False, seed=1, **settings)
    error, epoch = min((record["validation"], record["number"]) for record in model.history)
    return f"{error:.4f} ({epoch})"


if __name__ == "__main__":
    main()
