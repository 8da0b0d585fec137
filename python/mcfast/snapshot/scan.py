"""Scans of all items without an index: what an approximate index is compared with, and items like an item.

They take no memory beside the vectors, which processes share, and are slower than an index.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from ..recall import Index
from ..seen import Seen

Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


def nearest(
    index: Index, queries: Float32, k: int, excluded: Seen, allow: Bool | None, threads: int
) -> tuple[Int64, Float32]:
    """Find the k best items of each query exactly, as an index of inner products would."""
    rows = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    for i, query in enumerate(queries):
        all_scores = products(index, query, index.offsets, threads)
        all_scores[excluded.of_user(i)] = -np.inf
        if allow is not None:
            all_scores[~allow] = -np.inf
        best = top(all_scores, k)
        rows[i, : len(best)], scores[i, : len(best)] = best, all_scores[best]
    return rows, scores


def products(index: Index, query: Float32, offsets: Float32 | None, threads: int) -> Float32:
    """Return the inner product of a vector with each item, plus the offset of the item."""
    padded = np.zeros((1, index.rows.shape[1]), np.float32)
    padded[0, : len(query)] = query
    added = np.zeros(index.size, np.float32) if offsets is None else offsets
    scores: Float32 = _core.predict_block(padded, index.rows, np.zeros(1), added, threads)[0]
    return scores


def top(scores: Float32, k: int) -> Int64:
    """Return the places of the k largest finite scores, best first, ties to the lower place."""
    candidates = np.flatnonzero(scores > -np.inf)
    if 0 < k < len(candidates):
        least = np.partition(scores, len(scores) - k)[-k]
        candidates = np.flatnonzero(scores >= least)
    order: Int64 = candidates[np.lexsort((candidates, -scores[candidates]))][:k]
    return order
