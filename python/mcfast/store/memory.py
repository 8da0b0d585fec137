"""A table in the memory of this process: for tests, and for what need not last."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence

from .protocol import Backend, Pairs
from .records import Records


class MemoryBackend(Records):
    """Records in a dict."""

    def __init__(self) -> None:
        self.readonly = False
        self._records: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        """Return the record of a key, or None."""
        return self._records.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, or None."""
        with self._lock:
            return list(map(self._records.get, keys))

    def pairs(self, batch: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield every key and record once."""
        with self._lock:
            pairs = list(self._records.items())
        for start in range(0, len(pairs), batch):
            yield pairs[start : start + batch]

    def __len__(self) -> int:
        return len(self._records)

    def put_many(self, pairs: Pairs) -> None:
        """Write records."""
        new = {key: bytes(record) for key, record in pairs}
        with self._lock:
            self._records.update(new)

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Remove records."""
        with self._lock:
            for key in keys:
                self._records.pop(key, None)

    def replace_all(self, pairs: Pairs) -> None:
        """Write records in place of everything that is there."""
        new = {key: bytes(record) for key, record in pairs}
        with self._lock:
            self._records = new

    def close(self) -> None:
        """Let go of the records."""
        self._records = {}


def open(path: str | os.PathLike[str] | None, *, readonly: bool) -> Backend:
    """Make an empty table; `path` means nothing."""
    backend = MemoryBackend()
    backend.readonly = readonly
    return backend


def build(path: str | os.PathLike[str] | None, pairs: Pairs) -> Backend:
    """Make a read-only table of `pairs`; `path` means nothing."""
    backend = MemoryBackend()
    backend.replace_all(pairs)
    backend.readonly = True
    return backend
