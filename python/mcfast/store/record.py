"""The bytes of a record: what a table holds for one id. Little-endian, a multiple of four bytes.

======  ======  =============================================================================
offset  type    meaning
======  ======  =============================================================================
0       uint16  format of the record: 1, or 2 if the vector is in float16
2       uint16  K, the number of factors
4       uint32  S, the number of seen items
8       uint32  L, the length of the id in bytes; 0 unless its key is a hash
12      f32     bias
16      f32[K]  vector; in format 2 f16[K], then zeros up to a multiple of four
...     i32[S]  rows of the seen items
...     u8[L]   the id as UTF-8, then zeros up to a multiple of four
======  ======  =============================================================================
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import CorruptError, NewerFormatError

SINGLE, HALF = 1, 2  # formats: by the type of the vector
PRECISIONS = {"float32": SINGLE, "float16": HALF}
MAX_WIDTH = 2**16 - 1
_HEADER = struct.Struct("<HHIIf")
_unpack = _HEADER.unpack_from
_SIZE = _HEADER.size
_WORDS = _SIZE // 4
_FLOAT, _INT = np.dtype("<f4"), np.dtype("<i4")
_TYPES: dict[int, np.dtype[Any]] = {SINGLE: _FLOAT, HALF: np.dtype("<f2")}
_HEADERS = np.dtype([("format", "<u2"), ("width", "<u2"), ("seen", "<u4"), ("id", "<u4"), ("bias", "<f4")])

Float16 = npt.NDArray[np.float16]
Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
AnyVectors = Float32 | Float16


@dataclass(slots=True, eq=False)
class Value:
    """What a table holds for one id.

    Attributes
    ----------
    vector : numpy.ndarray
        float32, shape (K,), read-only.
    bias : float
    seen : numpy.ndarray
        int32, shape (S,), read-only: rows of the items seen.
    """

    vector: Float32
    bias: float
    seen: Int32


class Values(NamedTuple):
    """What a table holds for n ids, as arrays.

    Attributes
    ----------
    vectors : numpy.ndarray
        float32, shape (n, K); zeros where the id is unknown.
    biases : numpy.ndarray
        float32, shape (n,); zero where the id is unknown.
    seen_indptr, seen_rows : numpy.ndarray
        int64, shape (n + 1,), and int32: the items seen by id i are ``seen_rows[seen_indptr[i]:seen_indptr[i + 1]]``.
    found : numpy.ndarray
        bool, shape (n,): whether the id is known.
    """

    vectors: Float32
    biases: Float32
    seen_indptr: Int64
    seen_rows: Int32
    found: npt.NDArray[np.bool_]

    @classmethod
    def of_one(cls, value: Value) -> Values:
        """Return the value of one id as arrays."""
        indptr = np.array([0, len(value.seen)], np.int64)
        biases = np.array([value.bias], np.float32)
        return cls(value.vector[None].copy(), biases, indptr, value.seen, np.ones(1, np.bool_))


def offsets_of(counts: Int64) -> Int64:
    """Return where each of several adjoining runs starts, and where the last one ends."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def runs(starts: Int64, counts: Int64) -> Int64:
    """Return the indices of several runs, one after the other."""
    offsets = offsets_of(counts)
    return np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])


def take_rows(indptr: Int64, rows: Int32, order: Int64) -> tuple[Int64, Int32]:
    """Return the lists of a CSR matrix at the positions `order`, as CSR."""
    starts = indptr[order]
    counts = indptr[order + 1] - starts
    return offsets_of(counts), rows[runs(starts, counts)]


def encode_many(
    vectors: Float32 | Float16, biases: Float32, indptr: Int64, rows: Int32, long: Mapping[int, bytes]
) -> list[memoryview]:
    """Return the records of n ids.

    Parameters
    ----------
    vectors : numpy.ndarray
        float32 or float16, shape (n, K).
    biases : numpy.ndarray
        float32, shape (n,).
    indptr, rows : numpy.ndarray
        int64, shape (n + 1,), and int32: the items seen, as CSR.
    long : mapping of int to bytes
        By position, the ids to be kept in the record, as UTF-8.

    Returns
    -------
    list of memoryview
        n records, slices of one buffer.
    """
    n, width = vectors.shape
    header = np.zeros(n, _HEADERS)
    header["format"] = SINGLE if vectors.dtype == np.float32 else HALF
    header["width"], header["bias"] = width, biases
    header["seen"] = np.diff(indptr)
    for i, text in long.items():
        header["id"][i] = len(text)
    ends = offsets_of(_lengths(header))
    words = np.zeros(ends[-1] // 4, _INT)
    starts = ends[:-1] // 4
    _windows(words, _WORDS)[starts] = header.view(_INT).reshape(n, _WORDS)
    packed = _packed(vectors)
    size = packed.shape[1]
    _windows(words, size)[starts + _WORDS] = packed
    words[runs(starts + _WORDS + size, np.diff(indptr))] = rows[indptr[0] : indptr[-1]]
    data = words.view(np.uint8).data
    for i, text in long.items():
        at = 4 * (int(starts[i]) + _WORDS + size + int(header["seen"][i]))
        data[at : at + len(text)] = text
    bounds = ends.tolist()
    return [data[a:b] for a, b in pairwise(bounds)]


def decode(record: bytes, long: bytes) -> Value:
    """Return the value in a record.

    Parameters
    ----------
    record : bytes
        The record.
    long : bytes
        The id that it must hold, as UTF-8; empty unless the key is a hash.

    Returns
    -------
    Value
        Views of `record`; a vector in float16 is turned into float32.

    Raises
    ------
    CorruptError
        The record is truncated or altered, or belongs to another id.
    NewerFormatError
        A newer mcfast wrote it.
    """
    try:
        format, width, n_seen, n_id, bias = _unpack(record)
    except struct.error:
        raise CorruptError(f"a record is truncated: {len(record)} bytes") from None
    end = _SIZE + 4 * ((width if format == SINGLE else width + 1 >> 1) + n_seen)
    if format not in _TYPES or len(record) != end + (n_id + 3 & ~3):
        raise _unreadable(format, len(record))
    if (n_id or long) and record[end : end + n_id] != long:
        raise CorruptError("a record belongs to another id than its key")
    vector = np.frombuffer(record, _TYPES[format], width, _SIZE)
    if format == HALF:
        vector = vector.astype(np.float32)
        vector.flags.writeable = False
    return Value(vector, bias, np.frombuffer(record, _INT, n_seen, end - 4 * n_seen) if n_seen else _NONE_SEEN)


def decode_many(records: Sequence[bytes | None], width: int, long: Mapping[int, bytes]) -> Values:
    """Return the values in n records as arrays; raises as `decode` does.

    Parameters
    ----------
    records : sequence of bytes or None
        The records, all of the same K; None for an unknown id.
    width : int
        K, if no record is there to tell.
    long : mapping of int to bytes
        By position, the ids whose key is a hash, as UTF-8.

    Returns
    -------
    Values
        n values.
    """
    n = len(records)
    present = [record for record in records if record is not None]
    if not present:
        nothing = np.zeros(n + 1, np.int64), np.zeros(0, np.int32), np.zeros(n, np.bool_)
        return Values(np.zeros((n, width), np.float32), np.zeros(n, np.float32), *nothing)
    lengths = np.fromiter(map(len, present), np.int64, len(present))
    if (lengths < _SIZE).any() or (lengths % 4).any():
        raise CorruptError("a record is truncated")
    words = np.frombuffer(b"".join(present), _INT)
    starts = offsets_of(lengths)[:-1] // 4
    header = _windows(words, _WORDS)[starts].view(_HEADERS)[:, 0]
    width = int(header["width"][0])
    known = np.isin(header["format"], list(_TYPES))
    bad = ~known | (header["width"] != width) | (lengths != _lengths(header))
    if bad.any():
        raise _unreadable(int(header["format"][bad][0]), int(lengths[bad][0]))
    for i, text in long.items():
        if (record := records[i]) is not None and long_id(record) != text:
            raise CorruptError("a record belongs to another id than its key")

    vectors = _vectors(words, starts + _WORDS, header["format"], width)
    counts = header["seen"].astype(np.int64)
    rows = words[runs(starts + _WORDS + _vector_words(header), counts)]
    biases = header["bias"].copy()
    if len(present) == n:
        return Values(vectors, biases, offsets_of(counts), rows, np.ones(n, np.bool_))
    found = np.fromiter((record is not None for record in records), np.bool_, n)
    return Values(_spread(vectors, found), _spread(biases, found), offsets_of(_spread(counts, found)), rows, found)


def long_id(record: bytes) -> bytes:
    """Return the id that a valid record holds; empty unless its key is a hash."""
    format, width, n_seen, n_id, _ = _unpack(record)
    at = _SIZE + 4 * ((width if format == SINGLE else width + 1 >> 1) + n_seen)
    return record[at : at + n_id]


def width_of(record: bytes) -> int:
    """Return K of a record; raises as `decode` does."""
    return int(decode_many([record], 0, {}).vectors.shape[1])


_NONE_SEEN = np.frombuffer(b"", _INT)


def _unreadable(format: int, length: int) -> CorruptError | NewerFormatError:
    if format > HALF:
        return NewerFormatError(f"a record has format {format}, this mcfast reads up to {HALF}: pip install -U mcfast")
    return CorruptError(f"a record is truncated or altered: its {length} bytes are not what it says of itself")


def _lengths(header: npt.NDArray[Any]) -> Int64:
    """Return the length of each record in bytes."""
    fixed: Int64 = _SIZE + 4 * (_vector_words(header) + header["seen"])
    return fixed + (header["id"].astype(np.int64) + 3 & ~3)


def _vector_words(header: npt.NDArray[Any]) -> Int64:
    """Return the length of each vector in words of four bytes."""
    width = header["width"].astype(np.int64)
    return np.where(header["format"] == SINGLE, width, width + 1 >> 1)


def _packed(vectors: Float32 | Float16) -> Int32:
    """Return vectors as words of four bytes."""
    if vectors.dtype == np.float32:
        return vectors.astype(_FLOAT, copy=False).view(_INT)
    n, width = vectors.shape
    halves: Float16 = np.zeros((n, width + 1 & ~1), np.dtype("<f2"))
    halves[:, :width] = vectors
    packed: Int32 = halves.view(_INT)
    return packed


def _vectors(words: Int32, starts: Int64, formats: npt.NDArray[np.uint16], width: int) -> Float32:
    """Return vectors out of records of either format."""
    single = formats == SINGLE
    if single.all():
        return _windows(words, width)[starts].view(_FLOAT)
    vectors = np.empty((len(starts), width), np.float32)
    if single.any():
        vectors[single] = _windows(words, width)[starts[single]].view(_FLOAT)
    vectors[~single] = _windows(words, width + 1 >> 1)[starts[~single]].view(_TYPES[HALF])[:, :width]
    return vectors


def _windows(words: Int32, width: int) -> Int32:
    """Return the view whose row i is ``words[i : i + width]``: to gather and scatter records of any length by rows."""
    return np.lib.stride_tricks.as_strided(words, (len(words) - width + 1, width), 2 * words.strides)


def _spread(values: npt.NDArray[Any], found: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return `values` at the positions found, and zeros elsewhere."""
    spread = np.zeros((len(found), *values.shape[1:]), values.dtype)
    spread[found] = values
    return spread
