"""What a key-value backend provides: keys and records, both bytes. `Table` gives them their meaning."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Protocol


class Pairs(Protocol):
    """Keys and their records, keys ascending and distinct. Can be read any number of times."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[bytes, memoryview]]: ...

    @property
    def nbytes(self) -> int:
        """The size of all keys and records together, in bytes."""


class Backend(Protocol):
    """An open table of records. A call is atomic: others see all that it changes, or nothing."""

    readonly: bool

    def get(self, key: bytes) -> bytes | None:
        """Return the record of a key, or None."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, all from one state of the table; None where there is none."""

    def iterate(self, batch: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield every key and record once, up to `batch` at a time; each batch is one state of the table."""

    def __len__(self) -> int: ...

    def put_many(self, pairs: Pairs) -> None:
        """Write records, in place of those that have the same key."""

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Remove records; a key that is not there is no error."""

    def replace_all(self, pairs: Pairs) -> None:
        """Write records in place of everything that is there."""

    def close(self) -> None:
        """Let go of the table. It is not used afterwards."""


class Module(Protocol):
    """A module that offers a backend: what the registry names."""

    @staticmethod
    def open(path: str | os.PathLike[str] | None, *, readonly: bool, **options: Any) -> Backend:
        """Open the table at `path`; where there is none, make an empty one, or raise FormatError if `readonly`."""

    @staticmethod
    def build(path: str | os.PathLike[str] | None, pairs: Pairs, **options: Any) -> Backend:
        """Write a new table at `path` in one pass, in place of what stood there, and open it read-only."""
