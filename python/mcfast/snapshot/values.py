"""The bytes of what is written online of a user or an item; the tables they stand in are those of `live`."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..checks import message
from ..store import keys, record
from ..store.keys import Id
from ..store.record import Float32
from .decoding import decoder

_LENGTH = struct.Struct("<I")

Interactions = dict[Id, float | None]
"""Items that a user has met, in the order of their first interactions, and their scores where those were told."""


class OnlineItem(NamedTuple):
    """An item that was put online."""

    id: Id
    value: record.Value
    attributes: dict[str, Any]


def encode_interactions(user: Id, items: Mapping[Id, float | None]) -> bytes:
    """Return the value of a user in the table ``interactions``."""
    return _json({"user": user, "items": list(items.items())})


@decoder
def decode_interactions(value: bytes) -> tuple[Id, Interactions]:
    """Return the user and the interactions in a value; raises CorruptError."""
    read = json.loads(value)
    return read["user"], dict(read["items"])


def encode_vector(vector: Float32, bias: float, long: bytes) -> bytes:
    """Return what ``vectors`` keeps of a user for one version; `long` is the id as UTF-8 if its key is a hash."""
    nothing = np.zeros(2, np.int64), np.zeros(0, np.int32)
    (data,) = record.encode_many(vector[None], np.array([bias], np.float32), *nothing, {0: long} if long else {})
    return bytes(data)


@decoder
def decode_vector(data: bytes) -> record.Value:
    """Return the vector and the bias; raises CorruptError."""
    return record.decode(data, record.long_id(data))


def encode_item(vector: Float32, bias: float, long: bytes, attributes: dict[str, Any]) -> bytes:
    """Return what ``items`` keeps of an item for one version; raises TypeError unless the attributes can be JSON."""
    data = encode_vector(vector, bias, long)
    try:
        return _LENGTH.pack(len(data)) + data + _json(attributes)
    except (TypeError, ValueError) as error:
        raise TypeError(message("attributes", str(error), "names and values that JSON has")) from None


@decoder
def decode_item(key: bytes, data: bytes) -> OnlineItem:
    """Return the item; raises CorruptError."""
    end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    kept, attributes = data[_LENGTH.size : end], dict(json.loads(data[end:]))
    return OnlineItem(keys.decode(key, record.long_id(kept)), decode_vector(kept), attributes)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
