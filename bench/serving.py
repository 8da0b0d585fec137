"""From a model to served answers: publish, open, the first answer, then latency and rate.

python bench/serving.py [--users 100000] [--items 1000000] [--factors 64] [--seen 50] [--index regions] [--recall 0.99]

Publishes vectors of `problems.vectors` with biases and seen items, opens the folder in a process of its own, checks
answers against `Model.recommend`, then times. The limit of an exact answer, one pass over the vectors of all items, is
printed beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import mcfast
from problems import vectors


def pairs_of(generator: np.random.Generator, users: int, items: int, seen: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(users), seen), generator.integers(0, items, users * seen)


def model_of(users: int, items: int, factors: int, seen: int) -> mcfast.Model:
    generator = np.random.default_rng(0)
    item_factors, user_factors = vectors(items, factors, users)
    pairs = pairs_of(generator, users, items, seen)
    return mcfast.Model.from_factors(
        user_factors,
        item_factors,
        user_biases=generator.standard_normal(users) * 0.3,
        item_biases=generator.standard_normal(items) * 0.3,
        mean=3.5,
        seen=pairs,
    )


def opened(root: str, users: int, k: int, calls: int) -> dict[str, float | str]:
    """Open and answer, in this process, which has done nothing else."""
    start = time.perf_counter()
    recaller = mcfast.open(root)
    open_seconds = time.perf_counter() - start
    start = time.perf_counter()
    first = recaller.recall(7, k)
    first_seconds = time.perf_counter() - start

    generator = np.random.default_rng(1)
    seconds = []
    for user in generator.integers(0, users, calls).tolist():
        start = time.perf_counter()
        recaller.recall(user, k)
        seconds.append(time.perf_counter() - start)
    batch = generator.integers(0, users, 2000)
    start = time.perf_counter()
    recaller.recall_many(batch, k)
    batch_seconds = time.perf_counter() - start
    p50, p99 = np.percentile(seconds, [50, 99])
    return {
        "open_seconds": open_seconds,
        "first_milliseconds": 1e3 * first_seconds,
        "p50_milliseconds": 1e3 * float(p50),
        "p99_milliseconds": 1e3 * float(p99),
        "users_a_second_in_batches": len(batch) / batch_seconds,
        "source": first.source,
        "ids": first.ids.tolist(),
    }


def scan_milliseconds(items: int, factors: int) -> float:
    """Time one pass over as many bytes as the vectors of all items."""
    data = np.ones(items * factors, np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        data.max()
        seconds.append(time.perf_counter() - start)
    return 1e3 * min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--seen", type=int, default=50, help="items seen by each user")
    parser.add_argument("--index", default="exact", choices=list(mcfast.recall.BACKENDS))
    parser.add_argument("--recall", type=float, default=0.99, help="what an approximate index must reach")
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument("--calls", type=int, default=1000, help="single recalls to time")
    parser.add_argument("--open", help=argparse.SUPPRESS)  # the process that opens
    given = parser.parse_args()
    if given.open:
        print(json.dumps(opened(given.open, given.users, given.k, given.calls)))
        return

    model = model_of(given.users, given.items, given.factors, given.seen)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "serving"
        start = time.perf_counter()
        mcfast.publish(model, root, index=given.index, recall=given.recall)
        print(f"publish                  {time.perf_counter() - start:10.2f} s")
        expected = model.recommend(7, given.k).ids.tolist()
        (version,) = mcfast.versions(root)
        measured = version.index.get("recall")
        print(f"on disk                  {version.bytes / 1e6:10,.0f} MB")
        print(f"index                    {given.index:>10}, " + ("exact" if measured is None else f"recall {measured}"))
        del model
        command = [sys.executable, __file__, "--open", str(root), "--users", str(given.users), "-k", str(given.k)]
        done = subprocess.run([*command, "--calls", str(given.calls)], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
    assert found["source"] != "exact" or found["ids"] == expected
    print(f"open                     {found['open_seconds']:10.2f} s")
    print(f"first answer             {found['first_milliseconds']:10.1f} ms")
    print(f"recall, k={given.k:<4} p50        {found['p50_milliseconds']:10.3f} ms, source {found['source']}")
    print(f"                 p99     {found['p99_milliseconds']:10.3f} ms")
    print(f"recall_many              {found['users_a_second_in_batches']:10,.0f} users a second, batches of 2,000")
    print(f"one pass over the bytes  {scan_milliseconds(given.items, given.factors):10.3f} ms")


if __name__ == "__main__":
    main()
