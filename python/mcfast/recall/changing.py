"""Items that are added, replaced and removed while an index is searched: what the native indexes have in common."""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _core, checks
from .items import MOST_ITEMS, Float32, Items
from .protocol import Index, Int64, Saved

if TYPE_CHECKING:
    from typing_extensions import Self

Int32 = npt.NDArray[np.int32]

LEAST_ADDED = 4096  # vectors that are always searched beside the others; what is more than
SHARE_ADDED = 32  # one item of so many is built in


class ChangingIndex(Index):
    """An index whose items change without building anew. Searches never wait for a change.

    A row keeps its number for ever: that of a removed item stays empty until `replace` fills it. A change counts for
    every search that starts after it has returned, and a search sees all of a call or nothing of it. Threads may change
    an index at the same time; they take turns. Items that came since the index was built are searched in full beside
    it, and built in by the call that makes them more than 4,096 and a 32nd of all.
    """

    _core: _core.Exact | _core.Regions

    def __init__(self, items: Items, threads: int) -> None:
        super().__init__(items)
        self._threads = threads
        self._turn = threading.Lock()

    @property
    def size(self) -> int:
        """Number of rows; those of removed items count."""
        return self._core.size

    @property
    def rows(self) -> Float32:
        """The vectors of the items as the core takes them: (size, width) float32, padded with zeros; not to be changed.

        Those of "cosine" have length 1, those of removed items are zeros. It is a copy once items have changed, and
        where they are float16.
        """
        return self.current()[0].floats

    @property
    def offsets(self) -> Float32 | None:
        """What is added to the inner product with each item, (size,) float32; None where nothing is."""
        return self.current()[0].offsets

    @property
    def memory(self) -> int:
        """Bytes in memory; memory-mapped arrays are counted whole."""
        return self._items.memory + self._core.bytes

    def add(self, vectors: Any, *, offsets: Any = None) -> Int64:
        """Add items.

        Parameters
        ----------
        vectors : array_like
            (n, dimension) finite numbers.
        offsets : array_like, optional
            (n,) numbers added to the inner products; only with metric="ip". By default zeros.

        Returns
        -------
        numpy.ndarray
            (n,) int64, the rows of the items: those behind all others, in order.

        Raises
        ------
        TypeError, ValueError
            An argument has a wrong type or shape, or holds NaN or infinity; nothing has changed.
        """
        added = self._checked(vectors, offsets)
        with self._turn:
            if self.size + added.size > MOST_ITEMS:
                raise ValueError(checks.message("vectors", f"{added.size}", f"at most {MOST_ITEMS} items, old and new"))
            first = self._core.add(added.floats, added.offsets)
            self._build_in()
        return np.arange(first, first + added.size)

    def replace(self, rows: Any, vectors: Any, *, offsets: Any = None) -> None:
        """Give rows other vectors; a row whose item was removed has one again.

        Parameters
        ----------
        rows : array_like
            (n,) distinct integers, 0..size - 1.
        vectors, offsets : array_like
            As in `add`.

        Raises
        ------
        TypeError, ValueError
            An argument has a wrong type, shape or range, or holds NaN or infinity; nothing has changed.
        """
        added = self._checked(vectors, offsets)
        with self._turn:
            which = self._existing(rows)
            if len(which) != added.size:
                raise ValueError(checks.message("rows", f"{len(which)}", f"{added.size} of them, as many as vectors"))
            self._core.put(which, added.floats, added.offsets)
            self._build_in()

    def remove(self, rows: Any) -> None:
        """Remove items: no search that starts from now on returns them. Those that are removed already stay so.

        Parameters
        ----------
        rows : array_like
            (n,) distinct integers, 0..size - 1.

        Raises
        ------
        TypeError, ValueError
            `rows` has a wrong type, shape or range; nothing has changed.
        """
        with self._turn:
            self._core.remove(self._existing(rows))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index as it is to a directory, as `Index.save` does; changes wait until it is written."""
        with self._turn:
            super().save(path)

    def current(self) -> tuple[Items, Int32]:
        """Return the items as they are now, zeros for removed ones, and the rows of these."""
        core = self._core
        if not core.changed:
            return self._items, np.zeros(0, np.int32)
        removed = core.removed_rows()
        rows, offsets = core.vectors(np.arange(core.size, dtype=np.int32))
        plain = self._items.offsets is None and not offsets.any()
        items = Items(rows, None if plain else offsets, self.metric, self.dimension)
        return items.rounded(self._items.rows.dtype), removed

    @abstractmethod
    def _rebuilt(self, items: Items) -> Self:
        """Return an index of other items, built as this one was."""

    def _become(self, other: Self) -> None:
        self._items, self._core = other._items, other._core

    def _build_in(self) -> None:
        if self._core.added > max(LEAST_ADDED, self.size // SHARE_ADDED):
            items, removed = self.current()
            built = self._rebuilt(items)
            built._core.remove(removed)
            self._become(built)

    def _checked(self, vectors: Any, offsets: Any) -> Items:
        added = Items.checked(vectors, self.metric, offsets, 1).rounded(self._items.rows.dtype)
        if added.dimension != self.dimension:
            expected = f"shape (any, {self.dimension})"
            raise ValueError(checks.message("vectors", f"shape {(added.size, added.dimension)}", expected))
        return added

    def _existing(self, rows: Any) -> Int32:
        which, expected = np.asarray(rows), f"distinct integers in 0..{self.size - 1}"
        if which.dtype.kind not in "iu" and which.size:
            raise TypeError(checks.message("rows", f"values of dtype {which.dtype}", expected))
        if which.ndim != 1:
            raise ValueError(checks.message("rows", f"shape {which.shape}", f"one dimension, {expected}"))
        if which.size and (which.min() < 0 or which.max() >= self.size):
            raise ValueError(checks.message("rows", f"values {which.min()}..{which.max()}", expected))
        if len(np.unique(which)) != len(which):
            raise ValueError(checks.message("rows", "one more than once", expected))
        return np.ascontiguousarray(which, np.int32)

    def _changes(self) -> Saved:
        """Return what has changed since the index was built."""
        if not self._core.changed:
            return Saved(format=1 if self._items.rows.dtype == np.float32 else 2)
        put, removed = self._core.put_rows(), self._core.removed_rows()
        vectors, offsets = self._core.vectors(put)
        arrays = {"put_rows": put, "put_vectors": vectors, "put_offsets": offsets, "removed": removed}
        return Saved(arrays=arrays, format=2)

    def _changed(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Make the changes that were saved."""
        if "removed" in arrays:
            put, vectors, offsets = (arrays[f"put_{name}"] for name in ("rows", "vectors", "offsets"))
            self._core.put(put, vectors, offsets if self.metric == "ip" else None)
            self._core.remove(arrays["removed"])
        return self
