"""How much of the exact answer an index finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import checks
from .changing import ChangingIndex
from .exact import ExactIndex
from .filters import EVERYTHING
from .items import Float32
from .protocol import Index, Int64

KS = (10, 100)  # cuts at which an approximate index measures itself
DOUBT = 1.645  # standard errors that a recall may be too good by chance: one time in twenty it is more

_Search = Callable[[Float32, int], tuple[Int64, Float32]]


class Measured(NamedTuple):
    """Recall, what it is at least on queries like these, and queries a second, all by k."""

    recall: dict[int, float]
    at_least: dict[int, float]
    queries_per_second: dict[int, float]

    @property
    def plain(self) -> dict[str, dict[str, float]]:
        """Recall and queries a second as JSON has them."""
        kept = {"recall": self.recall, "queries_per_second": self.queries_per_second}
        return {name: {str(k): value for k, value in by_k.items()} for name, by_k in kept.items()}


class Judge:
    """Exact answers to some prepared queries, against which searches are held."""

    def __init__(self, exact: ExactIndex, queries: Float32, ks: Iterable[int], threads: int) -> None:
        self.queries = queries
        self.ks = sorted({min(k, exact.size) for k in ks})
        _, scores = exact._search(queries, self.ks[-1], EVERYTHING, threads)
        self._worst = {k: scores[:, k - 1 : k] for k in self.ks}

    def measure(self, search: _Search) -> Measured:
        """Hold a search against the exact answers: the share of the k places filled by items that belong there.

        Items that tie with the k-th belong there too: scores have the same bits wherever they come from.
        """
        recall, at_least, speed = {}, {}, {}
        for k in self.ks:
            start = time.perf_counter()
            _, scores = search(self.queries, k)
            speed[k] = len(self.queries) / (time.perf_counter() - start)
            by_query = np.mean(scores >= self._worst[k], axis=1)
            recall[k] = float(by_query.mean())
            at_least[k] = recall[k] - DOUBT * float(by_query.std()) / len(by_query) ** 0.5
        return Measured(recall, at_least, speed)


def exactly(index: Index, threads: int) -> ExactIndex:
    """Return an exact index of the items that an index has now."""
    if not isinstance(index, ChangingIndex):
        return ExactIndex(index._items, threads)
    items, removed = index.current()
    exact = ExactIndex(items, threads)
    exact.remove(removed)
    return exact


def measure(index: Index, queries: Any, k: int = 10, *, threads: int | None = None) -> float:
    """Return the recall of an index: the share of the exact k best items that it finds, over all queries.

    Parameters
    ----------
    index : Index
        Any index.
    queries : array_like
        (m, dimension) query vectors, as those that the index will serve; at least one.
    k : int, default 10
        How many items; at most all are counted.
    threads : int, optional
        Threads to use; None (the default) means all that the process may use.

    Returns
    -------
    float
        Between 0 and 1; 1 for an exact index. Items whose score ties with the k-th best count as found.

    Raises
    ------
    TypeError, ValueError
        An argument has a wrong type, shape or range.
    """
    workers = checks.thread_count(threads)
    prepared = index._items.queries(queries)
    if len(prepared) == 0 or index.size == 0:
        raise ValueError(checks.message("queries", f"{len(prepared)} for {index.size} items", "at least one of each"))
    judge = Judge(exactly(index, workers), prepared, [checks.integer(k, "k", 1)], workers)
    return judge.measure(lambda q, k: index._search(q, k, EVERYTHING, workers)).recall[judge.ks[0]]
