"""Which items a query may get."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..bits import Words, packed

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Filter:
    """Checked filters of a batch of queries, in the form of the core."""

    indptr: Int64 | None  # (queries + 1,)
    rows: Int32 | None  # sorted and distinct for each query
    allow: Bytes | None  # (items,)

    @classmethod
    def checked(cls, exclude: Any, allow: Any, n_queries: int, n_items: int) -> Filter:
        """Check what a user gave `search`; see there."""
        if exclude is None and allow is None:
            return EVERYTHING
        indptr, rows = (None, None) if exclude is None else _excluded(exclude, n_queries, n_items)
        return cls(indptr, rows, None if allow is None else _allowed(allow, n_items))

    @property
    def arrays(self) -> tuple[Int64 | None, Int32 | None, Words | None]:
        """The arguments exclude_indptr, exclude_rows and allow of the core."""
        return self.indptr, self.rows, None if self.allow is None else self._allow_words

    @cached_property
    def _allow_words(self) -> Words:
        assert self.allow is not None
        return packed(self.allow)

    def left(self, n_queries: int, n_items: int) -> Int64:
        """Return how many items each query may get."""
        allowed = n_items if self.allow is None else int(np.count_nonzero(self.allow))
        if self.indptr is None or self.rows is None:
            return np.full(n_queries, allowed, np.int64)
        taken = np.ones(len(self.rows), bool) if self.allow is None else self.allow[self.rows] != 0
        before = np.concatenate(([0], np.cumsum(taken, dtype=np.int64)))
        left: Int64 = allowed - (before[self.indptr[1:]] - before[self.indptr[:-1]])
        return left

    def take(self, queries: Int64) -> Filter:
        """Return the filter of some of the queries, in the order given."""
        if self.indptr is None or self.rows is None:
            return self
        starts, counts = self.indptr[queries], np.diff(self.indptr)[queries]
        indptr = np.concatenate(([0], np.cumsum(counts)))
        places = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], counts)
        return Filter(indptr, self.rows[places], self.allow)


EVERYTHING = Filter(None, None, None)


def _excluded(exclude: Any, n_queries: int, n_items: int) -> tuple[Int64, Int32]:
    expected = "(indptr, rows) as in CSR: integer arrays"
    if not isinstance(exclude, tuple) or len(exclude) != 2:
        raise TypeError(checks.message("exclude", f"{type(exclude).__name__}", expected))
    indptr, rows = (np.asarray(part) for part in exclude)
    for name, part in (("exclude indptr", indptr), ("exclude rows", rows)):
        if part.ndim != 1:
            raise ValueError(checks.message(name, f"shape {part.shape}", "one dimension"))
        if part.dtype.kind not in "iu" and part.size:
            raise TypeError(checks.message(name, f"values of dtype {part.dtype}", "integers"))
    if len(indptr) != n_queries + 1:
        expected = f"{n_queries + 1} of them, one more than queries"
        raise ValueError(checks.message("exclude indptr", f"{len(indptr)} values", expected))
    indptr = np.ascontiguousarray(indptr, np.int64)
    if indptr[0] != 0 or indptr[-1] != len(rows) or (np.diff(indptr) < 0).any():
        expected = f"values that do not decrease, from 0 to the number of rows, {len(rows)}"
        raise ValueError(checks.message("exclude indptr", f"values {indptr[0]}..{indptr[-1]}", expected))
    if len(rows) and (rows.min() < 0 or rows.max() >= n_items):
        expected = f"rows of items, 0..{n_items - 1}"
        raise ValueError(checks.message("exclude rows", f"values {rows.min()}..{rows.max()}", expected))
    return _distinct(indptr, np.ascontiguousarray(rows, np.int32))


def _distinct(indptr: Int64, rows: Int32) -> tuple[Int64, Int32]:
    """Sort the rows of each query and drop repeats; what is so already is returned as it is."""
    query = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    if ((np.diff(rows) > 0) | (np.diff(query) > 0)).all():
        return indptr, rows
    order = np.lexsort((rows, query))
    rows, query = rows[order], query[order]
    first = np.concatenate(([True], (np.diff(rows) != 0) | (np.diff(query) != 0)))
    counts = np.bincount(query[first], minlength=len(indptr) - 1)
    return np.concatenate(([0], np.cumsum(counts))), rows[first]


def _allowed(allow: Any, n_items: int) -> Bytes:
    allow = np.asarray(allow)
    if allow.dtype != np.bool_:
        raise TypeError(checks.message("allow", f"values of dtype {allow.dtype}", "a boolean mask over the items"))
    if allow.shape != (n_items,):
        raise ValueError(checks.message("allow", f"shape {allow.shape}", f"shape ({n_items},), one value an item"))
    return np.ascontiguousarray(allow).view(np.uint8)
