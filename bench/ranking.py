"""Pairs a second of training under a ranking loss: positives times their negatives, from arrays to a model.

python bench/ranking.py [--loss softmax] [--factors 64] [--negatives 1024]
python bench/ranking.py --attributes             # what attributes and histories cost, beside ids alone

The triples have the shape of Gowalla's: 30,000 users, 41,000 items, 900,000 positives, Zipf-like. `fit` is timed as a
whole, data and model included; an epoch alone is shown beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

import mcfast
from problems import Part, ml20m_shape

ROUNDS = 3


def main() -> None:
    """Print a row for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", default="softmax")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--negatives", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--attributes", action="store_true", help="seconds an epoch with and without attributes")
    given = parser.parse_args()

    train, _ = ml20m_shape(30_000, 41_000, 1_000_000)
    pairs = len(train.users) * given.negatives
    options = {
        "loss": given.loss,
        "similarity": "cosine",
        "factors": given.factors,
        "n_negatives": given.negatives,
        "epochs": given.epochs,
        "progress": False,
    }
    print(f"{len(train.users):,} positives, K={given.factors}, M={given.negatives}, {mcfast.build_info()['isa']}\n")
    if given.attributes:
        compare_attributes(train, options)
        return
    print("| threads | M pairs/s, fit as a whole | a core | M pairs/s, median epoch | a core |\n|---|---|---|---|---|")
    for threads in given.threads:
        start = time.perf_counter()
        model = mcfast.fit(tuple(train), threads=threads, **options)
        whole = given.epochs * pairs / (time.perf_counter() - start) / 1e6
        epoch = pairs / statistics.median(record["seconds"] for record in model.history) / 1e6
        print(f"| {threads} | {whole:.0f} | {whole / threads:.0f} | {epoch:.0f} | {epoch / threads:.0f} |", flush=True)


def compare_attributes(train: Part, options: dict[str, Any]) -> None:
    """Print seconds an epoch, kinds taking turns: five categories a row and two numbers; up to 100 items of history."""
    tables = []
    for n in (30_000, 41_000):
        random = np.random.default_rng(n)
        columns = {f"category {i}": random.integers(0, 50 * 4**i, n) for i in range(5)}
        tables.append({"id": np.arange(n), **columns, "a": random.random(n), "b": random.random(n)})
    users, items = tables
    kinds: dict[str, dict[str, Any]] = {
        "ids alone": {},
        "attributes of items": {"item_features": items},
        "of users too": {"item_features": items, "user_features": users},
        "and history": {"item_features": items, "user_features": users, "history": True},
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, more in kinds.items():
            model = mcfast.fit(tuple(train), **options, **more)
            seconds[kind].append(statistics.median(record["seconds"] for record in model.history))
    medians = {kind: statistics.median(taken) for kind, taken in seconds.items()}
    print("| | seconds an epoch | times ids alone |\n|---|---|---|")
    for kind, median in medians.items():
        print(f"| {kind} | {median:.2f} | {median / medians['ids alone']:.2f} |")


if __name__ == "__main__":
    main()
