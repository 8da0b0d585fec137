"""A table of arrays in a folder, which never changes: memory-mapped, so all processes share what they read of it.

Values are found and gathered by arrays, without a record for each: that is what makes it fast.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import checks, files
from ..errors import CorruptError
from .keys import Id
from .places import Places
from .protocol import Backend, Columns, Pairs
from .record import Int64, Value, Values, offsets_of, take_rows

Bool = npt.NDArray[np.bool_]

KIND = files.Kind("mcfast-table", 1)


class FileBackend:
    """Values in arrays; row r of each belongs to the id at place r."""

    readonly = True

    def __init__(self, places: Places, columns: Columns) -> None:
        self._places, self._columns = places, columns
        self._n_seen = len(columns.rows)

    def value(self, key: bytes, long: bytes) -> Value | None:
        """Return the value of a key, or None."""
        row = self._places.find(key, long)
        if row < 0:
            return None
        vectors, biases, indptr, rows = self._columns
        vector = vectors[row]
        if vector.dtype != np.float32:
            vector = vector.astype(np.float32)
            vector.flags.writeable = False
        return Value(vector, float(biases[row]), rows[indptr[row] : indptr[row + 1]] if self._n_seen else rows)

    def values(self, keys: Sequence[bytes], long: Mapping[int, bytes]) -> Values:
        """Return the value of each key."""
        if len(keys) == 1 and (value := self.value(keys[0], long.get(0, b""))) is not None:  # as `Records` does
            return Values.of_one(value)
        rows = self._places.find_many(keys, long)
        found = rows >= 0
        if found.all():
            return self._at(rows, found)
        return _spread(self._at(rows[found], found[found]), found)

    def iterate(self, batch: int) -> Iterator[tuple[list[Id], Values]]:
        """Yield every id and its value once."""
        for start in range(0, len(self), batch):
            rows = np.arange(start, min(start + batch, len(self)))
            yield self._places.ids(start, start + len(rows)), self._at(rows, np.ones(len(rows), np.bool_))

    @property
    def width(self) -> int | None:
        """K, None where the table is empty."""
        return self._columns.vectors.shape[1] if len(self) else None

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Do nothing: the files are let go of with the last array."""

    def _at(self, at: Int64, found: Bool) -> Values:
        """Return the values in some rows."""
        vectors, biases, indptr, rows = self._columns
        seen = take_rows(indptr, rows, at) if self._n_seen else (np.zeros(len(at) + 1, np.int64), rows)
        taken = vectors.take(at, 0)[:, : self.width or 0]
        return Values(taken.astype(np.float32, copy=False), biases.take(at), *seen, found)


def open(path: str | os.PathLike[str] | None, *, readonly: bool, verify: bool = True) -> Backend:
    """Open the folder at `path`."""
    folder = _folder(path)
    if not readonly:
        raise ValueError(checks.message("readonly", "False", "True: such a table never changes"))
    read = files.read(folder, KIND, verify=verify)
    arrays = {name: np.asarray(array) for name, array in read.arrays.items()}  # not np.memmap, which is slow to index
    places = Places(arrays["integers"], arrays["hashes"], arrays["offsets"], arrays["utf8"])
    columns = Columns(arrays["vectors"], arrays["biases"], arrays["seen_indptr"], arrays["seen_rows"])
    if not (places.is_sound() and _fit(columns, len(places))):
        raise CorruptError(f"{folder}: altered: its arrays do not fit together")
    return FileBackend(places, columns)


def build(path: str | os.PathLike[str] | None, pairs: Pairs) -> Backend:
    """Write a folder at `path`, in one step, and open it."""
    folder = _folder(path)
    places, order = Places.of(pairs.keys, pairs.long)
    columns = pairs.columns(order)
    arrays = {
        **vars(places),
        "vectors": columns.vectors,
        "biases": columns.biases,
        "seen_indptr": columns.indptr,
        "seen_rows": columns.rows,
    }
    files.write(folder, KIND, {}, arrays)
    del columns, arrays
    return open(folder, readonly=True, verify=False)


def _folder(path: str | os.PathLike[str] | None) -> Path:
    if path is None:
        raise TypeError("path: got None, expected where the table's folder is or shall be")
    return Path(path)


def _fit(columns: Columns, n: int) -> bool:
    """Tell whether arrays are those of n ids, so that no index into them can be wrong."""
    vectors, biases, indptr, rows = columns
    shaped = vectors.ndim == 2 and (len(vectors), len(biases), len(indptr)) == (n, n, n + 1)
    return bool(shaped and (indptr[0], indptr[-1]) == (0, len(rows)) and (np.diff(indptr) >= 0).all())


def _spread(values: Values, found: Bool) -> Values:
    """Return values at the positions found, and nothing elsewhere."""
    vectors = np.zeros((len(found), values.vectors.shape[1]), np.float32)
    biases, counts = np.zeros(len(found), np.float32), np.zeros(len(found), np.int64)
    vectors[found], biases[found], counts[found] = values.vectors, values.biases, np.diff(values.seen_indptr)
    return Values(vectors, biases, offsets_of(counts), values.seen_rows, found)
