"""Ids as keys: bytes that start with the type of the id, so that 1 and "1" never meet.

===========  =======================================================================
``i``        an integer: 8 bytes, two's complement, big-endian
``s``        a string: its UTF-8
``h``        a string of more than 510 bytes: their SHA-256; the record holds the id
===========  =======================================================================
"""

from __future__ import annotations

import hashlib
import operator
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ..checks import message

Id = int | str
Int64 = npt.NDArray[np.int64]

MAX_BYTES = 511  # the longest key that LMDB takes
_EXPECTED = "an integer of 64 bits or a string"
_pack_integer = struct.Struct(">cq").pack
_KEY = np.dtype([("tag", "S1"), ("id", ">i8")])


class Integers(Sequence[bytes]):
    """Keys of integers, made of them where somebody wants to see their bytes.

    Attributes
    ----------
    ids : numpy.ndarray
        int64, shape (n,).
    """

    def __init__(self, ids: Int64) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> Integers: ...
    def __getitem__(self, at: int | slice) -> bytes | Integers:
        return Integers(self.ids[at]) if isinstance(at, slice) else _pack_integer(b"i", int(self.ids[at]))

    def __iter__(self) -> Iterator[bytes]:
        keys = np.empty(len(self.ids), _KEY)
        keys["tag"] = b"i"
        keys["id"] = self.ids
        return iter(keys.view(f"V{_KEY.itemsize}").tolist())


def encode(id: Id, name: str) -> tuple[bytes, bytes]:
    """Return the key of an id and, if the key is a hash, the id itself as UTF-8; otherwise that is empty.

    Raises
    ------
    TypeError
        The id is neither an integer nor a string.
    ValueError
        The integer has more than 64 bits, or the string is no Unicode text (it holds a lone surrogate).
    """
    if type(id) is not int:
        if isinstance(id, str):
            return _encode_text(id, name)
        id = _integer(id, name)
    try:
        return _pack_integer(b"i", id), b""
    except struct.error:
        raise ValueError(message(name, str(id), _EXPECTED)) from None


def encode_many(ids: Any, name: str) -> tuple[Sequence[bytes], dict[int, bytes]]:
    """Return the keys of ids, and by position the ids whose key is a hash, as UTF-8.

    Parameters
    ----------
    ids : sequence of int or str
        A list, a NumPy array, a pandas or Polars Series, or an Arrow array; integers and strings may be mixed.
    name : str
        The argument, for messages.

    Returns
    -------
    keys : sequence of bytes
        `Integers` where all ids are integers.
    long : dict of int to bytes

    Raises
    ------
    TypeError, ValueError
        As `encode` does.
    """
    values = _sequence(ids, name)
    if isinstance(values, np.ndarray):
        return Integers(values), {}
    if values and set(map(type, values)) == {str}:
        try:
            texts = [id.encode() for id in values]
        except UnicodeEncodeError:
            pass  # named by `encode`
        else:
            if max(map(len, texts)) < MAX_BYTES:
                return [b"s" + text for text in texts], {}
    keys: list[bytes] = []
    long: dict[int, bytes] = {}
    for id in values:
        key, text = encode(id, name)
        if text:
            long[len(keys)] = text
        keys.append(key)
    return keys, long


def decode(key: bytes, long: bytes) -> Id:
    """Return the id of a key; `long` is the id that the record holds, for a key that is a hash."""
    if key[:1] == b"i":
        return int.from_bytes(key[1:], "big", signed=True)
    return str(key[1:] if key[:1] == b"s" else long, "utf-8")


def of_integers(keys: Sequence[bytes]) -> Int64:
    """Return the ids of keys that are all of integers."""
    if isinstance(keys, Integers):
        return keys.ids
    return np.frombuffer(b"".join(keys), _KEY)["id"].astype(np.int64)


def text(key: bytes, long: bytes) -> bytes:
    """Return the id of a key that is of a string, as UTF-8; `long` as in `decode`."""
    return long or key[1:]


def normalized(ids: Any, name: str) -> list[Id]:
    """Return ids as Python's own integers and strings; raises as `encode_many` does."""
    encoded, long = encode_many(ids, name)
    return [decode(key, long.get(i, b"")) for i, key in enumerate(encoded)]


def check_kind(encoded: Iterable[bytes], name: str, integers: bool, n: int) -> None:
    """Raise TypeError where ids are not all of one kind with n known ones, integers or strings."""
    if not n or (integers and isinstance(encoded, Integers)):
        return
    for key in encoded:
        if (key[:1] == b"i") != integers:
            got, expected = ("a string", "integers") if integers else ("an integer", "strings")
            raise TypeError(message(name, got, f"{expected}, as the ids are"))


def _sequence(ids: Any, name: str) -> Int64 | list[Any]:
    """Return `ids` as an int64 array where all are integers, otherwise as something to iterate over."""
    if isinstance(ids, str | bytes):
        raise TypeError(message(name, f"{ids!r} ({type(ids).__name__})", "a sequence of ids"))
    for convert in ("tolist", "to_list", "to_pylist"):  # NumPy and pandas, Polars, Arrow
        if hasattr(ids, convert) and not (isinstance(ids, np.ndarray) and ids.dtype.kind == "i"):
            ids = getattr(ids, convert)()
            break
    if isinstance(ids, np.ndarray):
        if ids.ndim != 1:
            raise ValueError(message(name, f"shape {ids.shape}", "one dimension"))
        return ids.astype(np.int64, copy=False)
    try:
        values = list(ids)
    except TypeError:
        raise TypeError(message(name, ids, "a sequence of ids")) from None
    if set(map(type, values)) == {int}:
        try:
            return np.array(values, np.int64)
        except OverflowError:
            pass  # named by `encode`
    return values


def _integer(id: object, name: str) -> int:
    try:
        if isinstance(id, bool | np.bool_):
            raise TypeError
        return operator.index(id)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(message(name, id, _EXPECTED)) from None


def _encode_text(id: str, name: str) -> tuple[bytes, bytes]:
    try:
        text = id.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(message(name, f"{id!r}, which is no Unicode text ({error.reason})", _EXPECTED)) from None
    if len(text) < MAX_BYTES:
        return b"s" + text, b""
    return b"h" + hashlib.sha256(text).digest(), text
