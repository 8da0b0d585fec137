"""Where a table on Redis is: the address of a server or of a cluster, and the names of its hashes, in a small file.

The address is ``MCFAST_REDIS_URL`` in the environment where none is given. It holds no secrets: a name and a password
come from ``MCFAST_REDIS_USERNAME`` and ``MCFAST_REDIS_PASSWORD`` only.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .. import checks, files
from ..errors import CorruptError, MissingExtraError

URL = "redis://127.0.0.1:6379/0"
PREFIX = "mcfast"
FORMAT = 1
KIND = "mcfast-redis"
PORT = 6379
PARTS = 64  # hashes of a table on a cluster: some on every node, and few commands for a batch
_CLUSTER = "+cluster"
_SCHEMES = ("redis", "rediss", "redis" + _CLUSTER, "rediss" + _CLUSTER)
_EXPECTED = f"redis://HOST:PORT/DATABASE, as {URL!r}, or redis+cluster://HOST:PORT,HOST:PORT"


class Pointer(NamedTuple):
    """What the file of a table says."""

    url: str
    key: str
    size: int | None  # of a table that never changes
    parts: Sequence[int] | None = None  # how many records each hash has, where there are several

    @property
    def names(self) -> list[str]:
        """The hashes. What stands in braces tells a cluster where a name belongs."""
        if self.parts is None:
            return [f"{PREFIX}:{{{self.key}}}" if is_cluster(self.url) else self.key]
        return [f"{PREFIX}:{{{self.key}.{part}}}" for part in range(len(self.parts))]

    def fields(self) -> dict[str, Any]:
        """Return what stands in the file."""
        known = {"kind": KIND, "format": FORMAT, "url": self.url, "key": self.key, "size": self.size}
        return known if self.parts is None else known | {"parts": list(self.parts)}


def new(url: str | None, size: int | None) -> Pointer:
    """Return the pointer to a table with a name that no other has; raises ValueError for an address that is none."""
    address = os.environ.get("MCFAST_REDIS_URL", URL) if url is None else url
    parts = urlsplit(address) if isinstance(address, str) else None
    if parts is None or parts.scheme not in _SCHEMES or not parts.netloc.strip(",:@"):
        raise ValueError(checks.message("url", repr(address), _EXPECTED))
    if "@" in parts.netloc or parts.query:
        secret = "none of them; MCFAST_REDIS_USERNAME and MCFAST_REDIS_PASSWORD in the environment tell secrets"
        raise ValueError(checks.message("url", "one with a name, a password or a query", secret))
    cluster = parts.scheme.endswith(_CLUSTER)
    if cluster and parts.path.strip("/") not in ("", "0"):
        raise ValueError(checks.message("url", repr(address), "no database but 0: a cluster has no other"))
    plain = parts._replace(path="" if cluster else parts.path, fragment="").geturl()
    name = secrets.token_hex(12)
    return Pointer(plain, name if cluster else f"{PREFIX}:{name}", size)


def is_cluster(address: str) -> bool:
    """Tell whether an address is that of a cluster."""
    return urlsplit(address).scheme.endswith(_CLUSTER)


def connect(address: str) -> Any:
    """Return a client of a server or of a cluster; it has not spoken to it yet, or raises an error of redis-py."""
    try:
        import redis
    except ImportError:
        raise MissingExtraError("redis", "redis", "store='redis'") from None
    options: dict[str, Any] = {
        "username": os.environ.get("MCFAST_REDIS_USERNAME"),
        "password": os.environ.get("MCFAST_REDIS_PASSWORD"),
        "socket_connect_timeout": 5,
        "socket_timeout": 10,
    }
    if not is_cluster(address):
        return redis.Redis.from_url(address, **options)
    parts = urlsplit(address)
    hosts = [urlsplit(f"//{host}") for host in parts.netloc.split(",") if host]
    cluster: Any = redis.cluster
    nodes = [cluster.ClusterNode(host.hostname, host.port or PORT) for host in hosts]
    return cluster.RedisCluster(startup_nodes=nodes, ssl=parts.scheme.startswith("rediss"), **options)


def find(file: Path) -> Pointer | None:
    """Return the pointer in a file; None where there is no file, or another one."""
    try:
        with file.open("rb") as opened:
            return read(file) if opened.read(1) == b"{" else None
    except (FileNotFoundError, IsADirectoryError, CorruptError):
        return None


def read(file: Path) -> Pointer:
    """Return the pointer in a file; raises CorruptError if it holds none."""
    try:
        fields = json.loads(file.read_text("utf-8"))
        if fields["kind"] != KIND or fields["format"] != FORMAT:
            raise ValueError
        return Pointer(str(fields["url"]), str(fields["key"]), fields["size"], fields.get("parts"))
    except (ValueError, KeyError, TypeError):
        raise CorruptError(f"{file}: not the pointer to a table on redis, or an altered one") from None


def write(file: Path, pointer: Pointer) -> None:
    """Write a pointer to a file, in one step."""
    files.write_text(file, json.dumps(pointer.fields()) + "\n")
