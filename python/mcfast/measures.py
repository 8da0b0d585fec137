"""Measures of rankings, user by user, in blocks of users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from .progress import bar
from .ranking import BATCH, Mask, Rows
from .recommender import Recommender

POPULAR = 0.1  # share of the catalogue that counts as popular, by number of training pairs
NAMES = ("recall", "precision", "ndcg", "map", "mrr", "hit_rate")

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Protocol:
    """How rankings are measured: the arguments of `mcfast.evaluate`."""

    cuts: list[int]
    recall_denominator: str = "relevant"
    exclude_seen: bool = True
    buckets: int = 1
    allow: Mask | None = None
    threads: int = 1
    progress: bool | None = None


class Measured(NamedTuple):
    """What `measure` returns."""

    users: Rows  # the user rows that were measured
    by_user: dict[str, Doubles]  # name -> one value a user; NaN where a user has no relevant item of that kind
    of_lists: dict[str, float]  # measures of all lists together


def measure(model: Recommender, users: Rows, items: Rows, protocol: Protocol) -> Measured:
    """Measure the ranking on relevant pairs of rows; item row -1 is one that the model does not know."""
    counts = model.seen.item_counts(len(model.items))
    rows, inverse = np.unique(users, return_inverse=True)
    places = inverse.astype(np.int32)
    n_buckets, cuts = protocol.buckets, protocol.cuts
    bucket = popularity_buckets(counts, n_buckets)[items] if n_buckets > 1 else np.zeros(len(items), np.int64)
    bucket[items < 0] = n_buckets - 1
    kinds = {"": np.ones(len(items), bool)}
    if n_buckets > 1:
        kinds |= {f".bucket{b + 1}": bucket == b for b in range(n_buckets)}
    relevant = {kind: _Relevant.of(places[of], items[of], len(rows), protocol.threads) for kind, of in kinds.items()}
    lists = _Lists(counts, cuts)
    parts: dict[str, list[Doubles]] = {kind: [] for kind in kinds}
    seen = model.seen if protocol.exclude_seen else None
    with bar(len(rows), "evaluate", show=protocol.progress, unit="user") as shown:
        for start in range(0, len(rows), BATCH):
            stop = min(start + BATCH, len(rows))
            k = min(cuts[-1], len(model.items))
            found, _, _ = model.rank_rows(rows[start:stop], k, seen, protocol.allow, protocol.threads, False)
            lists.add(found)
            for kind, of in relevant.items():
                parts[kind].append(of.measures(found, start, stop, cuts, protocol.threads))
            shown.update(stop - start)

    source = {**{name: name for name in NAMES}}
    if protocol.recall_denominator == "min":
        source["recall"] = "capped_recall"
    by_user = {
        f"{name}@{cut}{kind}": values[:, c, _core.measures.index(source[name])]
        for kind, blocks in parts.items()
        for values in [np.concatenate(blocks) if blocks else np.empty((0, len(cuts), len(_core.measures)))]
        for c, cut in enumerate(cuts)
        for name in NAMES
    }
    return Measured(rows, by_user, lists.measures())


def popularity_buckets(counts: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Cut a catalogue into n buckets with about equally many pairs each; bucket 0 holds the most popular items."""
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]  # pairs of more popular items
    bucket = np.empty(len(counts), np.int64)
    bucket[order] = np.minimum(before * n // max(1, counts.sum()), n - 1)
    return bucket


class _Relevant(NamedTuple):
    """The relevant items of each measured user."""

    indptr: npt.NDArray[np.int64]
    rows: Rows
    counts: npt.NDArray[np.int64]  # those the model does not know included

    @classmethod
    def of(cls, places: Rows, items: Rows, n: int, threads: int) -> _Relevant:
        known = items >= 0
        indptr, rows = _core.items_of_users(places[known], items[known], n, threads)
        return cls(indptr, rows, np.bincount(places, minlength=n).astype(np.int64))

    def measures(self, found: npt.NDArray[np.int64], start: int, stop: int, cuts: list[int], threads: int) -> Doubles:
        own = self.indptr[start : stop + 1]
        rows = self.rows[own[0] : own[-1]]
        return _core.ranking_measures(found, own - own[0], rows, self.counts[start:stop], cuts, threads)


class _Lists:
    """What the lists of all users hold together."""

    def __init__(self, counts: npt.NDArray[np.int64], cuts: list[int]) -> None:
        n_items = len(counts)
        self._cuts = cuts
        self._popular = np.zeros(n_items, bool)
        self._popular[np.argsort(-counts, kind="stable")[: max(1, round(POPULAR * n_items))]] = True
        self._listed = np.zeros((len(cuts), n_items), bool)
        self._places, self._popular_places = np.zeros(len(cuts)), np.zeros(len(cuts))

    def add(self, found: npt.NDArray[np.int64]) -> None:
        for c, cut in enumerate(self._cuts):
            listed = found[:, :cut][found[:, :cut] >= 0]
            self._listed[c, listed] = True
            self._popular_places[c] += self._popular[listed].sum()
            self._places[c] += len(listed)

    def measures(self) -> dict[str, float]:
        out = {}
        for c, cut in enumerate(self._cuts):
            out[f"coverage@{cut}"] = float(self._listed[c].mean())
            share = self._popular_places[c] / self._places[c] if self._places[c] else np.nan
            out[f"popular_share@{cut}"] = float(share)
        return out
