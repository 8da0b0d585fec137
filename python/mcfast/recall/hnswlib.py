"""The hnswlib index: approximate search in a graph, held to a recall that it measures itself."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks, files, progress
from ..errors import CorruptError
from .approximate import ApproximateIndex, Promise, Setting
from .forms import Form
from .items import Float32, Items
from .protocol import Int64, Saved

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


class Graph:
    """Items in one of the forms in a graph, its traps closed; `ef` is the number of candidates that a search keeps."""

    def __init__(self, form: Form) -> None:
        import hnswlib

        self.form = form
        self._ef = 0
        self._index: Any = hnswlib.Index(form.space, form.columns)

    @classmethod
    def empty(cls, form: Form, *, M: int, ef_construction: int, seed: int) -> Graph:
        """Return a graph with room for all items."""
        graph = cls(form)
        graph._index.init_index(form.items.size, M=M, ef_construction=ef_construction, random_seed=seed)
        return graph

    @classmethod
    def load(cls, form: Form, ef: int, file: Path) -> Graph:
        """Return the graph that `save` wrote to a file."""
        graph = cls(form)
        try:
            graph._index.load_index(str(file), max_elements=form.items.size)
        except RuntimeError as error:
            raise CorruptError(f"{file}: {error}") from None
        graph.set({"ef": ef})
        return graph

    @property
    def memory(self) -> int:
        """Bytes in memory, about."""
        return int(self._index.index_file_size())

    def set(self, setting: Setting) -> None:
        """Set `ef`."""
        self._ef = setting["ef"]
        self._index.set_ef(self._ef)

    def least(self, k: int) -> int:
        """Return how many candidates to ask for: all that a search keeps, at no cost."""
        return max(k, self._ef)

    def insert(self, vectors: Float32, first: int) -> None:
        """Insert vectors as the rows from `first` on, in one thread: the order of insertion makes the graph."""
        self._index.add_items(vectors, np.arange(first, first + len(vectors)), num_threads=1)

    def nearest(self, queries: Float32, k: int, threads: int) -> Int64:
        """Return about the k nearest rows of each prepared query, in any order; all -1 where the graph finds fewer."""
        return self._nearest(self.form.queries(queries), k, threads)

    def _nearest(self, vectors: Float32, k: int, threads: int) -> Int64:
        try:
            labels, _ = self._index.knn_query(vectors, k, num_threads=threads)
        except RuntimeError:  # one query came up short, and the answers to all are lost
            if len(vectors) == 1:
                return np.full((1, k), -1, np.int64)
            return np.concatenate([self._nearest(vector[None], k, 1) for vector in vectors])
        rows: Int64 = labels.astype(np.int64)
        return rows

    def save(self, file: Path) -> None:
        """Write the graph to a file. hnswlib does not notice a full disk, so the size is compared."""
        self._index.save_index(str(file))
        if file.stat().st_size != self._index.index_file_size():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))


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
