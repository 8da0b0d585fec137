"""What each user has already met: the pairs that recommendations leave out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from . import _core

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Seen:
    """The distinct items of each user, as in a CSR matrix."""

    def __init__(self, indptr: Int64, rows: Int32) -> None:
        self._arrays: tuple[Int64, Int32] | Callable[[], tuple[Int64, Int32]] = indptr, rows

    @classmethod
    def of(cls, users: Int32, items: Int32, n_users: int, threads: int) -> Seen:
        """Collect the pairs of a list of triples, when they are asked for: a training needs them no more than its RMSE.

        Until then the arrays are kept, and must not change.
        """
        seen = cls.__new__(cls)
        seen._arrays = partial(_core.items_of_users, users, items, n_users, threads)
        return seen

    @property
    def _csr(self) -> tuple[Int64, Int32]:
        arrays = self._arrays  # read once: another thread may have collected them meanwhile
        if callable(arrays):
            self._arrays = arrays = arrays()
        return arrays

    @property
    def indptr(self) -> Int64:
        """(n_users + 1,) int64; the items of user row u are ``rows[indptr[u]:indptr[u + 1]]``."""
        return self._csr[0]

    @property
    def rows(self) -> Int32:
        """int32 item rows, sorted and distinct for each user."""
        return self._csr[1]

    def __reduce__(self) -> tuple[type[Seen], tuple[Int64, Int32]]:
        return Seen, self._csr

    @classmethod
    def empty(cls, n_users: int) -> Seen:
        """Return one in which nobody has seen anything."""
        return cls(np.zeros(n_users + 1, np.int64), np.zeros(0, np.int32))

    def __len__(self) -> int:
        return len(self.rows)

    def of_user(self, row: int) -> Int32:
        """Return the item rows of one user row."""
        return self.rows[self.indptr[row] : self.indptr[row + 1]]

    def pairs(self) -> tuple[Int32, Int32]:
        """Return all pairs as (user rows, item rows)."""
        users = np.repeat(np.arange(len(self.indptr) - 1, dtype=np.int32), np.diff(self.indptr))
        return users, np.asarray(self.rows)

    def select(self, users: npt.NDArray[np.integer]) -> Seen:
        """Return the items of the given user rows, in their order; row -1 has none."""
        known = np.maximum(users, 0)
        starts = self.indptr[known]
        counts = np.where(users >= 0, self.indptr[known + 1] - starts, 0)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = np.arange(indptr[-1]) - np.repeat(indptr[:-1] - starts, counts)
        return Seen(indptr, np.ascontiguousarray(self.rows[places]))

    def item_counts(self, n_items: int) -> Int64:
        """Return how many users have seen each item."""
        return np.bincount(self.rows, minlength=n_items).astype(np.int64)
