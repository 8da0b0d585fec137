"""The hnswlib index: approximate search in a graph, held to a recall that it measures itself.

The graph only proposes candidates: scores and order come from the core. Where the graph falls short (it finds fewer
rows than asked for, or filters leave too few), the exact index answers.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .. import _core, checks, files, progress
from ..errors import RecallWarning
from .exact import ExactIndex
from .filters import EVERYTHING, Filter
from .graph import Graph
from .items import Float32, Items
from .judge import KS, Judge
from .protocol import Index, Int64, Saved

LADDER = (16, 32, 64, 128, 256, 512, 1024)  # values of ef that are tried
HELD_OUT = 256  # queries that recall is measured on
CHUNK = 4096  # items inserted between two looks at the keyboard
EXACT_SHARE = 128  # to fetch more than one item of this many from the graph costs more than to scan all


class HnswlibIndex(Index):
    """A graph, or None where it would find too little, and the exact index that stands behind it."""

    backend = "hnswlib"
    approximate = True

    def __init__(self, items: Items, graph: Graph | None, about: dict[str, Any], threads: int) -> None:
        super().__init__(items)
        self._graph = graph
        self._about = about
        self._threads = threads
        self._made = ExactIndex(items, threads) if graph is None else None

    @property
    def _exact(self) -> ExactIndex:
        """The exact index, made when it is first needed: most searches do without."""
        if self._made is None:
            self._made = ExactIndex(self._items, self._threads)
        return self._made

    @property
    def is_exact(self) -> bool:
        """Whether every answer is exact: the graph found too little, and does not serve."""
        return self._graph is None

    @property
    def memory(self) -> int:
        """Bytes in memory: items, graph, and the exact index once it was needed; mapped arrays are counted whole."""
        items = self._made.memory if self._made else self._items.memory
        return items + (self._graph.memory if self._graph else 0)

    @classmethod
    def _build(
        cls,
        items: Items,
        threads: int,
        *,
        M: int = 16,
        ef_construction: int = 200,
        seed: int = 100,
        recall: float = 0.95,
        queries: Any = None,
    ) -> HnswlibIndex:
        parameters = {
            "M": checks.integer(M, "M", 2, 512),
            "ef_construction": checks.integer(ef_construction, "ef_construction", 1, 100_000),
            "seed": checks.integer(seed, "seed", 0, 2**63 - 1),
        }
        target = checks.real(recall, "recall", 0, 1, above=True)
        held_out = items.rows if queries is None else items.queries(queries)
        if queries is not None and len(held_out) == 0:
            raise ValueError(checks.message("queries", "none", "at least one"))
        measured_on = "items" if queries is None else "queries"
        about = {"parameters": parameters, "recall_target": target, "measured_on": measured_on, "served_by": "exact"}
        if items.size == 0:
            return cls(items, None, about, threads)
        few = np.random.default_rng(seed).permutation(len(held_out))[:HELD_OUT]
        judge, about["exact"] = _judge(items, held_out[few], threads)
        graph, point, found = _best_graph(items, parameters, judge, target, threads)
        about |= found
        if point is None:
            reached = ", ".join(f"recall@{k} = {value:.3f}" for k, value in found["curve"][-1]["recall"].items())
            text = f"hnswlib: {reached} at ef = {LADDER[-1]}, expected {target:g}: the index answers exactly instead"
            warnings.warn(text, RecallWarning, stacklevel=3)
            return cls(items, None, about, threads)
        graph.set_ef(point["ef"])
        about |= {"served_by": "graph", "ef": point["ef"], "recall": point["recall"]}
        return cls(items, graph, about, threads)

    @classmethod
    def _load(cls, items: Items, threads: int, directory: files.Directory) -> HnswlibIndex:
        about = directory.fields["about"]
        graph = None
        if about["served_by"] == "graph":
            graph = Graph.load(items, about["form"], about["ef"], directory.blobs["graph"])
        return cls(items, graph, about, threads)

    def _save(self) -> Saved:
        return Saved({"about": self._about}, {"graph": self._graph.save} if self._graph else {})

    def _describe(self) -> dict[str, Any]:
        return self._about

    def _search(self, queries: Float32, k: int, filters: Filter, threads: int) -> tuple[Int64, Float32]:
        if self._graph is None:
            return self._exact._search(queries, k, filters, threads)
        left = filters.left(len(queries), self.size)
        wanted = np.minimum(k, left)
        least = max(k, self._graph.ef)
        fetch = _first_fetch(least, filters, left, self.size)
        rows = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        pending = np.flatnonzero(wanted)
        while len(pending):
            found = np.zeros(len(queries), np.int64)
            for count in np.unique(fetch[pending]):
                group = pending[fetch[pending] == count]
                some = filters.take(group)
                if count > max(least, self.size // EXACT_SHARE):
                    rows[group], scores[group] = self._exact._search(queries[group], k, some, threads)
                    found[group] = wanted[group]
                else:
                    candidates = self._graph.nearest(queries[group], min(count, self.size), threads)
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


def _judge(items: Items, queries: Float32, threads: int) -> tuple[Judge, dict[str, Any]]:
    """Return the judge of the graphs, and what the exact index reaches before it."""
    exact = ExactIndex(items, threads)
    judge = Judge(exact, queries, KS, threads)
    return judge, judge.measure(lambda some, k: exact._search(some, k, EVERYTHING, 1)).plain


def _best_graph(
    items: Items, parameters: dict[str, int], judge: Judge, target: float, threads: int
) -> tuple[Graph, dict[str, Any] | None, dict[str, Any]]:
    """Return the better graph of the forms, the point of its curve that reaches the target, and its form and curve."""
    forms = ("raw", "reduced") if items.metric == "ip" else ("raw",)
    graphs = [Graph.empty(items, form, **parameters) for form in forms]
    _insert(graphs, threads)
    curves = [[_measured(graph, ef, judge) for ef in LADDER] for graph in graphs]
    best = min(range(len(graphs)), key=lambda i: _merit(curves[i], target))
    return graphs[best], _cheapest(curves[best], target), {"form": forms[best], "curve": curves[best]}


def _insert(graphs: list[Graph], threads: int) -> None:
    """Insert all items: graphs at the same time, but each in one thread."""
    vectors = [graph.vectors() for graph in graphs]
    n = len(vectors[0])
    with ThreadPoolExecutor(min(threads, len(graphs))) as pool, progress.bar(n, "hnswlib") as bar:
        for first in range(0, n, CHUNK):
            jobs = [
                pool.submit(g.insert, v[first : first + CHUNK], first) for g, v in zip(graphs, vectors, strict=True)
            ]
            for job in jobs:
                job.result()
            bar.update(min(CHUNK, n - first))


def _measured(graph: Graph, ef: int, judge: Judge) -> dict[str, Any]:
    """Return a point of the curve: recall and queries a second by k, in one thread."""
    graph.set_ef(ef)

    def search(queries: Float32, k: int) -> tuple[Int64, Float32]:
        candidates = graph.nearest(queries, min(max(k, ef), graph.items.size), 1)
        return _ranked(graph.items, queries, candidates, k, EVERYTHING, 1)[:2]

    return {"ef": ef, **judge.measure(search).plain}


def _cheapest(curve: list[dict[str, Any]], target: float) -> dict[str, Any] | None:
    """Return the first point of a curve whose recall reaches the target at every k."""
    return next((point for point in curve if min(point["recall"].values()) >= target), None)


def _merit(curve: list[dict[str, Any]], target: float) -> tuple[float, float]:
    """Order curves, the better first: by the ef that they need, then by the recall they have there."""
    point = _cheapest(curve, target)
    ef = float("inf") if point is None else point["ef"]
    return ef, -min((point or curve[-1])["recall"].values())
