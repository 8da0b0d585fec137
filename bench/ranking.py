"""Pairs a second of training under a ranking loss: positives times their negatives, from arrays to a model.

python bench/ranking.py [--loss softmax] [--factors 64] [--negatives 1024]

The triples have the shape of Gowalla's: 30,000 users, 41,000 items, 900,000 positives, Zipf-like. `fit` is timed as a
whole, data and model included; an epoch alone is shown beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time

import mcfast
from problems import ml20m_shape


def main() -> None:
    """Print a row for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", default="softmax")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--negatives", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()

    train, _ = ml20m_shape(30_000, 41_000, 1_000_000)
    pairs = len(train.users) * given.negatives
    print(f"{len(train.users):,} positives, K={given.factors}, M={given.negatives}, {mcfast.build_info()['isa']}\n")
    print("| threads | M pairs/s, fit as a whole | a core | M pairs/s, median epoch | a core |\n|---|---|---|---|---|")
    for threads in given.threads:
        start = time.perf_counter()
        model = mcfast.fit(
            tuple(train),
            loss=given.loss,
            similarity="cosine",
            factors=given.factors,
            n_negatives=given.negatives,
            epochs=given.epochs,
            threads=threads,
            progress=False,
        )
        whole = given.epochs * pairs / (time.perf_counter() - start) / 1e6
        epoch = pairs / statistics.median(record["seconds"] for record in model.history) / 1e6
        print(f"| {threads} | {whole:.0f} | {whole / threads:.0f} | {epoch:.0f} | {epoch / threads:.0f} |", flush=True)


if __name__ == "__main__":
    main()
