"""Test RMSE on MovieLens-100K and MovieLens-1M, with settings picked on validation data.

``python bench/quality.py`` prints a table. MovieLens-100K: random 90:10 splits, seeds 0..4, mean. MovieLens-1M: the
split in ``MCFAST_DATA/ml-1m/moviedata.mat`` (by default ``../shared/data``), where that is there.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mcfast

GRID = {"factors": (64, 128), "regularization": (0.03, 0.05, 0.08), "learning_rate": (0.05, 0.1)}
COMMON = {"epochs": 30, "validation": 0.05}
SEEDS = range(5)

Split = tuple[mcfast.Triples, mcfast.Triples]


def main() -> None:
    """Print the table."""
    print("| data | test RMSE | MAE | settings, picked on 5% of the training part |\n|---|---|---|---|")
    triples = mcfast.datasets.movielens_100k().triples
    row("MovieLens-100K, 90:10, mean of seeds 0..4", [triples.split_random(0.1, seed=seed) for seed in SEEDS])
    folder = data_folder()
    if folder.is_dir():
        row("MovieLens-1M, the split of moviedata.mat", [movielens_1m(folder / "moviedata.mat")])


def data_folder() -> Path:
    """Return where MovieLens-1M would be."""
    return Path(os.environ.get("MCFAST_DATA") or Path(__file__).parents[2] / "shared" / "data") / "ml-1m"


def row(name: str, splits: Sequence[Split]) -> None:
    """Pick settings on the first split's validation data, then measure on every test part."""
    settings = min(grid(), key=lambda candidate: validation_rmse(splits[0][0], candidate))
    measures = []
    for seed, (train, test) in enumerate(splits):
        measures.append(mcfast.evaluate(mcfast.fit(train, seed=seed, **settings), test))
    rmse, mae = (np.mean([measure[key] for measure in measures]) for key in ("rmse", "mae"))
    said = ", ".join(f"{key} {value:g}" for key, value in settings.items() if key in GRID)
    print(f"| {name} | {rmse:.4f} | {mae:.4f} | {said} |", flush=True)


def grid() -> Iterator[dict[str, Any]]:
    """Yield every combination of the grid."""
    for values in itertools.product(*GRID.values()):
        yield {**COMMON, **dict(zip(GRID, values, strict=True))}


def validation_rmse(train: mcfast.Triples, settings: dict[str, Any]) -> float:
    """Return the best RMSE on the validation part; the test part is not looked at."""
    return mcfast.fit(train, refit=False, **settings).metrics["validation_rmse"]


def movielens_1m(path: Path) -> Split:
    """Read the split of MovieLens-1M: rows of user, item, rating."""
    from scipy.io import loadmat

    parts = loadmat(path)
    train, test = (mcfast.Triples.from_arrays(*parts[name].T) for name in ("train_vec", "probe_vec"))
    return train, test


if __name__ == "__main__":
    main()
