"""Searches in threads while items of an index are added, replaced and removed.

python tests/changing_problems.py [--seconds 60] [--items 20000] [--searchers 3]
"""

import argparse
import threading
import time

import numpy as np

from mcfast import recall
from mcfast.recall.changing import ChangingIndex

CHANGING = [name for name, backend in recall.BACKENDS.items() if issubclass(backend, ChangingIndex)]


def numbers(random, ties, *shape):
    values = random.integers(-1, 2, shape) if ties else random.standard_normal(shape)
    return values.astype(np.float32)


def built(backend, vectors, metric, offsets=None, **options):
    return recall.build(
        backend, vectors, metric, offsets=offsets, **({} if backend == "exact" else {"recall": 1.0, **options})
    )


def stress(backend, seconds, n, searchers):
    """Search in threads while items change, and return the number of searches; raises at the first wrong answer."""
    random = np.random.default_rng(0)
    index = built(backend, numbers(random, False, n, 16), "ip", recall=0.9)
    removed_by = np.full(100 * n, np.inf)  # when the removal of a row had returned
    end, failures, counts = time.perf_counter() + seconds, [], []

    def search(seed):
        own, count = np.random.default_rng(seed), 0
        try:
            while time.perf_counter() < end:
                queries = numbers(own, False, int(own.integers(1, 5)), 16)
                started = time.perf_counter()
                rows, scores = index.search(queries, 50, threads=1)
                assert not (removed_by[rows[rows >= 0]] < started).any(), "a removed item came"
                assert (np.diff(scores, axis=1) <= 0).all()
                assert all(len(set(found)) == len(found) for found in rows)
                count += 1
        except BaseException as error:
            failures.append(error)
        counts.append(count)

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(searchers)]
    for thread in threads:
        thread.start()
    there = set(range(n))
    while time.perf_counter() < end and not failures:
        if index.size < len(removed_by) - 50:
            there |= set(index.add(numbers(random, False, 50, 16)).tolist())
        gone = random.choice(sorted(there), 50, replace=False)
        index.remove(gone)
        removed_by[gone] = time.perf_counter()
        there -= set(gone.tolist())
        index.replace(random.choice(sorted(there), 20, replace=False), numbers(random, False, 20, 16))
        assert index.search(numbers(random, False, 1, 16), 5)[0].min() >= 0
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--searchers", type=int, default=3)
    given = parser.parse_args()
    for backend in CHANGING:
        searches = stress(backend, given.seconds, given.items, given.searchers)
        print(f"{backend}: {searches:,} searches in {given.seconds:g} s, no removed item among them")


if __name__ == "__main__":
    main()
