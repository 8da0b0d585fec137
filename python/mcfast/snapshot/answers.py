"""What a recaller answers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

EXACT = "exact"  # the best items of a published vector, found by an exact index
INDEX = "index"  # the same, found by an approximate index
FOLDED = "folded"  # those of a vector that was written online
POPULAR = "popular"  # the user has no vector


class Recalled(NamedTuple):
    """The best items of a user.

    Attributes
    ----------
    ids : numpy.ndarray
        (n,) ids, best first; fewer than k where fewer are left.
    scores : numpy.ndarray
        (n,) float32, equal to `Model.predict` within 1e-5; from "popular" the number of users who met the item.
    source : {"exact", "index", "folded", "popular"}
        Where the answer comes from: the user's published vector and an exact or an approximate index; a vector that was
        written online; or, for a user without a vector, what is popular.
    version : int
        The version that answered.
    """

    ids: npt.NDArray[Any]
    scores: npt.NDArray[np.float32]
    source: str
    version: int


class RecalledMany(NamedTuple):
    """The best items of n users, at most k each.

    Attributes
    ----------
    ids : numpy.ndarray
        (n, k) ids, best first; None (or -1 for integer ids) where fewer are left. With less than k items in the
        catalogue, the columns are as many as those.
    scores : numpy.ndarray
        The same shape, float32; -inf where fewer are left.
    counts : numpy.ndarray
        (n,) int64, how many of each row are real.
    sources : list of str
        n of them, as `Recalled.source`.
    version : int
        The version that answered, one for all.
    """

    ids: npt.NDArray[Any]
    scores: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]
    sources: list[str]
    version: int
