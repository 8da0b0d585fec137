"""The items that can be recalled: those of a version, and those put online, which may replace some of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import recall
from ..recall.filters import Filter
from ..seen import Seen
from ..store.keys import Id
from .values import OnlineItem
from .version import Version

Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Catalogue:
    """Items in common rows: those of the version, then the new ones that were put online.

    Parameters
    ----------
    version : Version
        The version.
    added : list of OnlineItem
        Items put online in its space.
    changed : int
        How often these have changed, to tell whether there are others by now.
    """

    def __init__(self, version: Version, added: list[OnlineItem], changed: int) -> None:
        self.version = version
        self.changed = changed
        self._attributes = {item.id: item.attributes for item in added}
        n = len(version.items)
        ids = [item.id for item in added]
        rows = version.items.rows(ids, "items", "skip").astype(np.int64) if n else np.full(len(ids), -1)
        new = np.flatnonzero(rows < 0)
        self._new = [added[i].id for i in new]
        self._row_of = {id: n + j for j, id in enumerate(self._new)}
        rows[new] = n + np.arange(len(new))
        self._order = np.sort(rows)  # of the items put online: place in their index -> row
        self._added = _index_of([added[i] for i in np.argsort(rows)])
        replaced = rows[rows < n]
        self._not_replaced = None if not len(replaced) else _mask(n, replaced)

    def __len__(self) -> int:
        return len(self.version.items) + len(self._new)

    def rows(self, ids: Iterable[Id]) -> Int64:
        """Return the rows of those ids that are known."""
        items, asked = self.version.items, list(ids)
        fitting = [id for id in asked if isinstance(id, int) == items.is_integer]
        rows = items.rows(fitting, "items", "skip").astype(np.int64) if fitting else np.zeros(0, np.int64)
        new = [self._row_of[id] for id in asked if id in self._row_of] if self._row_of else []
        return np.concatenate([rows[rows >= 0], np.array(new, np.int64)])

    def ids(self, rows: Int64) -> npt.NDArray[Any]:
        """Return the ids of rows, none for -1."""
        n = len(self.version.items)
        if not self._new:
            return self.version.items.take(rows)
        ids = self.version.items.take(np.where(rows < n, rows, -1))
        if not n and any(isinstance(id, str) for id in self._new):  # a version without items knows no kind of ids
            ids = np.full(rows.shape, None, object)
        for place in np.argwhere(rows >= n):
            ids[tuple(place)] = self._new[rows[tuple(place)] - n]
        return ids

    def attributes(self, id: Id) -> dict[str, Any]:
        """Return the attributes of an item."""
        return self.version.item_attributes.of(id) | self._attributes.get(id, {})

    def search(
        self, queries: Float32, k: int, excluded: Seen, allow: Bool | None, threads: int
    ) -> tuple[Int64, Float32]:
        """Find the k best items of each query: rows and scores, best first, -1 and -inf where fewer are left."""
        if self._added is None:
            filters = Filter(excluded.indptr, excluded.rows, None if allow is None else allow.view(np.uint8))
            return self.version.index.search_checked(queries, k, filters, threads)
        n = len(self.version.items)
        asked, rows = excluded.pairs()
        old = rows < n
        first = self.version.index.search(
            queries,
            k,
            threads=threads,
            exclude=_csr(asked[old], rows[old], len(queries)),
            allow=_both(self._not_replaced, None if allow is None else allow[:n]),
        )
        place = np.searchsorted(self._order, rows)
        place[place == len(self._order)] = 0
        among = self._order[place] == rows
        found, scores = self._added.search(
            queries,
            k,
            threads=threads,
            exclude=_csr(asked[among], place[among].astype(np.int32), len(queries)),
            allow=None if allow is None else allow[self._order],
        )
        return _best(first, (np.where(found < 0, -1, self._order[found]), scores), k)

    def popular(self, k: int, excluded: Int32, allow: Bool | None) -> tuple[Int64, Float32]:
        """Return the k most popular items but some: rows, and how many users met them; what is new comes last."""
        n = len(self.version.items)
        rows = self.version.popular_rows
        first = np.arange(min(n, k + len(excluded))) if allow is None else np.flatnonzero(allow[rows])
        first = first[~np.isin(rows[first], excluded)][:k]
        new = n + np.arange(len(self._new)) if len(first) < k else np.zeros(0, np.int64)
        new = new[~np.isin(new, excluded) & (True if allow is None else allow[new])][: k - len(first)]
        counts = self.version.popular_counts[first].astype(np.float32)
        return np.concatenate([rows[first].astype(np.int64), new]), np.concatenate(
            [counts, np.zeros(len(new), np.float32)]
        )


def _index_of(added: list[OnlineItem]) -> recall.Index | None:
    if not added:
        return None
    vectors = np.stack([item.value.vector for item in added])
    return recall.build("exact", vectors, "ip", offsets=[item.value.bias for item in added], threads=1)


def _csr(queries: Int32, rows: Int32, n_queries: int) -> tuple[Int64, Int32]:
    seen = Seen.of(queries, rows, n_queries, 1)
    return seen.indptr, seen.rows


def _both(a: Bool | None, b: Bool | None) -> Bool | None:
    return b if a is None else a if b is None else a & b


def _mask(n: int, excluded: Int64) -> Bool:
    mask = np.ones(n, np.bool_)
    mask[excluded] = False
    return mask


def _best(a: tuple[Int64, Float32], b: tuple[Int64, Float32], k: int) -> tuple[Int64, Float32]:
    """Merge two answers to the same queries; ties go to the lower row, and what is missing comes last."""
    rows, scores = np.concatenate([a[0], b[0]], axis=1), np.concatenate([a[1], b[1]], axis=1)
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
