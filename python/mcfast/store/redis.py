"""A table on a Redis server, which any number of machines may ask.

A table is one hash of Redis: its fields are keys, its values records. So reading or writing many is one command, which
sees and leaves one state, and a table of any size is dropped at once. The file at a table's path is a pointer: the
address of the server without secrets, and the name of the hash, which no other table has.

The address is ``MCFAST_REDIS_URL`` in the environment where none is given; a name and a password come from
``MCFAST_REDIS_USERNAME`` and ``MCFAST_REDIS_PASSWORD`` only.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from .. import checks, files
from ..errors import CorruptError, FormatError, MissingExtraError
from .protocol import Backend, Pairs

URL = "redis://127.0.0.1:6379/0"
PREFIX = "mcfast"
FORMAT = 1
KIND = "mcfast-redis"
_CHUNK = 1 << 18  # bytes of records in a command
_AHEAD = 6  # answers that may be awaited while more is sent
_ABANDONED = 3600  # seconds after which what an interrupted load has left is gone
_DROPPED = 600  # seconds that who still reads a dropped table has to go on to another
_SCHEMES = ("redis", "rediss")
_CURSOR = 1000


class Pointer(NamedTuple):
    """What the file of a table says."""

    url: str
    key: str
    size: int | None  # of a table that never changes


class RedisBackend:
    """Records in a hash of a server."""

    def __init__(self, client: Any, pointer: Pointer, *, readonly: bool) -> None:
        self.readonly = readonly
        self._client = client
        self._name = pointer.key
        self._size = pointer.size

    def get(self, key: bytes) -> bytes | None:
        """Return the record of a key, or None."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, or None."""
        if not keys:
            return []
        with _told():
            found: list[bytes | None] = self._client.hmget(self._name, keys)
            if self._size and found.count(None) == len(found) and not self._client.exists(self._name):
                raise CorruptError(f"the table {self._name} is not on the server any more")
        return found

    def iterate(self, batch: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield every key and record once. The server may tell a key twice; its second telling is passed over."""
        with _told():
            pairs = _firsts(self._client.hscan_iter(self._name, count=min(batch, _CURSOR)))
            while found := list(itertools.islice(pairs, batch)):
                yield found

    def __len__(self) -> int:
        with _told():
            return int(self._client.hlen(self._name))

    def put_many(self, pairs: Pairs) -> None:
        """Write records, in one transaction."""
        with _told(), self._client.pipeline(transaction=True) as pipeline:
            for command in _commands(self._name, pairs):
                pipeline.execute_command(*command)
            pipeline.execute()

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Remove records."""
        if keys:
            with _told():
                self._client.hdel(self._name, *keys)

    def replace_all(self, pairs: Pairs) -> None:
        """Write records beside those that are there, and take their place in one step."""
        new = f"{self._name}:{secrets.token_hex(8)}"
        with _told():
            try:
                self._load(new, pairs)
                if len(pairs):
                    with self._client.pipeline(transaction=True) as pipeline:
                        pipeline.persist(new).rename(new, self._name).execute()
                else:
                    self._client.unlink(self._name)
            except BaseException:
                self._client.unlink(new)
                raise

    def drop(self) -> None:
        """Let the table vanish from the server: soon, as others may read it yet."""
        with _told():
            self._client.expire(self._name, _DROPPED)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _load(self, name: str, pairs: Pairs) -> None:
        """Write a new hash through a pipeline; it vanishes by itself unless it is made to last.

        Commands are laid out as bytes here, which is several times faster than to have each value checked.
        """
        pool = self._client.connection_pool
        connection = pool.get_connection()
        try:
            under_way = 0
            for command in _commands(name, pairs):
                lasts = connection.pack_command("EXPIRE", name, _ABANDONED)
                connection.send_packed_command([_packed(command), *lasts])
                under_way += 2
                while under_way > _AHEAD:
                    connection.read_response()
                    under_way -= 1
            for _ in range(under_way):
                connection.read_response()
        except BaseException:
            connection.disconnect()  # answers may be left in it
            raise
        finally:
            pool.release(connection)


def open(path: str | os.PathLike[str] | None, *, readonly: bool, url: str | None = None) -> Backend:
    """Open the table that the pointer at `path` names; where there is no file, make an empty table at `url`."""
    file = _file(path)
    if readonly and not file.exists():
        raise FormatError(f"{file}: does not exist")
    there = file.exists()
    pointer = read_pointer(file) if there else _new(url, None)
    client = _client(pointer.url)
    if not there:
        _write_pointer(file, pointer)
    return RedisBackend(client, pointer, readonly=readonly)


def build(path: str | os.PathLike[str] | None, pairs: Pairs, *, url: str | None = None) -> Backend:
    """Load a new table, and write the pointer to it; what the old pointer names is dropped."""
    file = _file(path)
    pointer = _new(url, len(pairs))
    backend = RedisBackend(_client(pointer.url), pointer, readonly=True)
    before = RedisBackend(_client(old.url), old, readonly=True) if (old := find_pointer(file)) else None
    try:
        backend.replace_all(pairs)
        _write_pointer(file, pointer)
    except BaseException:
        backend.drop()
        raise
    if before is not None:
        before.drop()
        before.close()
    return backend


def drop(pointer: Pointer) -> None:
    """Remove a table from its server."""
    backend = RedisBackend(_client(pointer.url), pointer, readonly=True)
    backend.drop()
    backend.close()


def _firsts(pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield each key once."""
    told: set[bytes] = set()
    for key, record in pairs:
        if key not in told:
            told.add(key)
            yield key, record


def _commands(name: str, pairs: Pairs) -> Iterator[list[Any]]:
    """Yield HSET commands that write all pairs."""
    each = max(1, _CHUNK * len(pairs) // max(1, pairs.nbytes))
    left = iter(pairs)
    while some := list(itertools.islice(left, each)):
        yield [b"HSET", name.encode(), *itertools.chain.from_iterable(some)]


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


def _client(address: str) -> Any:
    try:
        import redis
    except ImportError:
        raise MissingExtraError("redis", "redis", "store='redis'") from None
    client = redis.Redis.from_url(
        address,
        username=os.environ.get("MCFAST_REDIS_USERNAME"),
        password=os.environ.get("MCFAST_REDIS_PASSWORD"),
        socket_connect_timeout=5,
        socket_timeout=10,
    )
    with _told():
        client.ping()
    return client


@contextmanager
def _told() -> Iterator[None]:
    """Raise errors of the server and of the way to it as ConnectionError."""
    import redis

    try:
        yield
    except redis.RedisError as error:
        raise ConnectionError(f"redis: {error}") from error


def find_pointer(file: Path) -> Pointer | None:
    """Return the pointer in a file; None where there is no file, or another one."""
    try:
        with file.open("rb") as opened:
            return read_pointer(file) if opened.read(1) == b"{" else None
    except (FileNotFoundError, CorruptError):
        return None


def read_pointer(file: Path) -> Pointer:
    """Return the pointer in a file; raises CorruptError if it holds none."""
    try:
        fields = json.loads(file.read_text("utf-8"))
        if fields["kind"] != KIND or fields["format"] != FORMAT:
            raise ValueError
        return Pointer(str(fields["url"]), str(fields["key"]), fields["size"])
    except (ValueError, KeyError, TypeError):
        raise CorruptError(f"{file}: not the pointer to a table on redis, or an altered one") from None


def _new(url: str | None, size: int | None) -> Pointer:
    """Return the pointer to a table with a new name."""
    address = os.environ.get("MCFAST_REDIS_URL", URL) if url is None else url
    parts = urlsplit(address) if isinstance(address, str) else None
    if parts is None or parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError(checks.message("url", repr(address), f"redis://HOST:PORT/DATABASE, as {URL!r}"))
    if parts.username or parts.password or parts.query:
        secret = "none of them; MCFAST_REDIS_USERNAME and MCFAST_REDIS_PASSWORD in the environment tell secrets"
        raise ValueError(checks.message("url", "one with a name, a password or a query", secret))
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return Pointer(plain, f"{PREFIX}:{secrets.token_hex(12)}", size)


def _write_pointer(file: Path, pointer: Pointer) -> None:
    files.write_text(file, json.dumps({"kind": KIND, "format": FORMAT, **pointer._asdict()}) + "\n")


def _file(path: str | os.PathLike[str] | None) -> Path:
    if path is None:
        raise TypeError("path: got None, expected where the pointer to the table is or shall be")
    return Path(path)
