"""Reads a second from a key-value table, through the Python face.

python bench/store.py [--backend file lmdb] [--users 1000000] [--factors 64] [--seen 0] [--strings] [--seconds 2]

Builds a table with each backend, checks its answers, then times single gets and batches of ids drawn at random.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from functools import partial
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


def check(table: store.Table, ids: list, rows: np.ndarray, values: tuple, n_seen: int) -> None:
    vectors, biases, (_, seen) = values
    many = table.get_many(ids)
    assert many.found.all()
    assert np.array_equal(many.vectors, vectors[rows])
    assert np.array_equal(many.biases, biases[rows])
    assert np.array_equal(many.seen_rows, seen.reshape(-1, n_seen)[rows].ravel() if n_seen else seen)
    for id, row in zip(ids[:1000], rows.tolist(), strict=False):
        value = table.get(id)
        assert np.array_equal(value.vector, vectors[row])
        assert value.bias == biases[row]
        assert len(value.seen) == n_seen


def size(path: Path) -> float:
    """Return how many megabytes a file, or a folder of files, has."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", default=["file", "lmdb"], choices=list(store.BACKENDS))
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--seen", type=int, default=0, help="items seen by each user")
    parser.add_argument("--strings", action="store_true", help="ids are strings")
    parser.add_argument("--batch", type=int, default=1000, help="ids in a batch")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many counts; backends take turns")
    given = parser.parse_args()

    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((given.users, given.factors), np.float32)
    biases = generator.standard_normal(given.users, np.float32)
    rows = generator.integers(0, 1_000_000, given.users * given.seen, np.int32)
    values = vectors, biases, (np.arange(given.users + 1) * given.seen, rows)
    ids = [f"user-{i}" for i in range(given.users)] if given.strings else np.arange(given.users)
    drawn = generator.integers(0, given.users, (64, given.batch))
    lists = [[ids[i] for i in batch] for batch in drawn] if given.strings else drawn.tolist()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        tables = {}
        for backend in given.backend:
            start = time.perf_counter()
            path = Path(folder) / backend
            tables[backend] = stack.enter_context(store.build(backend, path, ids, *values))
            seconds = time.perf_counter() - start
            print(f"{backend:<6} build     {given.users:>12,} users in {seconds:.2f} s, {size(path):,.0f} MB")
            check(tables[backend], [id for batch in lists for id in batch], drawn.ravel(), values, given.seen)

        def single(table: store.Table, call: int) -> int:
            for id in lists[call % len(lists)]:
                table.get(id)
            return given.batch

        ways = {"get": single, "get_many, lists": lambda table, call: len(table.get_many(lists[call % 64]).found)}
        if not given.strings:
            ways["get_many, arrays"] = lambda table, call: len(table.get_many(drawn[call % 64]).found)
        for name, call in ways.items():
            rates = {backend: [] for backend in tables}
            for _ in range(given.rounds):
                for backend, table in tables.items():
                    rates[backend].append(rate(partial(call, table), given.seconds))
            for backend, measured in rates.items():
                print(f"{backend:<6} {name:<17} {np.median(measured):>12,.0f} ids a second")


if __name__ == "__main__":
    main()
