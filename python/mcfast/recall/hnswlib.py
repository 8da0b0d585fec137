"""The hnswlib index: approximate search in a graph, held to a recall that it measures itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .. import checks, files, progress
from .approximate import ApproximateIndex, Promise
from .forms import Form
from .graph import Graph
from .items import Items
from .protocol import Saved

LADDER = (16, 32, 64, 128, 256, 512, 1024)  # values of ef that are tried
CHUNK = 4096  # items inserted between two looks at the keyboard


class HnswlibIndex(ApproximateIndex):
    """A graph of the package hnswlib."""

    backend = "hnswlib"
    served_by = "graph"

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
        promise = Promise.checked(items, recall, queries, seed)
        about = {"parameters": parameters, **promise.about, "served_by": "exact"}
        if items.size == 0:
            return cls(items, None, about, threads)
        forms = ("raw", "reduced") if items.metric == "ip" else ("raw",)
        graphs = {form: Graph.empty(Form(items, form), **parameters) for form in forms}
        _insert(list(graphs.values()), threads)
        return cls._keeping(promise, graphs, [{"ef": ef} for ef in LADDER], items, about, threads)

    @classmethod
    def _load(cls, items: Items, threads: int, directory: files.Directory) -> HnswlibIndex:
        about = directory.fields["about"]
        graph = None
        if about["served_by"] == cls.served_by:
            graph = Graph.load(Form(items, about["form"]), about["ef"], directory.blobs["graph"])
        return cls(items, graph, about, threads)

    def _save(self) -> Saved:
        return Saved({"about": self._about}, {"graph": self._proposer.save} if self._proposer else {})


def _insert(graphs: list[Graph], threads: int) -> None:
    """Insert all items: graphs at the same time, but each in one thread."""
    vectors = [graph.form.vectors() for graph in graphs]
    n = len(vectors[0])
    with ThreadPoolExecutor(min(threads, len(graphs))) as pool, progress.bar(n, "hnswlib") as bar:
        for first in range(0, n, CHUNK):
            jobs = [
                pool.submit(g.insert, v[first : first + CHUNK], first) for g, v in zip(graphs, vectors, strict=True)
            ]
            for job in jobs:
                job.result()
            bar.update(min(CHUNK, n - first))
