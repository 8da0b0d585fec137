"""Values that belong to versions: one after the other, each with the number of its version. Little-endian.

======  ========  ====================
offset  type      meaning
======  ========  ====================
0       int64     number of the version
8       uint32    L, length of what follows
12      uint8[L]  what is kept
======  ========  ====================
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

from .decoding import decoder

_HEADER = struct.Struct("<qI")


def entries(value: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield versions and what is kept of them, the one that was written last at the end; for a `decoder`."""
    at = 0
    while at < len(value):
        start = at + _HEADER.size
        version, length = _HEADER.unpack_from(value, at)
        at = start + length
        if at > len(value):
            raise ValueError(f"{len(value)} bytes, expected {at}")
        yield version, value[start:at]


@decoder
def get(value: bytes | None, version: int) -> bytes | None:
    """Return what is kept of a version, or None."""
    return None if value is None else next((kept for number, kept in entries(value) if number == version), None)


@decoder
def last(value: bytes) -> bytes:
    """Return what was written last."""
    return list(entries(value))[-1][1]


@decoder
def put(value: bytes | None, version: int, kept: bytes) -> bytes:
    """Return the value with `kept` for a version, in place of what it had."""
    others = b"" if value is None else b"".join(_packed(*entry) for entry in entries(value) if entry[0] != version)
    return others + _packed(version, kept)


@decoder
def only(value: bytes, versions: Collection[int]) -> bytes:
    """Return the value without what belongs to other versions than these."""
    return b"".join(_packed(*entry) for entry in entries(value) if entry[0] in versions)


def _packed(version: int, kept: bytes) -> bytes:
    return _HEADER.pack(version, len(kept)) + kept
