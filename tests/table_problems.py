"""Values for tables and records in tests."""

import numpy as np


def values(n, width=3, seed=0):
    """Return vectors, biases and seen items of n ids, some of which have seen nothing."""
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 5, n)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    rows = generator.integers(0, 2**31 - 1, indptr[-1]).astype(np.int32)
    return generator.standard_normal((n, width)).astype(np.float32), generator.random(n, np.float32), (indptr, rows)


def same(value, vectors, biases, seen, i):
    """Tell whether a value is the i-th."""
    indptr, rows = seen
    return (
        np.array_equal(value.vector, vectors[i])
        and value.bias == biases[i]
        and np.array_equal(value.seen, rows[indptr[i] : indptr[i + 1]])
    )
