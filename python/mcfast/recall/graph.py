"""A graph of the package hnswlib, with its traps closed: it proposes candidates, and says where it has too few."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CorruptError
from .items import Float32, Items
from .protocol import Int64


class Graph:
    """Vectors of items in one of two forms, and `ef`, the number of candidates that a search keeps.

    "raw" is the metric's own space; an offset becomes a column, which queries meet with a 1. "reduced" turns the
    largest inner product into the smallest distance, by a column that brings all items to one length (Bachrach et al.
    2014; Neyshabur and Srebro 2015).
    """

    def __init__(self, items: Items, form: str) -> None:
        import hnswlib

        self.items = items
        self.ef = 0
        self._reduced = form == "reduced"
        self._columns = items.dimension + (items.offsets is not None) + self._reduced
        space = "l2" if self._reduced or items.metric == "l2" else "ip"
        self._index: Any = hnswlib.Index(space, self._columns)

    @classmethod
    def empty(cls, items: Items, form: str, *, M: int, ef_construction: int, seed: int) -> Graph:
        """Return a graph with room for all items."""
        graph = cls(items, form)
        graph._index.init_index(items.size, M=M, ef_construction=ef_construction, random_seed=seed)
        return graph

    @classmethod
    def load(cls, items: Items, form: str, ef: int, file: Path) -> Graph:
        """Return the graph that `save` wrote to a file."""
        graph = cls(items, form)
        try:
            graph._index.load_index(str(file), max_elements=items.size)
        except RuntimeError as error:
            raise CorruptError(f"{file}: {error}") from None
        graph.set_ef(ef)
        return graph

    @property
    def memory(self) -> int:
        """Bytes in memory, about."""
        return int(self._index.index_file_size())

    def set_ef(self, ef: int) -> None:
        """Set `ef`; a search for more rows than that keeps as many as it is asked for."""
        self.ef = ef
        self._index.set_ef(ef)

    def vectors(self) -> Float32:
        """Return the items as the graph has them."""
        items = self.items
        vectors = np.zeros((items.size, self._columns), np.float32)
        vectors[:, : items.dimension] = items.rows[:, : items.dimension]
        squares = np.einsum("nk,nk->n", items.rows, items.rows, dtype=np.float64)
        if items.offsets is not None:
            vectors[:, items.dimension] = items.offsets
            squares += np.square(items.offsets, dtype=np.float64)
        if self._reduced:
            vectors[:, -1] = np.sqrt(squares.max() - squares)
        return vectors

    def insert(self, vectors: Float32, first: int) -> None:
        """Insert vectors as the rows from `first` on, in one thread: the order of insertion makes the graph."""
        self._index.add_items(vectors, np.arange(first, first + len(vectors)), num_threads=1)

    def nearest(self, queries: Float32, k: int, threads: int) -> Int64:
        """Return about the k nearest rows of each prepared query, in any order; all -1 where the graph finds fewer."""
        vectors = np.zeros((len(queries), self._columns), np.float32)
        vectors[:, : self.items.dimension] = queries[:, : self.items.dimension]
        if self.items.offsets is not None:
            vectors[:, self.items.dimension] = 1
        return self._nearest(vectors, k, threads)

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
