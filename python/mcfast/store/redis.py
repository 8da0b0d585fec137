"""A table on a Redis server, or on a cluster of them, which any number of machines may ask.

On a server a table is one hash: its fields are keys, its values records. So reading or writing many is one command,
which sees and leaves one state, and a table of any size is dropped at once. On a cluster a table that never changes is
several hashes, spread over the nodes by the CRC-32 of the keys; one that changes is a single hash, on one node.

The file at a table's path is a pointer (`redis_pointer`): the address without secrets, and the names of the hashes,
which no other table has.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CorruptError, FormatError
from . import redis_load, redis_pointer
from .protocol import Backend, Pairs
from .records import Records
from .redis_pointer import Pointer

_DROPPED = 600  # seconds that who still reads a dropped table has to go on to another
_CURSOR = 1000


class RedisBackend(Records):
    """Records in hashes of a server or of a cluster."""

    def __init__(self, pointer: Pointer, *, readonly: bool) -> None:
        self.readonly = readonly
        self._cluster = redis_pointer.is_cluster(pointer.url)
        self._names = pointer.names
        self._sizes = [pointer.size] if pointer.parts is None else pointer.parts
        with _told():
            self._client = redis_pointer.connect(pointer.url)
            self._client.ping()

    def get(self, key: bytes) -> bytes | None:
        """Return the record of a key, or None."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, or None."""
        if not keys:
            return []
        keys = list(keys)
        n = len(self._names)
        places: dict[int, list[int]] = {}
        if n == 1 or len(keys) == 1:
            places[redis_load.part_of(keys[0], n)] = list(range(len(keys)))
        else:
            for i, key in enumerate(keys):
                places.setdefault(redis_load.part_of(key, n), []).append(i)
        with _told():
            if len(places) == 1:
                (part,) = places
                found: list[bytes | None] = self._client.hmget(self._names[part], keys)
                self._check_there(part, found)
                return found
            with self._client.pipeline(transaction=False) as pipeline:
                for part, own in places.items():
                    pipeline.hmget(self._names[part], [keys[i] for i in own])
                answers = pipeline.execute()
            found = [None] * len(keys)
            for (part, own), answer in zip(places.items(), answers, strict=True):
                self._check_there(part, answer)
                for i, record in zip(own, answer, strict=True):
                    found[i] = record
        return found

    def pairs(self, batch: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield every key and record once. The server may tell a key twice; its second telling is passed over."""
        with _told():
            scans = (self._client.hscan_iter(name, count=min(batch, _CURSOR)) for name in self._names)
            pairs = itertools.chain.from_iterable(map(_firsts, scans))
            while found := list(itertools.islice(pairs, batch)):
                yield found

    def __len__(self) -> int:
        with _told():
            return sum(int(self._client.hlen(name)) for name in self._names)

    def put_many(self, pairs: Pairs) -> None:
        """Write records, in one transaction."""
        (name,) = self._names
        with _told(), self._node(name).pipeline(transaction=True) as pipeline:
            for command in redis_load.commands(name, pairs):
                pipeline.execute_command(*command)
            pipeline.execute()

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Remove records."""
        (name,) = self._names
        if keys:
            with _told():
                self._client.hdel(name, *keys)

    def replace_all(self, pairs: Pairs) -> None:
        """Write records beside those that are there, and take their place in one step."""
        (name,) = self._names
        new = f"{name}:{secrets.token_hex(8)}"
        with _told():
            node = self._node(name)
            try:
                redis_load.load([node], [new], pairs)
                if len(pairs):
                    with node.pipeline(transaction=True) as pipeline:
                        pipeline.persist(new).rename(new, name).execute()
                else:
                    node.unlink(name)
            except BaseException:
                node.unlink(new)
                raise

    def fill(self, pairs: Pairs) -> list[int]:
        """Write the records of a table that nobody knows yet; return how many each hash has."""
        with _told():
            self._sizes = redis_load.load([self._node(name) for name in self._names], self._names, pairs)
            for name in self._names:
                self._client.persist(name)
        return self._sizes

    def drop(self) -> None:
        """Let the table vanish from the server: soon, as others may read it yet."""
        with _told():
            for name in self._names:
                self._client.expire(name, _DROPPED)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _node(self, name: str) -> Any:
        """Return the client of the server that has a hash."""
        if not self._cluster:
            return self._client
        return self._client.get_redis_connection(self._client.get_node_from_key(name))

    def _check_there(self, part: int, found: list[bytes | None]) -> None:
        """Raise CorruptError where nothing is found since the hash is gone."""
        name = self._names[part]
        if self._sizes[part] and found.count(None) == len(found) and not self._client.exists(name):
            raise CorruptError(f"the table {name} is not on the server any more")


def open(path: str | os.PathLike[str] | None, *, readonly: bool, url: str | None = None) -> Backend:
    """Open the table that the pointer at `path` names; where there is no file, make an empty table at `url`."""
    file = _file(path)
    if readonly and not file.exists():
        raise FormatError(f"{file}: does not exist")
    there = file.exists()
    pointer = redis_pointer.read(file) if there else redis_pointer.new(url, None)
    backend = RedisBackend(pointer, readonly=readonly or pointer.parts is not None)
    if not there:
        redis_pointer.write(file, pointer)
    return backend


def build(path: str | os.PathLike[str] | None, pairs: Pairs, *, url: str | None = None) -> Backend:
    """Load a new table, and write the pointer to it; what the old pointer names is dropped."""
    file = _file(path)
    pointer = redis_pointer.new(url, len(pairs))
    if redis_pointer.is_cluster(pointer.url):
        pointer = pointer._replace(parts=[0] * redis_pointer.PARTS)
    backend = RedisBackend(pointer, readonly=True)
    before = RedisBackend(old, readonly=True) if (old := redis_pointer.find(file)) else None
    try:
        sizes = backend.fill(pairs)
        redis_pointer.write(file, pointer if pointer.parts is None else pointer._replace(parts=sizes))
    except BaseException:
        backend.drop()
        raise
    if before is not None:
        before.drop()
        before.close()
    return backend


def drop(pointer: Pointer) -> None:
    """Remove a table from its server."""
    backend = RedisBackend(pointer, readonly=True)
    backend.drop()
    backend.close()


def _firsts(pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield each key once."""
    told: set[bytes] = set()
    for key, record in pairs:
        if key not in told:
            told.add(key)
            yield key, record


@contextmanager
def _told() -> Iterator[None]:
    """Raise errors of the server and of the way to it as ConnectionError."""
    try:
        import redis
    except ImportError:
        yield
        return
    try:
        yield
    except (redis.RedisError, redis.exceptions.RedisClusterException) as error:
        raise ConnectionError(f"redis: {error}") from error


def _file(path: str | os.PathLike[str] | None) -> Path:
    if path is None:
        raise TypeError("path: got None, expected where the pointer to the table is or shall be")
    return Path(path)
