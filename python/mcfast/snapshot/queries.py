"""Users whose items are wanted: what a version and the live store know of them, and the search with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import checks
from ..data import conditions
from ..scale import Scale
from ..seen import Seen
from ..store import keys
from ..store.keys import Id
from .answers import EXACT, FOLDED, INDEX, POPULAR, RecalledMany
from .catalogue import Bool, Catalogue, Float32, Int64
from .live import Online
from .values import Interactions
from .version import Version


class Wanted(NamedTuple):
    """How many items are wanted, and which may come; the arguments of `Recaller.recall`, checked."""

    k: int
    exclude_seen: bool
    exclude: list[Id] | None
    allow: list[Id] | None
    filter: tuple[conditions.Conditions, str] | None
    exact: bool
    threads: int

    @property
    def is_plain(self) -> bool:
        """Whether all items may come that were not seen, out of the index as it is."""
        return self.exclude is None and self.allow is None and self.filter is None and not self.exact

    @classmethod
    def checked(
        cls, k: int, exclude_seen: bool, exclude: Any, allow: Any, filter: Any, exact: bool, threads: int | None
    ) -> Wanted:
        """Check arguments; raises TypeError or ValueError."""
        return cls(
            checks.integer(k, "k", 1),
            checks.flag(exclude_seen, "exclude_seen"),
            None if exclude is None else keys.normalized(exclude, "exclude"),
            None if allow is None else keys.normalized(allow, "allow"),
            None if filter is None else conditions.checked(filter, "filter"),
            checks.flag(exact, "exact"),
            checks.thread_count(threads),
        )


class Queries:
    """Users under one version, or vectors that stand for users.

    Parameters
    ----------
    version : Version
        The version.
    vectors, biases, known : numpy.ndarray
        (n, K) and (n,) float32, and (n,) bool: which of them have a vector.
    mean : float
        What all sums start from.
    scale : Scale
        From sums to scores.
    source : str
        Where the vectors come from.
    published : Seen
        The rows that each has seen.
    """

    def __init__(
        self,
        version: Version,
        vectors: Float32,
        biases: Float32,
        known: npt.NDArray[np.bool_],
        mean: float,
        scale: Scale,
        source: str,
        published: Seen,
    ) -> None:
        self._n = len(vectors)
        self._version = version
        self._vectors, self._biases, self._known = vectors, biases, known
        self._mean, self._scale = mean, scale
        self._sources = [source] * self._n
        self._published = published
        self._interactions: dict[int, Interactions] = {}

    @classmethod
    def of_users(cls, version: Version, online: Online, users: Sequence[bytes], long: Mapping[int, bytes]) -> Queries:
        """Look users up, given as `store.keys.encode_many` gives them, of whom `online` tells what is known online."""
        values = version.table.get_encoded(users, long)
        vectors = values.vectors
        if not vectors.shape[1]:  # the table is empty
            vectors = np.zeros((len(users), version.index.dimension), np.float32)
        seen = Seen(values.seen_indptr, values.seen_rows)
        source = best_source(version)
        queries = cls(version, vectors, values.biases, values.found, version.mean, version.scale, source, seen)
        for i, user in online.users.items():
            queries._interactions[i] = user.interactions
            if user.forgotten:
                queries._known[i] = False
            if user.vector is not None:
                queries._known[i] = True
                vectors[i], values.biases[i] = user.vector.vector, user.vector.bias
                queries._sources[i] = FOLDED
        forgotten = [i for i, user in online.users.items() if user.forgotten]
        if forgotten:
            remaining = np.arange(len(users))
            remaining[forgotten] = -1
            queries._published = seen.select(remaining)
        return queries

    def seen(self, catalogue: Catalogue) -> Seen:
        """Return the rows that each user has seen, as published and as recorded."""
        return _with(self._published, {i: catalogue.rows(met) for i, met in self._interactions.items()})

    def answer(self, catalogue: Catalogue, wanted: Wanted) -> RecalledMany:
        """Search the catalogue for all users."""
        k = min(wanted.k, len(catalogue))
        excluded = self.seen(catalogue) if wanted.exclude_seen else Seen.empty(self._n)
        if wanted.exclude is not None:
            excluded = _with(excluded, dict.fromkeys(range(self._n), catalogue.rows(wanted.exclude)))
        allowed = None
        if wanted.allow is not None or wanted.filter is not None:
            allowed = catalogue.allowed(wanted.allow, wanted.filter)
        if wanted.exact:
            self._sources = [EXACT if source == INDEX else source for source in self._sources]
        if k and self._known.all():  # as a rule, and then arrays need not be taken apart
            rows, scores = self._found(slice(None), catalogue, k, excluded, allowed, wanted)
        else:
            rows = np.full((self._n, k), -1, np.int64)
            scores = np.full((self._n, k), -np.inf, np.float32)
            if k:
                self._search(catalogue, rows, scores, excluded, allowed, wanted)
        counts = np.count_nonzero(rows >= 0, axis=1)
        return RecalledMany(catalogue.ids(rows), scores, counts, self._sources, self._version.number)

    def _found(
        self, which: Any, catalogue: Catalogue, k: int, excluded: Seen, allow: Bool | None, wanted: Wanted
    ) -> tuple[Int64, Float32]:
        """Search with the vectors of some users, of whom `excluded` is."""
        vectors, biases = self._vectors[which], self._biases[which].astype(np.float64)
        rows, scores = catalogue.search(vectors, k, excluded, allow, wanted.exact, wanted.threads)
        return rows, self._scale.scores(scores + (self._mean + biases)[:, None])

    def _search(
        self, catalogue: Catalogue, rows: Int64, scores: Float32, excluded: Seen, allow: Bool | None, wanted: Wanted
    ) -> None:
        k = rows.shape[1]
        known = np.flatnonzero(self._known)
        if len(known):
            own = excluded.select(known)
            rows[known], scores[known] = self._found(known, catalogue, k, own, allow, wanted)
        for i in np.flatnonzero(~self._known):
            self._sources[i] = POPULAR
            popular, counts = catalogue.popular(k, excluded.of_user(int(i)), allow)
            rows[i, : len(popular)], scores[i, : len(popular)] = popular, counts


def best_source(version: Version) -> str:
    """Return what an answer out of the index of a version is called."""
    return EXACT if version.is_exact else INDEX


def _with(seen: Seen, more: Mapping[int, Int64]) -> Seen:
    """Return `seen` and more rows of some users."""
    if not any(len(rows) for rows in more.values()):
        return seen
    users, rows = seen.pairs()
    new_users = np.repeat(np.fromiter(more, np.int32, len(more)), [len(rows) for rows in more.values()])
    new_rows = np.concatenate(list(more.values())).astype(np.int32)
    n = len(seen.indptr) - 1
    return Seen.of(np.concatenate([users, new_users]), np.concatenate([rows, new_rows]), n, 1)
