"""Vocabularies: the ids that a user knows, and the rows 0, 1, 2 ... that stand for them inside."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from ..checks import message, shown
from ..errors import UnknownIdError
from . import columns
from .columns import AnyArray

Rows = npt.NDArray[np.int32]

_EXPECTED = "integers or strings"
_FLOAT_HINT = f"{_EXPECTED} (pandas turns an integer column with missing values into floats)"


class Ids:
    """The ids of one side, users or items, in the order of their rows.

    Parameters
    ----------
    values : array_like
        Distinct integers (any integer dtype, kept as int64; negative ones allowed) or distinct strings: a list, a NumPy
        array, a pandas or Polars Series, an Arrow array.
    name : str
        What messages call them.

    Raises
    ------
    TypeError
        The values are floats, bools, bytes, or not all of one kind.
    ValueError
        A value is missing, repeated, or beyond 2^63 - 1.
    """

    values: AnyArray
    """Of shape (n,), read-only: int64, or objects of type str."""

    def __init__(self, values: Any, name: str = "ids") -> None:
        rows, ids = encode(values, name)
        if len(ids) != len(rows):
            again = np.flatnonzero(rows != np.arange(len(rows)))[0]
            raise ValueError(message(name, f"{ids.values[rows[again]]} again in row {again}", "distinct ids"))
        self.values = ids.values

    @classmethod
    def _of(cls, values: AnyArray) -> Ids:
        """Wrap an array that is known to be right."""
        ids = cls.__new__(cls)
        ids.values = values
        values.flags.writeable = False
        return ids

    @property
    def is_integer(self) -> bool:
        """Whether the ids are integers; otherwise they are strings."""
        return self.values.dtype != object

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ids):
            return NotImplemented
        return self.is_integer == other.is_integer and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(repr(value) for value in self.values[:3].tolist())
        return f"Ids([{shown}{', ...' if len(self) > 3 else ''}], n={len(self)})"

    def rows(self, values: Any, name: str = "ids", unknown: Literal["raise", "skip"] = "raise") -> Rows:
        """Return the rows of ids.

        Parameters
        ----------
        values : array_like or int or str
            Ids, in any of the forms that the constructor takes; repeated ones are fine. One id alone is an array of 1.
        name : str
            The argument they came in, for messages.
        unknown : {"raise", "skip"}, default "raise"
            What happens with an id that is not here; "skip" gives it the row -1.

        Returns
        -------
        numpy.ndarray
            int32, of shape (n,).

        Raises
        ------
        UnknownIdError
            An id is not here, and `unknown` is "raise".
        TypeError
            The values can be no ids; or they are strings and the ids integers, or the other way.
        """
        if isinstance(values, str | numbers.Integral):
            values = [values]
        local, asked = encode(values, name)
        if len(asked) and len(self) and asked.is_integer != self.is_integer:
            got, expected = ("integers", "strings") if asked.is_integer else ("strings", "integers")
            raise TypeError(message(name, got, f"{expected}, as the ids are"))
        found = self._find(asked)
        missing = asked.values[found < 0]
        if unknown == "raise" and len(missing):
            shown = ", ".join(repr(value) for value in missing[:3].tolist())
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise UnknownIdError(message(name, f"unknown ids {shown}{more}", f"ids among the {len(self)} known ones"))
        return found[local]

    def take(self, rows: npt.ArrayLike) -> AnyArray:
        """Return the ids of rows.

        Parameters
        ----------
        rows : array_like of int
            Rows, in an array of any shape; -1 stands for none.

        Returns
        -------
        numpy.ndarray
            Of the same shape: int64 with -1 for none, or objects of type str with None for none.
        """
        rows = np.asarray(rows, np.int64)
        ids = np.full(rows.shape, -1 if self.is_integer else None, self.values.dtype)
        known = rows >= 0
        ids[known] = self.values[rows[known]]
        return ids

    def union(self, other: Ids) -> tuple[Ids, Rows]:
        """Return these ids followed by the new ones of `other`, and the row there of each id of `other`.

        Raises
        ------
        TypeError
            One side holds integers, the other strings.
        """
        if len(self) and len(other) and self.is_integer != other.is_integer:
            kinds = ["integers" if ids.is_integer else "strings" for ids in (self, other)]
            raise TypeError(message("ids", f"{kinds[1]} to be added to {kinds[0]}", kinds[0]))
        rows = self._find(other)
        new = rows < 0
        rows[new] = len(self) + np.arange(np.count_nonzero(new))
        return Ids._of(np.concatenate([self.values, other.values[new]]) if len(self) else other.values), rows

    def arrays(self, prefix: str) -> dict[str, AnyArray]:
        """Return the ids as plain arrays, for a file.

        Integers are one array, ``<prefix>_ids`` (int64). Strings are two, ``<prefix>_utf8`` (uint8) and
        ``<prefix>_offsets`` (int64, n + 1 of them): row r lies in ``utf8[offsets[r]:offsets[r + 1]]``.
        """
        if self.is_integer:
            return {f"{prefix}_ids": self.values}
        texts = [value.encode("utf-8", "surrogatepass") for value in self.values]
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(text) for text in texts], out=offsets[1:])
        return {f"{prefix}_offsets": offsets, f"{prefix}_utf8": np.frombuffer(b"".join(texts), np.uint8)}

    @classmethod
    def from_arrays(cls, prefix: str, arrays: Mapping[str, AnyArray]) -> Ids:
        """Return the ids that `arrays` wrote, out of a mapping that may hold more."""
        if f"{prefix}_ids" in arrays:
            return cls._of(np.array(arrays[f"{prefix}_ids"], np.int64))
        text = arrays[f"{prefix}_utf8"].tobytes()
        ends = arrays[f"{prefix}_offsets"].tolist()
        texts = [text[begin:end].decode("utf-8", "surrogatepass") for begin, end in pairwise(ends)]
        return cls._of(_objects(texts))

    def _find(self, asked: Ids) -> Rows:
        """Return the row of each of some distinct ids, -1 where it is not here."""
        if asked.is_integer != self.is_integer or not len(self):
            return np.full(len(asked), -1, np.int32)
        if not self.is_integer:
            rows = self._row_of
            return np.fromiter((rows.get(value, -1) for value in asked.values), np.int32, len(asked))
        order, ordered = self._sorted
        place = np.searchsorted(ordered, asked.values)
        place[place == len(ordered)] = 0
        return np.where(ordered[place] == asked.values, order[place], np.int32(-1))

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {value: row for row, value in enumerate(self.values)}

    @cached_property
    def _sorted(self) -> tuple[Rows, AnyArray]:
        order = np.argsort(self.values, kind="stable").astype(np.int32)
        return order, self.values[order]


def encode(values: Any, name: str = "ids", threads: int = 1) -> tuple[Rows, Ids]:
    """Give each id a row, by first appearance.

    Parameters
    ----------
    values : array_like
        Integers or strings: a list, a NumPy array, a pandas or Polars Series, an Arrow (chunked) array. Dictionary
        arrays and categorical Series count as their values.
    name : str
        The argument they came in, for messages.
    threads : int, default 1
        Threads to use; the result is the same for any number.

    Returns
    -------
    rows : numpy.ndarray
        int32, of shape (n,): the row of each value.
    ids : Ids
        The distinct values, in the order of their rows.

    Raises
    ------
    TypeError
        The values are floats, bools, bytes, or not all of one kind.
    ValueError
        A value is missing or beyond 2^63 - 1, or more than 2^31 - 1 are distinct.
    """
    values = columns.plain(values)
    if columns.is_arrow(values):
        return _encode_arrow(values, name, threads)
    if not isinstance(values, np.ndarray):
        if isinstance(values, str | bytes) or not isinstance(values, Sequence):
            raise TypeError(message(name, shown(values), f"an array of {_EXPECTED}"))
        values = list(values)
    elif values.ndim != 1:
        raise ValueError(message(name, f"an array of shape {values.shape}", "one dimension"))
    elif values.dtype.kind in "iu":
        return _encode_integers([columns.integers(values, name)], threads)
    elif values.dtype.kind in "UTO":
        values = values.tolist()
    else:
        hint = _FLOAT_HINT if values.dtype.kind == "f" else _EXPECTED
        raise TypeError(message(name, f"values of dtype {values.dtype}", hint))
    return _encode_list(values, name, threads)


def _encode_integers(chunks: Sequence[Any], threads: int) -> tuple[Rows, Ids]:
    rows, ids = _core.encode(chunks, threads)
    return rows, Ids._of(ids)


def _encode_list(values: list[Any], name: str, threads: int) -> tuple[Rows, Ids]:
    types = set(map(type, values))
    if bool not in types and all(issubclass(kind, numbers.Integral) for kind in types):
        try:
            return _encode_integers([np.array(values, np.int64)], threads)
        except OverflowError:
            row = next(i for i, value in enumerate(values) if not -(2**63) <= value < 2**63)
            raise ValueError(message(name, f"{values[row]} in row {row}", "integers below 2^63")) from None
    if not all(issubclass(kind, str) for kind in types):
        _raise_not_ids(values, name)
    if types != {str}:  # numpy.str_
        values = list(map(str, values))
    row_of = {value: row for row, value in enumerate(dict.fromkeys(values))}
    rows = np.fromiter(map(row_of.__getitem__, values), np.int32, len(values))
    return rows, Ids._of(_objects(list(row_of)))


def _raise_not_ids(values: list[Any], name: str) -> None:
    for row, value in enumerate(values):
        # By name, since comparing pandas.NA with anything is an error.
        if value is None or (str(value) in ("nan", "NaT", "<NA>") and not isinstance(value, str)):
            raise ValueError(message(name, f"a missing id ({value}) in row {row}", _EXPECTED))
    first = str if isinstance(values[0], str) else numbers.Integral
    row = next(i for i, value in enumerate(values) if not isinstance(value, first) or isinstance(value, bool))
    expected = _FLOAT_HINT if isinstance(values[row], float) else "only integers or only strings"
    raise TypeError(message(name, f"{shown(values[row])} in row {row}", expected))


def _encode_arrow(values: Any, name: str, threads: int) -> tuple[Rows, Ids]:
    import pyarrow as pa

    columns.check_no_nulls(values, name, _EXPECTED)
    kind = values.type
    if pa.types.is_null(kind):  # and empty
        return _encode_integers([], threads)
    if pa.types.is_integer(kind):
        return _encode_integers(
            [columns.integers(chunk.to_numpy(zero_copy_only=True), name) for chunk in values.chunks], threads
        )
    if pa.types.is_dictionary(kind):
        return _encode_dictionary(values, name, threads)
    if pa.types.is_string_view(kind):
        values = values.cast(pa.large_string())
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise TypeError(
            message(name, f"values of type {kind}", _FLOAT_HINT if pa.types.is_floating(kind) else _EXPECTED)
        )
    return _encode_strings(values, threads)


def _encode_dictionary(values: Any, name: str, threads: int) -> tuple[Rows, Ids]:
    if not len(values):
        return _encode_arrow(values.cast(values.type.value_type), name, threads)
    values = values.unify_dictionaries()
    # A dictionary may hold values that nothing uses, and one value twice.
    row_of_code, ids = encode(values.chunk(0).dictionary, name, threads)
    codes = [row_of_code[chunk.indices.to_numpy()].astype(np.int64) for chunk in values.chunks]
    rows, used = _core.encode(codes, threads)
    return rows, Ids._of(ids.values[used])


def _encode_strings(values: Any, threads: int) -> tuple[Rows, Ids]:
    """Let Arrow number the strings of a stretch of chunks in each thread, then merge the dictionaries in order."""
    from concurrent.futures import ThreadPoolExecutor

    import pyarrow as pa

    chunks = [chunk for chunk in values.chunks if len(chunk)]
    size = max(1, math.ceil(len(chunks) / threads))
    parts = [pa.chunked_array(chunks[i : i + size]) for i in range(0, len(chunks), size)]
    with ThreadPoolExecutor(threads) as pool:
        encoded = list(pool.map(lambda part: part.dictionary_encode(), parts))
    row_of: dict[str, int] = {}
    rows = np.empty(len(values), np.int32)
    at = 0
    for part in encoded:
        # The last chunk's dictionary is that of the whole part.
        dictionary = part.chunk(part.num_chunks - 1).dictionary.to_pylist()
        row_of_code = np.array([row_of.setdefault(value, len(row_of)) for value in dictionary], np.int32)
        for chunk in part.chunks:
            rows[at : at + len(chunk)] = row_of_code[chunk.indices.to_numpy()]
            at += len(chunk)
    return rows, Ids._of(_objects(list(row_of)))


def _objects(values: list[str]) -> AnyArray:
    array = np.empty(len(values), object)
    array[:] = values
    return array
