"""Histories: the items that users took, as part of what users are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..checks import message
from .features import Terms
from .ids import Ids

LONGEST = 100  # items of a history, the latest; more cost time and say little
POWER = 0.5  # a sum of m vectors that do not agree is about sqrt(m) times as long as one

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Histories(NamedTuple):
    """The items of some rows.

    Attributes
    ----------
    indptr : numpy.ndarray
        (n + 1,) int64: the items of row r are those from ``indptr[r]`` to ``indptr[r + 1]``.
    items : numpy.ndarray
        int32 rows, distinct in a history.
    """

    indptr: Int64
    items: Int32

    @classmethod
    def of(cls, users: Int32, items: Int32, times: Int64 | None, n_users: int, longest: int = LONGEST) -> Histories:
        """Return the latest items of every user; without times, the last ones."""
        order = np.lexsort((np.arange(len(users)) if times is None else times, users))
        users, items = users[order], items[order]
        ends = np.cumsum(np.bincount(users, minlength=n_users))
        kept = ends[users] - np.arange(len(users)) <= longest
        counts = np.bincount(users[kept], minlength=n_users)
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), items[kept])

    @classmethod
    def of_lists(cls, lists: Sequence[Any], items: Ids, name: str, longest: int = LONGEST) -> Histories:
        """Return what lists of item ids say, the latest last.

        Raises
        ------
        UnknownIdError
            An item is unknown.
        TypeError
            They are no lists.
        """
        rows = []
        for one in lists:
            if isinstance(one, str | int | np.integer):
                raise TypeError(message(name, f"{type(one).__name__} in it", "lists of item ids, one a user"))
            found = items.rows(one, name) if len(one) else np.empty(0, np.int32)
            rows.append(np.array(list(dict.fromkeys(found[::-1].tolist()))[:longest], np.int32))
        indptr = np.concatenate([[0], np.cumsum([len(one) for one in rows])]).astype(np.int64)
        return cls(indptr, np.concatenate([*rows, np.empty(0, np.int32)]))


def with_histories(terms: Terms, histories: Histories, n_items: int) -> Terms:
    """Return the terms of rows and of their histories, whose items have parameters of their own after all others."""
    n, counts = len(terms.indptr) - 1, np.diff(histories.indptr)
    before = np.diff(terms.indptr)
    owners = np.concatenate([np.repeat(np.arange(n), before), np.repeat(np.arange(n), counts)])
    order = np.argsort(owners, kind="stable")
    shares = np.repeat(np.maximum(counts, 1).astype(np.float64) ** -POWER, counts)
    indptr = terms.indptr + histories.indptr
    return Terms(
        indptr,
        np.concatenate([terms.parameters, terms.n_parameters + histories.items]).astype(np.int32)[order],
        np.concatenate([terms.coefficients, shares]).astype(np.float32)[order],
        terms.n_parameters + n_items,
        terms.default_id,
        indptr[:-1] + before,
        terms.n_parameters,
        POWER,
    )
