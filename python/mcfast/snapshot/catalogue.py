"""The items that can be recalled: those of a version, and those put online, which may replace some of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import recall
from ..data.conditions import Conditions, hold
from ..recall.filters import Filter
from ..seen import Seen
from ..store.keys import Id
from .values import OnlineItem
from .version import Version, by_cosine

Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

MASKS = 32  # conditions whose rows are kept


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
        self._masks: dict[str, Bool] = {}
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

    @property
    def is_published(self) -> bool:
        """Whether the items are those of the version and no others."""
        return self._added is None

    def rows(self, ids: Iterable[Id]) -> Int64:
        """Return the rows of those ids that are known."""
        rows = self.find(list(ids))
        return rows[rows >= 0]

    def find(self, ids: Sequence[Id]) -> Int64:
        """Return the rows of ids, -1 where one is unknown."""
        items = self.version.items
        rows = np.full(len(ids), -1, np.int64)
        fitting = [i for i, id in enumerate(ids) if isinstance(id, int) == items.is_integer] if len(items) else []
        if fitting:
            rows[fitting] = items.rows([ids[i] for i in fitting], "items", "skip")
        for i in np.flatnonzero(rows < 0).tolist() if self._row_of else ():
            rows[i] = self._row_of.get(ids[i], -1)
        return rows

    def vectors(self, rows: Int64) -> tuple[Float32, Float32]:
        """Return the vectors and the biases of rows."""
        index = self.version.index
        old = np.where(rows < index.size, rows, 0)
        nothing = np.zeros((len(rows), index.dimension), np.float32)
        vectors = index.rows[old, : index.dimension] if index.size else nothing
        biases = np.zeros(len(rows), np.float32) if index.offsets is None else index.offsets[old]
        if self._added is not None:
            place = np.minimum(np.searchsorted(self._order, rows), len(self._order) - 1)
            online = self._order[place] == rows
            vectors[online] = self._added.rows[place[online], : index.dimension]
            biases[online] = 0 if self._added.offsets is None else self._added.offsets[place[online]]
        return vectors, biases

    def allowed(self, allow: Iterable[Id] | None, conditions: tuple[Conditions, str] | None) -> Bool | None:
        """Return which rows may be recalled, None for all: those of ids, and those that hold conditions."""
        mask: Bool | None = None
        if allow is not None:
            mask = np.zeros(len(self), np.bool_)
            mask[self.rows(allow)] = True
        return mask if conditions is None else _both(mask, self._holding(*conditions))

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
        self, queries: Float32, k: int, excluded: Seen, allow: Bool | None, exact: bool, threads: int
    ) -> tuple[Int64, Float32]:
        """Find the k best items of each query: rows and scores, best first, -1 and -inf where fewer are left.

        With `exact` all items are compared, whatever the index.
        """
        return self._search(self.version.index, self._added, queries, k, excluded, allow, exact, threads)

    def similar(self, row: int, k: int, allow: Bool | None, threads: int) -> tuple[Int64, Float32]:
        """Return the k items whose vectors have the largest cosine with that of a row: rows and cosines."""
        query, _ = self.vectors(np.array([row]))
        itself = Seen.of(np.zeros(1, np.int32), np.array([row], np.int32), 1, 1)
        rows, cosines = self._search(
            self.version.by_cosine, self._added_by_cosine, query, k, itself, allow, True, threads
        )
        found = rows[0] >= 0
        return rows[0, found], cosines[0, found]

    def _search(
        self,
        published: recall.Index,
        added: recall.Index | None,
        queries: Float32,
        k: int,
        excluded: Seen,
        allow: Bool | None,
        exact: bool,
        threads: int,
    ) -> tuple[Int64, Float32]:
        """Search an index of the version's items and one of those put online."""
        if added is None:
            return _found(published, queries, k, excluded, allow, exact, threads)
        n = len(self.version.items)
        asked, rows = excluded.pairs()
        old = rows < n
        own = Seen.of(asked[old], rows[old], len(queries), 1)
        may = _both(self._not_replaced, None if allow is None else allow[:n])
        first = _found(published, queries, k, own, may, exact, threads)
        place = np.searchsorted(self._order, rows)
        place[place == len(self._order)] = 0
        among = self._order[place] == rows
        own = Seen.of(asked[among], place[among].astype(np.int32), len(queries), 1)
        may = None if allow is None else allow[self._order]
        found, scores = _found(added, queries, k, own, may, exact, threads)
        return _best(first, (np.where(found < 0, -1, self._order[found]), scores), k)

    @cached_property
    def _added_by_cosine(self) -> recall.Index | None:
        """The items put online, by cosine."""
        return None if self._added is None else by_cosine(self._added, threads=1)

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

    def _holding(self, conditions: Conditions, text: str) -> Bool:
        """Return which rows hold conditions. The latest ones are kept: services repeat them."""
        if text not in self._masks:
            mask = np.zeros(len(self), np.bool_)
            mask[: len(self.version.items)] = self.version.item_attributes.matching(conditions, self.version.items)
            ids = list(self._attributes)
            for id, row in zip(ids, self.find(ids).tolist(), strict=True):
                mask[row] = hold(self.attributes(id), conditions)
            while len(self._masks) >= MASKS:
                self._masks.pop(next(iter(self._masks)), None)
            self._masks[text] = mask
        return self._masks[text]


def _index_of(added: list[OnlineItem]) -> recall.Index | None:
    if not added:
        return None
    vectors = np.stack([item.value.vector for item in added])
    return recall.build("exact", vectors, "ip", offsets=[item.value.bias for item in added], threads=1)


def _found(
    index: recall.Index, queries: Float32, k: int, excluded: Seen, allow: Bool | None, exact: bool, threads: int
) -> tuple[Int64, Float32]:
    filters = Filter(excluded.indptr, excluded.rows, None if allow is None else allow.view(np.uint8))
    return index.search_checked(queries, k, filters, threads, exact=exact)


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
