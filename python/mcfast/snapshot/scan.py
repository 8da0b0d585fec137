"""A scan of all items without an index, for items like an item: asked too seldom to keep an index of unit vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from ..recall import Index

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


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
