"""The exact index: a scan of all items in 8 bits, and scores for what it lets through, in the compiled core."""

from __future__ import annotations

from .. import _core, files
from .filters import Filter
from .items import Float32, Items
from .protocol import Index, Int64


class ExactIndex(Index):
    """Finds exactly the k best items. No options."""

    backend = "exact"

    def __init__(self, items: Items, threads: int) -> None:
        super().__init__(items)
        self._core = _core.Exact(items.rows, items.offsets, threads, items.core_metric)

    @property
    def memory(self) -> int:
        """Bytes in memory: the vectors, and their codes; mapped arrays are counted whole."""
        return self._items.memory + self._core.bytes

    @classmethod
    def _build(cls, items: Items, threads: int) -> ExactIndex:
        return cls(items, threads)

    @classmethod
    def _load(cls, items: Items, threads: int, directory: files.Directory) -> ExactIndex:
        return cls(items, threads)

    def _search(self, queries: Float32, k: int, filters: Filter, threads: int) -> tuple[Int64, Float32]:
        rows, scores, _ = self._core.search(queries, k, *filters.arrays, threads)
        return rows, scores
