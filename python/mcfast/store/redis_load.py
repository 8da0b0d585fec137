"""Bulk load of hashes on Redis through pipelines.

Commands are laid out as bytes here, which is several times faster than to have each value checked. What an interrupted
load has left vanishes by itself, after an hour.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from typing import Any

from .protocol import Pairs

_CHUNK = 1 << 18  # bytes of records in a command
_AHEAD = 6  # answers of a node that may be awaited while more is sent
_ABANDONED = 3600  # seconds


def part_of(key: bytes, parts: int) -> int:
    """Return which of several hashes a key belongs to."""
    return zlib.crc32(key) % parts


def load(clients: list[Any], names: list[str], pairs: Pairs) -> list[int]:
    """Write new hashes, each at its client; return how many records each got. They vanish unless they are made to last.

    Parameters
    ----------
    clients : list of redis.Redis
        Those of the nodes where the hashes belong; of several on one node, the same one.
    names : list of str
        The hashes.
    pairs : Pairs
        Keys and records.
    """
    lines = {client: _Line(client) for client in dict.fromkeys(clients)}
    sizes = [0] * len(names)
    try:
        for part, command in _commands(names, pairs):
            sizes[part] += len(command) // 2 - 1
            lines[clients[part]].send(names[part], command)
        for line in lines.values():
            line.finish()
    except BaseException:
        for line in lines.values():
            line.connection.disconnect()  # answers may be left in it
        raise
    finally:
        for line in lines.values():
            line.pool.release(line.connection)
    return sizes


class _Line:
    """A connection on which commands are sent before the answers to earlier ones have come."""

    def __init__(self, client: Any) -> None:
        self.pool = client.connection_pool
        self.connection = self.pool.get_connection()
        self._under_way = 0

    def send(self, name: str, command: list[Any]) -> None:
        lasts = self.connection.pack_command("EXPIRE", name, _ABANDONED)
        self.connection.send_packed_command([_packed(command), *lasts])
        self._under_way += 2
        self._take(_AHEAD)

    def finish(self) -> None:
        self._take(0)

    def _take(self, left: int) -> None:
        while self._under_way > left:
            self.connection.read_response()
            self._under_way -= 1


def commands(name: str, pairs: Pairs) -> Iterator[list[Any]]:
    """Yield HSET commands that write all pairs to one hash."""
    return (command for _, command in _commands([name], pairs))


def _commands(names: list[str], pairs: Pairs) -> Iterator[tuple[int, list[Any]]]:
    """Yield HSET commands that write all pairs, and which hash each is for."""
    each = max(1, _CHUNK * len(pairs) // max(1, pairs.nbytes))
    if len(names) == 1:
        left = iter(pairs)
        while some := list(itertools.islice(left, each)):
            yield 0, [b"HSET", names[0].encode(), *itertools.chain.from_iterable(some)]
        return
    starts: list[list[Any]] = [[b"HSET", name.encode()] for name in names]
    waiting = [list(start) for start in starts]
    for key, record in pairs:
        part = part_of(key, len(names))
        waiting[part] += (key, record)
        if len(waiting[part]) > 2 * each:
            yield part, waiting[part]
            waiting[part] = list(starts[part])
    for part, command in enumerate(waiting):
        if len(command) > 2:
            yield part, command


def _packed(command: list[Any]) -> bytes:
    """Return a command in the protocol of the server."""
    lengths = map(_LENGTHS.__getitem__, map(len, command))
    parts = itertools.chain.from_iterable(zip(lengths, command, strict=True))
    return b"*%d%b\r\n" % (len(command), b"".join(parts))


class _Lengths(dict[int, bytes]):
    """What precedes a value of a length; few lengths come often."""

    def __missing__(self, length: int) -> bytes:
        found = self[length] = b"\r\n$%d\r\n" % length
        return found


_LENGTHS = _Lengths()
