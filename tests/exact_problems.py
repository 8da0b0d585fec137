"""Problems that try to break the exact index, and its answers held against the definition on every instruction set.

python tests/exact_problems.py [--problems 10000] [--seed 0]
"""

import argparse
import collections
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import oracle
from mcfast import _core, recall

KINDS = ("normal", "ties", "spread", "far", "tiny", "huge", "spiky", "norms")


def every_isa():
    """Go through the instruction sets of this machine; the one in use is put back."""
    before = _core.build_info()["isa"]
    for isa in _core.build_info()["isa_available"]:
        _core.set_isa(isa)
        yield isa
    _core.set_isa(before)


def numbers(random, kind, shape):
    if kind == "ties":
        return random.integers(-1, 2, shape).astype(np.float32)
    values = random.standard_normal(shape)
    if kind == "spread":
        values *= 10.0 ** random.integers(-20, 15, shape)
    elif kind == "far":
        values += 1000
    elif kind == "tiny":
        values *= 1e-43
    elif kind == "huge":
        values *= 1e37
    elif kind == "spiky":  # one number takes the whole range of an item's code
        values *= np.where(random.random(shape) < 0.02, 1e4, 1)
    elif kind == "norms":  # of most unequal length, so that few items share a useful step
        values *= 10.0 ** random.uniform(-12, 12, (shape[0], *[1] * (len(shape) - 1)))
    return values.astype(np.float32)


def drawn(random):
    """Draw a problem: vectors, queries, metric, offsets, k."""
    metric, kind = random.choice(recall.METRICS), random.choice(KINDS)
    n, m, dimension = random.integers(1, 500), random.integers(1, 20), random.integers(1, 80)
    vectors, queries = numbers(random, kind, (n, dimension)), numbers(random, kind, (m, dimension))
    if n > 1 and random.random() < 0.3:  # duplicates, and rows of zeros
        vectors[random.integers(0, n, n // 4)] = vectors[random.integers(0, n)]
        vectors[random.integers(0, n, 3)] = 0
    offsets = numbers(random, kind, (n,)) if metric == "ip" and random.random() < 0.5 else None
    k = n if random.random() < 0.2 else random.integers(1, 31)
    return vectors, queries, str(metric), offsets, int(k)


def compare(vectors, queries, metric, offsets, k):
    """Compare rows and the bits of scores with the definition; return the instruction sets that were tried."""
    rows, scores = oracle.nearest(oracle.recall_scores(vectors, queries, metric, offsets), k)
    tried = []
    for isa in every_isa():
        found = recall.build("exact", vectors, metric, offsets=offsets).search(queries, k)
        np.testing.assert_array_equal(found[0], rows)
        assert found[1].tobytes() == scores.tobytes()
        tried.append(isa)
    return tried


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    tried = collections.Counter()
    for _ in range(given.problems):
        tried.update(compare(*drawn(random)))
    print(
        "the definition's ranking, and the bits of its scores:", ", ".join(f"{n} on {isa}" for isa, n in tried.items())
    )


if __name__ == "__main__":
    main()
