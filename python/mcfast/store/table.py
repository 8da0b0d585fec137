"""Tables: from an id to a vector, a bias and the items seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .. import checks
from ..errors import UnknownIdError
from . import keys, record
from .keys import Id
from .protocol import Backend, Changeable, Columns
from .record import Value, Values

Seen = tuple[npt.ArrayLike, npt.ArrayLike]

LARGEST_HALF = float(np.finfo(np.float16).max)
_CHUNK = 1 << 14  # records encoded at a time


class Table:
    """A key-value table: id -> vector, bias, rows of the items seen.

    Made by `mcfast.store.open` or `mcfast.store.build`. Ids are integers of 64 bits or strings, also both in one table.
    Threads may share a table. A table is a context manager: leaving it closes it.
    """

    def __init__(self, backend: Backend, precision: str = "float32") -> None:
        self._backend = backend
        self._precision = precision

    @property
    def readonly(self) -> bool:
        """Whether the table refuses to be changed."""
        return self._backend.readonly

    @property
    def width(self) -> int | None:
        """K, the number of factors of the vectors; None while the table is empty."""
        return self._backend.width

    def __len__(self) -> int:
        return len(self._backend)

    def get(self, id: Id) -> Value:
        """Return the value of an id.

        Parameters
        ----------
        id : int or str
            The id.

        Returns
        -------
        Value
            ``(vector, bias, seen)``: float32 of shape (K,), float, int32; the arrays are read-only.

        Raises
        ------
        UnknownIdError
            The table does not hold the id.
        TypeError, ValueError
            It is no id: neither an integer of 64 bits nor a string.
        CorruptError
            The file is truncated or altered.
        """
        value = self.find(*keys.encode(id, "id"))
        if value is None:
            raise UnknownIdError(checks.message("id", repr(id), "an id that the table holds"))
        return value

    def find(self, key: bytes, long: bytes) -> Value | None:
        """Return the value of a key, as `keys.encode` gives it, or None; raises CorruptError as `get` does."""
        return self._backend.value(key, long)

    def get_many(self, ids: Any) -> Values:
        """Return the values of ids, all from one state of the table.

        Parameters
        ----------
        ids : sequence of int or str, length n
            A list, a NumPy array, a pandas or Polars Series, or an Arrow array. An id may come more than once.

        Returns
        -------
        Values
            ``(vectors, biases, seen_indptr, seen_rows, found)``; zeros and no items where ``found`` is False.

        Raises
        ------
        TypeError, ValueError, CorruptError
            As `get` does.
        """
        encoded, long = keys.encode_many(ids, "ids")
        return self.get_encoded(encoded, long)

    def get_encoded(self, encoded: Sequence[bytes], long: Mapping[int, bytes]) -> Values:
        """Return the values of keys, as `keys.encode_many` gives them; as `get_many` does."""
        return self._backend.values(encoded, long)

    def put_many(self, ids: Any, vectors: Any, biases: Any = None, seen: Seen | None = None) -> None:
        """Write values, in place of those that the ids had; all of them or, on an error, none.

        Parameters
        ----------
        ids : sequence of int or str, length n
            A list, a NumPy array, a pandas or Polars Series, or an Arrow array. Of an id that comes more than once the
            last value stands.
        vectors : array_like, shape (n, K)
            Finite numbers, kept in the precision of the table. K is that of the vectors there, if it holds any.
        biases : array_like, shape (n,), optional
            Finite numbers, kept as float32. Zeros by default.
        seen : tuple of array_like, optional
            ``(indptr, rows)``, the rows of the items that each id has seen, as in CSR. None by default.

        Raises
        ------
        TypeError, ValueError
            An argument is not as described, or the table is read-only.
        OSError
            The disk is full or not writable; the table is as it was.
        """
        backend = self._changeable
        pairs = Pairs(ids, vectors, biases, seen, self._precision)
        if len(pairs) and (width := self.width) not in (None, pairs.width):
            raise ValueError(checks.message("vectors", f"{pairs.width} columns", f"{width}, as the table holds"))
        backend.put_many(pairs)

    def delete(self, id: Id) -> None:
        """Remove an id; nothing happens if the table does not hold it."""
        self._changeable.delete_many([keys.encode(id, "id")[0]])

    def delete_many(self, ids: Any) -> None:
        """Remove ids, in one step; those that the table does not hold are no error."""
        self._changeable.delete_many(keys.encode_many(ids, "ids")[0])

    def replace_all(self, ids: Any, vectors: Any, biases: Any = None, seen: Seen | None = None) -> None:
        """Write values in place of all that the table holds. Readers see the old table or the new one, whole.

        Takes and raises what `put_many` does; K may be another than before.
        """
        self._changeable.replace_all(Pairs(ids, vectors, biases, seen, self._precision))

    def iterate(self, batch: int = 1 << 14) -> Iterator[tuple[list[Id], Values]]:
        """Yield every id and its value once, in no particular order.

        A batch shows one state of the table; what is written in between, the later batches may show.

        Parameters
        ----------
        batch : int, default 16384
            The largest number of ids at a time.
        """
        yield from self._backend.iterate(checks.integer(batch, "batch", 1))

    def close(self) -> None:
        """Close the table; it cannot be used afterwards. To close it again is no error."""
        backend, self._backend = self._backend, _Closed()
        backend.close()

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _changeable(self) -> Changeable:
        if self._backend.readonly:
            raise ValueError("the table is read-only")
        return cast(Changeable, self._backend)


class Pairs:
    """Checked values; `protocol.Pairs` says what there is. Records are encoded anew each time they are read."""

    def __init__(self, ids: Any, vectors: Any, biases: Any, seen: Seen | None, precision: str) -> None:
        encoded, long = keys.encode_many(ids, "ids")
        n = len(encoded)
        self._vectors = _rounded(checks.floats(vectors, "vectors", (n, None)), precision)
        self.width = checks.integer(self._vectors.shape[1], "columns of vectors", 1, record.MAX_WIDTH)
        self._biases = np.zeros(n, np.float32) if biases is None else checks.floats(biases, "biases", (n,))
        self._indptr, self._rows = _check_seen(seen, n)
        self.keys, self._order = _distinct(encoded)
        self.long = {i: long[row] for i, row in enumerate(self._order.tolist()) if row in long} if long else {}

    def __len__(self) -> int:
        return len(self.keys)

    def columns(self, order: record.Int64) -> Columns:
        """Return the values at some positions, as arrays."""
        rows = self._order[order]
        return Columns(self._vectors[rows], self._biases[rows], *record.take_rows(self._indptr, self._rows, rows))

    @property
    def nbytes(self) -> int:
        """The size of all keys and records together, in bytes."""
        fixed = 16 + 4 + self._vectors.itemsize * self.width
        seen = int(np.diff(self._indptr)[self._order].sum())
        return sum(map(len, self.keys)) + fixed * len(self) + 4 * seen + sum(map(len, self.long.values()))

    def __iter__(self) -> Iterator[tuple[bytes, memoryview]]:
        for start in range(0, len(self), _CHUNK):
            end = min(start + _CHUNK, len(self))
            long = {i - start: id for i, id in self.long.items() if start <= i < end}
            records = record.encode_many(*self.columns(np.arange(start, end)), long)
            yield from zip(self.keys[start:end], records, strict=True)


class _Closed:
    """Stands where the backend was."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError("the table is closed")

    def __len__(self) -> int:
        raise ValueError("the table is closed")

    def close(self) -> None:
        """Do nothing: it is closed."""


def _distinct(encoded: Sequence[bytes]) -> tuple[Sequence[bytes], record.Int64]:
    """Return the distinct keys, ascending, and where each comes last."""
    n = len(encoded)
    if isinstance(encoded, keys.Integers):  # as bytes they ascend as integers without a sign do
        backwards = encoded.ids[::-1].astype(np.uint64)
        distinct, first = np.unique(backwards, return_index=True)
        return keys.Integers(distinct.astype(np.int64)), n - 1 - first
    last = dict(zip(encoded, range(n), strict=True))
    ascending = sorted(last)
    return ascending, np.fromiter(map(last.__getitem__, ascending), np.int64, len(last))


def _rounded(vectors: record.Float32, precision: str) -> record.Float32 | record.Float16:
    if precision == "float32":
        return vectors
    with np.errstate(over="ignore"):
        rounded = vectors.astype(np.float16)
    if not np.isfinite(rounded).all():
        got = f"a number of size {np.abs(vectors).max():g}"
        raise ValueError(checks.message("vectors", got, f"numbers of size {LARGEST_HALF:,.0f} at most, in float16"))
    return rounded


def _check_seen(seen: Seen | None, n: int) -> tuple[record.Int64, record.Int32]:
    if seen is None:
        return np.zeros(n + 1, np.int64), np.zeros(0, np.int32)
    indptr, rows = (np.asarray(part) for part in seen)
    for name, part in (("seen indptr", indptr), ("seen rows", rows)):
        if part.dtype.kind not in "iu" and part.size:
            raise TypeError(checks.message(name, f"values of dtype {part.dtype}", "integers"))
    if indptr.shape != (n + 1,) or rows.ndim != 1:
        raise ValueError(checks.message("seen", f"shapes {indptr.shape} and {rows.shape}", f"({n + 1},) and (any,)"))
    if indptr[0] != 0 or indptr[-1] != len(rows) or (np.diff(indptr) < 0).any():
        raise ValueError(checks.message("seen indptr", "other offsets", f"ascending ones from 0 to {len(rows)}"))
    if len(rows) and (rows.min() < 0 or rows.max() > np.iinfo(np.int32).max):
        raise ValueError(checks.message("seen rows", f"{rows.min()}..{rows.max()}", "rows >= 0 that fit in int32"))
    return indptr.astype(np.int64, copy=False), rows.astype(np.int32, copy=False)
