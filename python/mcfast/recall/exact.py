"""The exact index: a scan of all items in 8 bits, and scores for what it lets through, in the compiled core."""

from __future__ import annotations

from .. import checks, files
from .._core import Exact
from .changing import ChangingIndex
from .filters import Filter
from .items import PRECISIONS, Float32, Items
from .protocol import Int64, Saved


class ExactIndex(ChangingIndex):
    """Finds exactly the k best items."""

    backend = "exact"
    _core: Exact

    def __init__(self, items: Items, threads: int) -> None:
        super().__init__(items, threads)
        self._core = Exact(items.core_rows, items.offsets, threads, items.core_metric)

    @classmethod
    def _build(cls, items: Items, threads: int, *, precision: str = "float32") -> ExactIndex:
        return cls(items.rounded(checks.choice(precision, "precision", PRECISIONS)), threads)

    @classmethod
    def _load(cls, items: Items, threads: int, directory: files.Directory) -> ExactIndex:
        return cls(items, threads)._changed(directory.arrays)

    def _rebuilt(self, items: Items) -> ExactIndex:
        return ExactIndex(items, self._threads)

    def _save(self) -> Saved:
        return self._changes()

    def _search(self, queries: Float32, k: int, filters: Filter, threads: int) -> tuple[Int64, Float32]:
        rows, scores, _ = self._core.search(queries, k, *filters.arrays, threads)
        return rows, scores
