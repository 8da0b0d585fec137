"""Test RMSE of `mcfast.tune`, which sees the training part alone.

``python bench/tune.py [--budget 90s] [--seeds 0 1 2] [--data ml-100k ml-1m]`` prints a table, on the splits of
``bench/quality.py``. Predictions are kept within the range of the training scores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

import mcfast
from quality import SEEDS, Split, data_folder, movielens_1m


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Test RMSE of tune, which sees the training part alone.")
    parser.add_argument("--budget", default="90s", help="of each split")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the search; a row for each")
    parser.add_argument("--data", nargs="+", choices=["ml-100k", "ml-1m"], default=["ml-100k", "ml-1m"])
    given = parser.parse_args()
    print("| data | test RMSE | seconds | trials | settings |\n|---|---|---|---|---|")
    if "ml-100k" in given.data:
        triples = mcfast.datasets.movielens_100k().triples
        splits = [triples.split_random(0.1, seed=seed) for seed in SEEDS]
        for seed in given.seeds:
            row("MovieLens-100K, 90:10, mean of seeds 0..4", splits, given.budget, seed)
    if "ml-1m" in given.data and data_folder().is_dir():
        splits = [movielens_1m(data_folder() / "moviedata.mat")]
        for seed in given.seeds:
            row("MovieLens-1M, the split of moviedata.mat", splits, given.budget, seed)


def row(name: str, splits: Sequence[Split], budget: str, seed: int) -> None:
    """Tune on each training part, measure on the test part, print the means and the last settings."""
    errors, seconds, trials = [], [], []
    for train, test in splits:
        start = time.perf_counter()
        found = mcfast.tune(train, budget, seed=seed, clip=True)
        seconds.append(time.perf_counter() - start)
        trials.append(len(found.trials))
        errors.append(mcfast.evaluate(found.model, test, k=1)["rmse"])
    said = ", ".join(f"{key} {value:g}" for key, value in found.settings.items() if key not in ("seed", "clip"))
    print(f"| {name} | {np.mean(errors):.4f} | {np.mean(seconds):.1f} | {np.mean(trials):.0f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
