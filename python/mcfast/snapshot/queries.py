"""Users whose items are wanted: what a version and the live store know of them, and the search with it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..seen import Seen
from ..store.keys import Id
from .answers import EXACT, FOLDED, INDEX, POPULAR, RecalledMany
from .catalogue import Bool, Catalogue, Float32, Int64
from .live import Live
from .values import Interactions
from .version import Version


class Queries:
    """What is known of some users under one version.

    Parameters
    ----------
    version : Version
        The version.
    live : Live
        What is written online.
    users, long : list of bytes, mapping of int to bytes
        The users, as `store.keys.encode_many` gives them.
    """

    def __init__(self, version: Version, live: Live, users: list[bytes], long: Mapping[int, bytes]) -> None:
        online = live.look(users, version.number)
        values = version.table.get_encoded(users, long)
        self.items_changed = online.items_changed
        self._n = len(users)
        self._version = version
        self._known = values.found
        self._vectors = values.vectors
        if not self._vectors.shape[1]:  # the table is empty
            self._vectors = np.zeros((self._n, version.index.dimension), np.float32)
        self._biases = values.biases
        self._sources = [EXACT if version.index.is_exact else INDEX] * self._n
        self._published = Seen(values.seen_indptr, values.seen_rows)
        self._interactions: dict[int, Interactions] = {}
        for i, user in online.users.items():
            self._interactions[i] = user.interactions
            if user.forgotten:
                self._known[i] = False
            if user.vector is not None:
                self._known[i] = True
                self._vectors[i], self._biases[i] = user.vector.vector, user.vector.bias
                self._sources[i] = FOLDED
        forgotten = [i for i, user in online.users.items() if user.forgotten]
        if forgotten:
            remaining = np.arange(self._n)
            remaining[forgotten] = -1
            self._published = self._published.select(remaining)

    def seen(self, catalogue: Catalogue) -> Seen:
        """Return the rows that each user has seen, as published and as recorded."""
        return _with(self._published, {i: catalogue.rows(met) for i, met in self._interactions.items()})

    def answer(
        self,
        catalogue: Catalogue,
        k: int,
        exclude_seen: bool,
        exclude: list[Id] | None,
        allow: list[Id] | None,
        threads: int,
    ) -> RecalledMany:
        """Search the catalogue for all users."""
        excluded = self.seen(catalogue) if exclude_seen else Seen.empty(self._n)
        if exclude is not None:
            excluded = _with(excluded, dict.fromkeys(range(self._n), catalogue.rows(exclude)))
        allowed: Bool | None = None
        if allow is not None:
            allowed = np.zeros(len(catalogue), np.bool_)
            allowed[catalogue.rows(allow)] = True
        rows = np.full((self._n, k), -1, np.int64)
        scores = np.full((self._n, k), -np.inf, np.float32)
        if k:
            self._search(catalogue, rows, scores, excluded, allowed, threads)
        counts = np.count_nonzero(rows >= 0, axis=1)
        return RecalledMany(catalogue.ids(rows), scores, counts, self._sources, self._version.number)

    def _search(
        self, catalogue: Catalogue, rows: Int64, scores: Float32, excluded: Seen, allow: Bool | None, threads: int
    ) -> None:
        k = rows.shape[1]
        known = np.flatnonzero(self._known)
        if len(known):
            own = excluded if len(known) == self._n else excluded.select(known)
            rows[known], found = catalogue.search(self._vectors[known], k, own, allow, threads)
            scores[known] = found + (self._version.mean + self._biases[known].astype(np.float64))[:, None]
        for i in np.flatnonzero(~self._known):
            self._sources[i] = POPULAR
            popular, counts = catalogue.popular(k, excluded.of_user(int(i)), allow)
            rows[i, : len(popular)], scores[i, : len(popular)] = popular, counts


def _with(seen: Seen, more: Mapping[int, Int64]) -> Seen:
    """Return `seen` and more rows of some users."""
    if not any(len(rows) for rows in more.values()):
        return seen
    users, rows = seen.pairs()
    new_users = np.repeat(np.fromiter(more, np.int32, len(more)), [len(rows) for rows in more.values()])
    new_rows = np.concatenate(list(more.values())).astype(np.int32)
    n = len(seen.indptr) - 1
    return Seen.of(np.concatenate([users, new_users]), np.concatenate([rows, new_rows]), n, 1)
