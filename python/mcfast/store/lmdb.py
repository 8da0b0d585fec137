"""A table in one LMDB file: embedded, read by several processes through shared pages, written by one at a time."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from .lmdb_environment import MAP_SIZE, Environment
from .protocol import Backend, Pairs
from .records import Records

if TYPE_CHECKING:
    from lmdb import Transaction

    from .lmdb_environment import Tables

TABLE = "records"


class LmdbBackend(Records):
    """Records in the table `TABLE` of an environment, which is closed with it."""

    def __init__(self, environment: Environment) -> None:
        self.readonly = environment.readonly
        self._environment = environment

    def get(self, key: bytes) -> bytes | None:
        """Return the record of a key, or None."""
        return self._environment.read(lambda transaction, tables: transaction.get(key, None, tables[TABLE]))

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, or None."""

        def read(transaction: Transaction[bytes], tables: Tables) -> list[bytes | None]:
            table = tables[TABLE]
            return [transaction.get(key, None, table) for key in keys]

        return self._environment.read(read)

    def pairs(self, batch: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield every key and record once. A transaction lasts a batch: a long one would keep old pages in the file."""
        last = b""

        def read(transaction: Transaction[bytes], tables: Tables) -> list[tuple[bytes, bytes]]:
            with transaction.cursor(tables[TABLE]) as cursor:
                found = cursor.set_range(last) if last else cursor.first()
                if found and cursor.key() == last:
                    found = cursor.next()
                return [pair for _, pair in zip(range(batch), cursor, strict=False)] if found else []

        while pairs := self._environment.read(read):
            yield pairs
            last = pairs[-1][0]

    def __len__(self) -> int:
        return self._environment.read(lambda transaction, tables: transaction.stat(tables[TABLE])["entries"])

    def put_many(self, pairs: Pairs) -> None:
        """Write records."""

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            with transaction.cursor(tables[TABLE]) as cursor:
                cursor.putmulti(pairs)

        self._environment.write(write)

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Remove records."""

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            for key in keys:
                transaction.delete(key, db=tables[TABLE])

        self._environment.write(write)

    def replace_all(self, pairs: Pairs) -> None:
        """Write records in place of everything that is there."""

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            transaction.drop(tables[TABLE], delete=False)
            with transaction.cursor(tables[TABLE]) as cursor:
                cursor.putmulti(pairs, append=True)  # keys come ascending: pages are filled one after the other

        self._environment.write(write)

    def close(self) -> None:
        """Let go of the environment."""
        self._environment.close()


def open(path: str | os.PathLike[str] | None, *, readonly: bool) -> Backend:
    """Open the file at `path`."""
    return LmdbBackend(Environment.open(_file(path), [TABLE], readonly=readonly))


def build(path: str | os.PathLike[str] | None, pairs: Pairs) -> Backend:
    """Write a file at `path`, and open it read-only. Written in the order of the keys, it has no gaps to close."""
    file = _file(path)
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(8)}.tmp")
    try:
        map_size = max(MAP_SIZE, 2 * pairs.nbytes)
        backend = LmdbBackend(Environment.open(temporary, [TABLE], map_size=map_size, sync=False))
        try:
            backend.replace_all(pairs)
        finally:
            backend.close()
        temporary.replace(file)
        files.sync_directory(file.parent)
    finally:
        for left in (temporary, temporary.with_name(f"{temporary.name}-lock")):
            left.unlink(missing_ok=True)
    return open(file, readonly=True)


def _file(path: str | os.PathLike[str] | None) -> Path:
    if path is None:
        raise TypeError("path: got None, expected where the table's file is or shall be")
    return Path(path)
