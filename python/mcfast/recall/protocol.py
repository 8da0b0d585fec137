"""What every index can do. A backend fills in the four underscored methods and never sees unchecked input."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .. import checks, files
from .filters import Filter
from .items import Float32, Items

KIND = files.Kind("mcfast-index", 2)

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Saved:
    """What a backend keeps on disk beside the items: manifest fields, files of another's format, and arrays."""

    fields: dict[str, Any] = field(default_factory=dict)
    blobs: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    format: int = 1  # the oldest that has all this


class Index(ABC):
    """Items that can be searched; made by `mcfast.recall.build` and `mcfast.recall.load`.

    Several threads may search it at once. Those that `add`, `replace` and `remove` do so while they are searched; the
    others never change.
    """

    backend: ClassVar[str]
    approximate: ClassVar[bool] = False  # takes the options `recall` and `queries`
    package: ClassVar[str | None] = None  # what must be installed beside mcfast
    local: ClassVar[bool] = True  # needs nothing outside the directory it is saved to

    def __init__(self, items: Items) -> None:
        self._items = items
        self.chosen: dict[str, Any] | None = None  # why "auto" took this one, if it did

    @property
    def size(self) -> int:
        """Number of items."""
        return self._items.size

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._items.dimension

    @property
    def rows(self) -> Float32:
        """The vectors of the items as the core takes them: (size, width) float32, padded with zeros; not to be changed.

        Those of "cosine" have length 1.
        """
        return self._items.floats

    @property
    def offsets(self) -> Float32 | None:
        """What is added to the inner product with each item, (size,) float32; None where nothing is."""
        return self._items.offsets

    @property
    def precision(self) -> str:
        """What the vectors were rounded to: "float32" or "float16"."""
        return str(self._items.rows.dtype)

    @property
    def metric(self) -> str:
        """How items are compared: "ip", "cosine" or "l2"."""
        return self._items.metric

    @property
    def is_exact(self) -> bool:
        """Whether every answer is exact."""
        return True

    @property
    def memory(self) -> int:
        """Bytes in memory; memory-mapped arrays are counted whole."""
        return self._items.memory

    @property
    def info(self) -> dict[str, Any]:
        """What the index is: backend, metric, size, dimension, and what the backend knows of itself."""
        described = {"backend": self.backend, "metric": self.metric, "size": self.size, "dimension": self.dimension}
        return described | self._describe() | ({"chosen": self.chosen} if self.chosen else {})

    def search(
        self, queries: Any, k: int, *, threads: int | None = None, exclude: Any = None, allow: Any = None
    ) -> tuple[Int64, Float32]:
        """Find the k best items of each query.

        Parameters
        ----------
        queries : array_like
            (m, dimension), or (dimension,) for one query; any numeric dtype and memory layout, taken as float32.
        k : int
            How many items; more than there are is allowed.
        threads : int, optional
            Threads to use; None (the default) means all that the process may use. The answer does not depend on it.
        exclude : (indptr, rows), optional
            Items that a query may not get, as in CSR: rows[indptr[q]:indptr[q + 1]] for query q; integer arrays, in any
            order inside a query.
        allow : array_like of bool, optional
            (size,): the items that any query may get. By default all.

        Returns
        -------
        rows : numpy.ndarray
            (m, k) int64, or (k,) for one query: rows of items, best first, ties to the lower row; -1 where fewer exist.
        scores : numpy.ndarray
            The same shape, float32: <a, b> + offset for "ip", the cosine (0 for a vector of zeros) for "cosine", minus
            the squared distance for "l2"; -inf where fewer exist.

        Raises
        ------
        TypeError, ValueError
            An argument has a wrong type, shape, range, or holds NaN or infinity.
        """
        k = checks.integer(k, "k", 1)
        prepared = self._items.queries(queries)
        filters = Filter.checked(exclude, allow, len(prepared), self.size)
        rows, scores = self._search(prepared, k, filters, checks.thread_count(threads))
        return (rows[0], scores[0]) if np.ndim(queries) == 1 else (rows, scores)

    def search_checked(
        self, queries: Float32, k: int, filters: Filter, threads: int, *, exact: bool = False
    ) -> tuple[Int64, Float32]:
        """Search for rows of queries, as `search` does, where nothing needs a check any more.

        With `exact` all items are compared, whatever the index does as a rule.
        """
        search = self._search_exactly if exact else self._search
        return search(self._items.prepared(queries), k, filters, threads)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a directory, or replace the index that stands there, in one step.

        Parameters
        ----------
        path : path-like
            The directory; its parent must exist.

        Raises
        ------
        FormatError
            Something else stands at `path`.
        OSError
            The disk is full or not writable; what stood at `path` is as it was.
        """
        saved = self._save()
        arrays = {"rows": self._items.rows, **saved.arrays}
        if self._items.offsets is not None:
            arrays["offsets"] = self._items.offsets
        fields = {"backend": self.backend, "metric": self.metric, "dimension": self.dimension, **saved.fields}
        if self.chosen:
            fields["chosen"] = self.chosen
        files.write(path, files.Kind(KIND.name, saved.format), fields, arrays, saved.blobs)

    def __repr__(self) -> str:
        return f"<{self.backend} index: {self.size} items, {self.dimension} factors, {self.metric}>"

    @classmethod
    @abstractmethod
    def _build(cls, items: Items, threads: int, *_: Any, **options: Any) -> Index:
        """Make the index; options are the backend's own keyword arguments."""

    @classmethod
    @abstractmethod
    def _load(cls, items: Items, threads: int, directory: files.Directory) -> Index:
        """Make the index from what `_save` gave."""

    @abstractmethod
    def _search(self, queries: Float32, k: int, filters: Filter, threads: int) -> tuple[Int64, Float32]:
        """Search for prepared queries; see `search`."""

    def _search_exactly(self, queries: Float32, k: int, filters: Filter, threads: int) -> tuple[Int64, Float32]:
        """Search all items; an approximate index has another way for it than `_search`."""
        return self._search(queries, k, filters, threads)

    def _save(self) -> Saved:
        return Saved()

    @classmethod
    def _remove(cls, fields: dict[str, Any]) -> None:
        """Remove what a saved index keeps outside its directory, given its manifest."""
        return None

    def _describe(self) -> dict[str, Any]:
        return {}
