"""What a key-value backend provides: the values of keys. `Table` checks what goes in, `Records` is the usual basis."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .keys import Id
from .record import AnyVectors, Float32, Int32, Int64, Value, Values


class Columns(NamedTuple):
    """The values of n ids as arrays: vectors (n, K) in the precision of the table, biases, and items seen as CSR."""

    vectors: AnyVectors
    biases: Float32
    indptr: Int64
    rows: Int32


class Pairs(Protocol):
    """Ids and their values, to be written, in the order of their keys, which are distinct. Can be read again."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[bytes, memoryview]]:
        """Yield keys and records, keys ascending."""

    @property
    def keys(self) -> Sequence[bytes]:
        """The keys, ascending; `keys.Integers` only where all ids are integers."""

    @property
    def long(self) -> Mapping[int, bytes]:
        """By position, the ids whose key is a hash, as UTF-8."""

    def columns(self, order: Int64) -> Columns:
        """Return the values at some positions, as arrays."""

    @property
    def nbytes(self) -> int:
        """The size of all keys and records together, in bytes."""


class Backend(Protocol):
    """An open table. A call is atomic: others see all that it changes, or nothing."""

    readonly: bool

    def value(self, key: bytes, long: bytes) -> Value | None:
        """Return the value of a key, or None; `long` is the id as UTF-8 if the key is a hash, otherwise empty."""

    def values(self, keys: Sequence[bytes], long: Mapping[int, bytes]) -> Values:
        """Return the value of each key, all from one state of the table; `long` is by position."""

    def iterate(self, batch: int) -> Iterator[tuple[list[Id], Values]]:
        """Yield every id and its value once, up to `batch` at a time; each batch is one state of the table."""

    @property
    def width(self) -> int | None:
        """K, the number of factors; None while the table is empty."""

    def __len__(self) -> int: ...

    def close(self) -> None:
        """Let go of the table. It is not used afterwards."""


class Changeable(Backend, Protocol):
    """What an open table provides beside, unless it is `readonly`."""

    def put_many(self, pairs: Pairs) -> None:
        """Write values, in place of those that have the same key."""

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Remove values; a key that is not there is no error."""

    def replace_all(self, pairs: Pairs) -> None:
        """Write values in place of everything that is there."""


class Module(Protocol):
    """A module that offers a backend: what the registry names."""

    @staticmethod
    def open(path: str | os.PathLike[str] | None, *, readonly: bool, **options: Any) -> Backend:
        """Open the table at `path`; where there is none, make an empty one, or raise FormatError if `readonly`."""

    @staticmethod
    def build(path: str | os.PathLike[str] | None, pairs: Pairs, **options: Any) -> Backend:
        """Write a new table at `path` in one pass, in place of what stood there, and open it read-only."""
