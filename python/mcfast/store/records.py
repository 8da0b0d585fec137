"""The basis of backends that keep bytes: keys and records, whose values are those of `record`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from . import record
from .keys import Id, decode
from .record import Value, Values


class Records(ABC):
    """A table of keys and records, both bytes."""

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """Return the record of a key, or None."""

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, all from one state of the table; None where there is none."""

    @abstractmethod
    def pairs(self, batch: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield every key and record once, up to `batch` at a time; each batch is one state of the table."""

    def value(self, key: bytes, long: bytes) -> Value | None:
        """Return the value of a key, or None."""
        data = self.get(key)
        return None if data is None else record.decode(data, long)

    def values(self, keys: Sequence[bytes], long: Mapping[int, bytes]) -> Values:
        """Return the value of each key."""
        records = self.get_many(keys)
        if len(records) == 1 and records[0] is not None:  # several times faster, and what a server asks most
            return Values.of_one(record.decode(records[0], long.get(0, b"")))
        width = (self.width or 0) if records.count(None) == len(records) else 0
        return record.decode_many(records, width, long)

    def iterate(self, batch: int) -> Iterator[tuple[list[Id], Values]]:
        """Yield every id and its value once."""
        for pairs in self.pairs(batch):
            values = record.decode_many([data for _, data in pairs], 0, {})
            yield [decode(key, record.long_id(data)) for key, data in pairs], values

    @property
    def width(self) -> int | None:
        """K, None while the table is empty."""
        for batch in self.pairs(1):
            return record.width_of(batch[0][1])
        return None
