"""What indexes share that find candidates by another library: a promised recall, filters, and an exact index behind.

The library only proposes candidates: scores and order come from the core. Where it falls short (it finds fewer rows
than asked for, or filters leave too few), the exact index answers.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np

from .. import _core, checks
from ..errors import RecallWarning
from .exact import ExactIndex
from .filters import EVERYTHING, Filter
from .items import Float32, Items
from .judge import KS, Judge
from .protocol import Index, Int64

HELD_OUT = 256  # queries that recall is measured on
EXACT_SHARE = 128  # to fetch more than one item of this many costs more than to scan all

Setting = Mapping[str, int]  # the values of a library's parameters of search
Made = TypeVar("Made", bound="ApproximateIndex")


class Proposer(Protocol):
    """Items inside another library, in one of the forms."""

    @property
    def memory(self) -> int:
        """Bytes in memory, about."""

    def set(self, setting: Setting) -> None:
        """Search with these parameters from now on."""

    def least(self, k: int) -> int:
        """Return how many candidates to ask for where k items are wanted."""

    def nearest(self, queries: Float32, k: int, threads: int) -> Int64:
        """Return about the k nearest rows of each prepared query, in any order; -1 where it finds fewer."""


class Promise(NamedTuple):
    """The recall that an index is held to, and the prepared queries that it is measured on."""

    recall: float
    queries: Float32
    about: dict[str, Any]

    @classmethod
    def checked(cls, items: Items, recall: float, queries: Any, seed: int = 100, most: int = HELD_OUT) -> Promise:
        """Check the options `recall` and `queries`, of which some are taken; without queries, items stand for them."""
        target = checks.real(recall, "recall", 0, 1, above=True)
        held_out = items.rows if queries is None else items.queries(queries)
        if queries is not None and len(held_out) == 0:
            raise ValueError(checks.message("queries", "none", "at least one"))
        few = np.random.default_rng(seed).permutation(len(held_out))[:most]
        about = {"recall_target": target, "measured_on": "items" if queries is None else "queries"}
        return cls(target, held_out[few].astype(np.float32, copy=False), about)


class ApproximateIndex(Index):
    """A proposer, or None where it would find too little, and the exact index that stands behind it."""

    approximate = True
    served_by: ClassVar[str]  # what info calls the proposer

    def __init__(self, items: Items, proposer: Any, about: dict[str, Any], threads: int) -> None:
        super().__init__(items)
        self._proposer = proposer
        self._about = about
        self._threads = threads
        self._made = ExactIndex(items, threads) if proposer is None else None

    @property
    def _exact(self) -> ExactIndex:
        """The exact index, made when it is first needed: most searches do without."""
        if self._made is None:
            self._made = ExactIndex(self._items, self._threads)
        return self._made

    @property
    def is_exact(self) -> bool:
        """Whether every answer is exact: the proposer found too little, and does not serve."""
        return self._proposer is None

    @property
    def memory(self) -> int:
        """Bytes in memory: items, proposer, and the exact index once it was needed; mapped arrays are counted whole."""
        items = self._made.memory if self._made else self._items.memory
        return items + (self._proposer.memory if self._proposer else 0)

    def _describe(self) -> dict[str, Any]:
        return self._about

    @classmethod
    def _keeping(
        cls: type[Made],
        promise: Promise,
        proposers: Mapping[str, Proposer],
        ladder: Sequence[Setting],
        items: Items,
        about: dict[str, Any],
        threads: int,
    ) -> Made:
        """Keep the best of some proposers, by form, at the first setting that keeps the promise.

        If none does, warn, and answer exactly.
        """
        exact = ExactIndex(items, threads)
        judge = Judge(exact, promise.queries, KS, threads)
        about |= {"exact": judge.measure(lambda some, k: exact._search(some, k, EVERYTHING, 1)).plain}
        curves = {form: [_point(items, p, step, judge) for step in ladder] for form, p in proposers.items()}
        form = min(curves, key=lambda form: _merit(curves[form], promise.recall))
        curve, proposer = curves[form], proposers[form]
        about |= {"form": form, "curve": curve}
        place, point = _cheapest(curve, promise.recall)
        if place == len(curve):
            reached = ", ".join(f"recall@{k} = {value:.3f}" for k, value in point["recall"].items())
            setting = ", ".join(f"{name} = {value}" for name, value in ladder[-1].items())
            text = f"{cls.backend}: {reached} at {setting}, expected {promise.recall:g}"
            warnings.warn(f"{text}: the index answers exactly instead", RecallWarning, stacklevel=4)
            return cls(items, None, about, threads)
        proposer.set(ladder[place])
        about |= {"served_by": cls.served_by, **ladder[place], "recall": point["recall"]}
        return cls(items, proposer, about, threads)

    def _search(self, queries: Float32, k: int, filters: Filter, threads: int) -> tuple[Int64, Float32]:
        if self._proposer is None:
            return self._exact._search(queries, k, filters, threads)
        left = filters.left(len(queries), self.size)
        wanted = np.minimum(k, left)
        least = self._proposer.least(k)
        fetch = _first_fetch(least, filters, left, self.size)
        rows = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        pending = np.flatnonzero(wanted)
        while len(pending):
            found = np.zeros(len(queries), np.int64)
            for count in np.unique(fetch[pending]).tolist():
                group = pending[fetch[pending] == count]
                some = filters.take(group)
                if count > max(least, self.size // EXACT_SHARE):
                    rows[group], scores[group] = self._exact._search(queries[group], k, some, threads)
                    found[group] = wanted[group]
                else:
                    candidates = self._proposer.nearest(queries[group], min(count, self.size), threads)
                    rows[group], scores[group], found[group] = _ranked(
                        self._items, queries[group], candidates, k, some, threads
                    )
            pending = pending[found[pending] < wanted[pending]]
            fetch[pending] *= 2
        return rows, scores

    def _search_exactly(self, queries: Float32, k: int, filters: Filter, threads: int) -> tuple[Int64, Float32]:
        return self._exact._search(queries, k, filters, threads)


def _first_fetch(least: int, filters: Filter, left: Int64, size: int) -> Int64:
    """Return how many candidates to ask for each query: `least` times a power of two, so that batches form.

    Enough for about `least` to pass the filters: excluded items count in full, since those that a user has seen lie
    near the user; an allow-mask counts as random.
    """
    fetch = np.full(len(left), least, np.int64)
    needed = fetch if filters.indptr is None else least + np.diff(filters.indptr)
    if filters.allow is not None:
        needed = np.maximum(needed, least * size // np.maximum(left, 1))
    while (small := fetch < np.minimum(needed, size)).any():
        fetch[small] *= 2
    return fetch


def _ranked(
    items: Items, queries: Float32, candidates: Int64, k: int, filters: Filter, threads: int
) -> tuple[Int64, Float32, Int64]:
    return _core.rank(items.rows, items.offsets, items.core_metric, queries, candidates, k, *filters.arrays, threads)


def _point(items: Items, proposer: Proposer, setting: Setting, judge: Judge) -> dict[str, Any]:
    """Return a point of the curve: recall and queries a second by k, in one thread."""
    proposer.set(setting)

    def search(queries: Float32, k: int) -> tuple[Int64, Float32]:
        candidates = proposer.nearest(queries, min(proposer.least(k), items.size), 1)
        return _ranked(items, queries, candidates, k, EVERYTHING, 1)[:2]

    return {**setting, **judge.measure(search).plain}


def _cheapest(curve: list[dict[str, Any]], target: float) -> tuple[int, dict[str, Any]]:
    """Return the first point of a curve whose recall reaches the target at every k, and its place; else the last."""
    reached = (entry for entry in enumerate(curve) if min(entry[1]["recall"].values()) >= target)
    return next(reached, (len(curve), curve[-1]))


def _merit(curve: list[dict[str, Any]], target: float) -> tuple[float, float]:
    """Order curves, the better first: by the place on the ladder that they need, then by the recall they have there."""
    place, point = _cheapest(curve, target)
    return place, -min(point["recall"].values())
