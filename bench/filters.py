"""What filters cost: conditions on attributes, and searches among the items that are left, down to a few.

python bench/filters.py [--items 1000000] [--factors 64] [-k 100] [--backends exact,regions]

One query at a time, one thread, medians. Answers are checked: only allowed items, and from `exact` those that a full
sort finds.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from mcfast import recall
from mcfast.data.attributes import Attributes, write_attributes
from mcfast.data.ids import Ids
from problems import vectors

SHARES = (1, 0.5, 0.1, 0.03, 0.01, 0.001, 0.00001)


def milliseconds(run: Callable[[int], object], times: int) -> float:
    """Return the median time of a call."""
    seconds = []
    for i in range(times):
        start = time.perf_counter()
        run(i)
        seconds.append(time.perf_counter() - start)
    return 1e3 * float(np.median(seconds))


def conditions(n: int) -> None:
    """Time conditions on attributes of n items, each one new."""
    random = np.random.default_rng(0)
    genres = np.array(["drama", "comedy", "action", "crime", "war", "western", "music", "family"])
    counts = random.integers(0, 4, n)
    listed = pa.ListArray.from_arrays(
        np.concatenate([[0], np.cumsum(counts)]), pa.array(genres[random.integers(0, 8, counts.sum())])
    )
    brands, years = random.integers(0, 2000, n), random.integers(1920, 2026, n)
    table = pa.table(
        {"id": np.arange(n), "brand": brands.astype(str), "year": years, "price": random.random(n), "genres": listed}
    )
    with tempfile.TemporaryDirectory() as folder:
        write_attributes(table, Path(folder) / "table")
        attributes, known = Attributes(Path(folder) / "table"), Ids(np.arange(n))
        for text, one in {
            "brand == a": lambda i: {"brand": str(i)},
            "brand in 20": lambda i: {"brand": [str(j) for j in range(i, i + 20)]},
            "year in a range": lambda i: {"year": {"min": 1950 + i, "max": 1990}},
            "price in a range": lambda i: {"price": {"min": i / 50}},
            "genres contain a": lambda i: {"genres": str(genres[i % 8])},
            "all of them": lambda i: {"brand": ["1", "2"], "year": {"min": 1950}, "genres": str(genres[i % 8])},
        }.items():
            start = time.perf_counter()
            attributes.matching(one(0), known)
            first = 1e3 * (time.perf_counter() - start)
            print(f"{text:20}{milliseconds(lambda i, one=one: attributes.matching(one(i), known), 9):10.2f} ms", end="")
            print(f", the first time {first:.0f}")
        assert (attributes.matching({"year": {"min": 2000}}, known) == (years >= 2000)).all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument("--backends", default="exact,regions")
    given = parser.parse_args()
    conditions(given.items)
    items, queries = vectors(given.items, given.factors, 330)
    random = np.random.default_rng(1)
    order = random.permutation(given.items)
    for backend in given.backends.split(","):
        own = {} if backend == "exact" else {"recall": 0.99, "queries": queries[30:]}
        index = recall.build(backend, items, **own)
        for share in SHARES:
            allow = np.zeros(given.items, bool)
            allow[order[: max(1, round(share * given.items))]] = True
            rows, scores = index.search(queries[:3], given.k, allow=allow)
            assert allow[rows[rows >= 0]].all()
            truth = np.sort((items[allow].astype(np.float64) @ queries[0].astype(np.float64)).astype(np.float32))[::-1]
            left = min(given.k, len(truth))
            assert backend != "exact" or np.allclose(scores[0, :left], truth[:left], rtol=1e-6, atol=1e-6)
            found = milliseconds(
                lambda i, index=index, allow=allow: index.search(queries[i % 30], given.k, allow=allow, threads=1), 60
            )
            print(f"{backend}, {int(allow.sum()):9,} of {given.items:,} allowed: {found:8.3f} ms")


if __name__ == "__main__":
    main()
