"""Reads a second from a key-value table, through the Python face.

python bench/store.py [--backend lmdb] [--users 1000000] [--factors 64] [--seen 0] [--seconds 2]

Builds a table, checks its answers, then times single gets and batches of ids drawn at random.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mcfast import store


def rate(call: Callable[[int], int], seconds: float) -> float:
    """Return how many ids a second `call` answers; it takes the number of the call, and returns the ids it answered."""
    done = calls = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        done += call(calls)
        calls += 1
    return done / elapsed


def check(table: store.Table, ids: np.ndarray, vectors: np.ndarray, biases: np.ndarray, n_seen: int) -> None:
    many = table.get_many(ids)
    assert many.found.all()
    assert np.array_equal(many.vectors, vectors[ids])
    assert np.array_equal(many.biases, biases[ids])
    assert len(many.seen_rows) == n_seen * len(ids)
    for id in ids[:1000].tolist():
        value = table.get(id)
        assert np.array_equal(value.vector, vectors[id])
        assert value.bias == biases[id]
        assert len(value.seen) == n_seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="lmdb", choices=list(store.BACKENDS))
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--seen", type=int, default=0, help="items seen by each user")
    parser.add_argument("--batch", type=int, default=1000, help="ids in a batch")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each measurement")
    given = parser.parse_args()

    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((given.users, given.factors), np.float32)
    biases = generator.standard_normal(given.users, np.float32)
    rows = generator.integers(0, 1_000_000, given.users * given.seen, np.int32)
    seen = np.arange(given.users + 1) * given.seen, rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "users.lmdb"
        start = time.perf_counter()
        table = store.build(given.backend, path, np.arange(given.users), vectors, biases, seen)
        seconds = time.perf_counter() - start
        size = path.stat().st_size / 1e6 if path.exists() else float("nan")
        print(f"build      {given.users:>12,} users in {seconds:.2f} s, {size:,.0f} MB")
        drawn = generator.integers(0, given.users, (64, given.batch))
        check(table, drawn.ravel(), vectors, biases, given.seen)

        def single(call: int) -> int:
            for id in lists[call % len(lists)]:
                table.get(id)
            return given.batch

        lists = drawn.tolist()
        print(f"get        {rate(single, given.seconds):>12,.0f} ids a second")
        batch = rate(lambda call: len(table.get_many(drawn[call % len(drawn)]).found), given.seconds)
        print(f"get_many   {batch:>12,.0f} ids a second, batches of {given.batch:,}")
        batch = rate(lambda call: len(table.get_many(lists[call % len(drawn)]).found), given.seconds)
        print(f"get_many   {batch:>12,.0f} ids a second, batches of {given.batch:,} from lists")
        table.close()


if __name__ == "__main__":
    main()
