"""What is written online: one LMDB file that all processes share, and that outlives every version.

=================  ================================================================================================
table              key -> value; keys are those of `store.keys`, numbers little-endian
=================  ================================================================================================
``interactions``   user -> JSON ``{"user": id, "items": [[id, score or null], ...]}``, an item once
``vectors``        user -> by version (`stamped`): record of `store.record`
``items``          item -> by version: uint32 length of the record, record, JSON attributes
``forgotten``      user -> int64 highest version that must not know the user, -1 for all; the id, if the key is a hash
``state``          ``format`` -> "1"; ``items`` -> int64, how often ``items`` has changed
=================  ================================================================================================

A vector counts only under the version whose space it belongs to. Interactions count always.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..data.ids import Ids, Rows
from ..errors import NewerFormatError
from ..store import keys, record
from ..store.keys import Id
from ..store.record import Float32
from . import stamped
from .decoding import FILE, decoder
from .root import Root
from .values import (
    Interactions,
    OnlineItem,
    decode_interactions,
    decode_item,
    decode_vector,
    encode_interactions,
    encode_item,
    encode_vector,
)

if TYPE_CHECKING:
    from lmdb import Transaction, _Database

    from ..store.lmdb_environment import Tables

FORMAT = b"1"
TABLES = ("interactions", "vectors", "items", "forgotten", "state")
ALWAYS = -1
BATCH = 4096  # entries read in one transaction: a long one would keep old pages in the file
_NUMBER = struct.Struct("<q")

Key = tuple[bytes, bytes]
"""Of a user or an item: its key, and its id as UTF-8 if the key is a hash."""


@dataclass
class OnlineUser:
    """What is known online of a user, under one version."""

    vector: record.Value | None
    interactions: Interactions
    forgotten: bool  # by the version: what it holds must not be used


class Online(NamedTuple):
    """What is known online of some users, all from one state."""

    users: dict[int, OnlineUser]  # by place in what was asked; only those of whom something is known
    items_changed: int  # how often items have changed


class Live:
    """What is written online in a served folder. Threads may share it; it is usable after a fork.

    Raises
    ------
    CorruptError
        The file is truncated or altered.
    NewerFormatError
        A newer mcfast wrote it.
    """

    def __init__(self, root: Root) -> None:
        from ..store.lmdb_environment import Environment

        self._root = root
        self._environment = Environment.open(root.live / FILE, TABLES)
        try:
            self._check_format()
        except BaseException:
            self.close()
            raise

    def look(self, users: Sequence[bytes], version: int) -> Online:
        """Return what is known of users, given by their keys, under a version."""

        def read(transaction: Transaction[bytes], tables: Tables) -> Online:
            found: dict[int, OnlineUser] = {}
            interactions, vectors, forgotten = tables["interactions"], tables["vectors"], tables["forgotten"]
            for i, key in enumerate(users):
                met = transaction.get(key, None, interactions)
                kept = transaction.get(key, None, vectors)
                bound = transaction.get(key, None, forgotten)
                if met is not None or kept is not None or bound is not None:
                    data = stamped.get(kept, version)
                    found[i] = OnlineUser(
                        None if data is None else decode_vector(data),
                        {} if met is None else decode_interactions(met)[1],
                        bound is not None and (_number(bound) == ALWAYS or _number(bound) >= version),
                    )
            return Online(found, _counter(transaction, tables))

        return self._environment.read(read)

    def record(self, user: Key, items: Mapping[Id, float | None]) -> None:
        """Add interactions of a user; on the disk when it returns."""
        key, long = user

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            value = transaction.get(key, None, tables["interactions"])
            met = {} if value is None else decode_interactions(value)[1]
            value = encode_interactions(keys.decode(key, long), met | dict(items))
            transaction.put(key, value, db=tables["interactions"])
            self._remember(transaction, tables, user)

        self._environment.write(write)

    def put_user(self, user: Key, vector: Float32, bias: float, version: int) -> None:
        """Write the vector of a user."""
        data = encode_vector(vector, bias, user[1])

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            _put(transaction, tables["vectors"], user[0], version, data)
            self._remember(transaction, tables, user)

        self._environment.write(write)

    def put_item(self, item: Key, vector: Float32, bias: float, attributes: dict[str, Any], version: int) -> None:
        """Write an item."""
        data = encode_item(vector, bias, item[1], attributes)

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            _put(transaction, tables["items"], item[0], version, data)
            _count(transaction, tables)

        self._environment.write(write)

    def put_folded(self, users: Iterable[tuple[Key, bytes]], items: Iterable[tuple[Key, bytes]], version: int) -> None:
        """Write users and items that were folded in, encoded, all in one step."""

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            for (key, _), data in users:
                if transaction.get(key, None, tables["interactions"]) is not None:  # else forgotten meanwhile
                    _put(transaction, tables["vectors"], key, version, data)
            for (key, _), data in items:
                _put(transaction, tables["items"], key, version, data)
            _count(transaction, tables)

        self._environment.write(write)

    def forget(self, user: Key) -> None:
        """Remove what is written online of a user, and hide what versions hold of them."""
        key, long = user

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            for name in ("interactions", "vectors"):
                transaction.delete(key, db=tables[name])
            transaction.put(key, _NUMBER.pack(ALWAYS) + long, db=tables["forgotten"])

        self._environment.write(write)

    def items(self, version: int) -> tuple[list[OnlineItem], int]:
        """Return the items that count under a version, in the order of their keys, and how often items have changed."""

        def read(transaction: Transaction[bytes], tables: Tables) -> tuple[list[OnlineItem], int]:
            with transaction.cursor(tables["items"]) as cursor:
                kept = ((key, stamped.get(value, version)) for key, value in cursor)
                found = [decode_item(key, data) for key, data in kept if data is not None]
            return found, _counter(transaction, tables)

        return self._environment.read(read)

    def all_items(self) -> Iterator[OnlineItem]:
        """Yield every item that was put online, under any version, as it was written last."""
        return (decode_item(key, stamped.last(value)) for key, value in self._pairs("items"))

    def all_interactions(self) -> Iterator[tuple[Id, Interactions]]:
        """Yield every user of whom something was recorded, and what it was."""
        return (decode_interactions(value) for _, value in self._pairs("interactions"))

    def drop_vectors(self, versions: Collection[int]) -> None:
        """Remove vectors of users and items that belong to no version of those given."""

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            for name in ("vectors", "items"):
                with transaction.cursor(tables[name]) as cursor:
                    kept = ((key, value, stamped.only(value, versions)) for key, value in cursor)
                    changed = [(key, after) for key, before, after in kept if after != before]
                for key, after in changed:
                    if after:
                        transaction.put(key, after, db=tables[name])
                    else:
                        transaction.delete(key, db=tables[name])
                if changed and name == "items":
                    _count(transaction, tables)

        self._environment.write(write)

    def not_forgotten(self, users: Ids) -> Rows:
        """Return the rows of the users that have not been forgotten for good."""
        size = _NUMBER.size
        pairs = self._pairs("forgotten")
        forgotten = [keys.decode(key, value[size:]) for key, value in pairs if _number(value) == ALWAYS]
        rows = users.rows([id for id in forgotten if isinstance(id, int) == users.is_integer], "forgotten", "skip")
        remaining = np.ones(len(users), np.bool_)
        remaining[rows[rows >= 0]] = False
        return np.flatnonzero(remaining).astype(np.int32)

    def close(self) -> None:
        """Let go of the file."""
        self._environment.close()

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pairs(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries of a table; those of a batch are of one state."""
        after = b"\0"

        def read(transaction: Transaction[bytes], tables: Tables) -> list[tuple[bytes, bytes]]:
            with transaction.cursor(tables[name]) as cursor:
                return list(itertools.islice(cursor, BATCH)) if cursor.set_range(after) else []

        while pairs := self._environment.read(read):
            yield from pairs
            after = pairs[-1][0] + b"\0"

    def _check_format(self) -> None:
        def read(transaction: Transaction[bytes], tables: Tables) -> bytes | None:
            return transaction.get(b"format", None, tables["state"])

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            transaction.put(b"format", FORMAT, db=tables["state"])

        found = self._environment.read(read)
        if found is None:
            self._environment.write(write)
        elif found != FORMAT:
            text = found.decode("utf-8", "replace")
            raise NewerFormatError(
                f"{self._root.live / FILE}: format {text}, this mcfast reads up to {FORMAT.decode()}: "
                "pip install -U mcfast"
            )

    def _remember(self, transaction: Transaction[bytes], tables: Tables, user: Key) -> None:
        """Let versions to come know a user again who was forgotten, and is active."""
        key, long = user
        bound = transaction.get(key, None, tables["forgotten"])
        if bound is not None and _number(bound) == ALWAYS:
            transaction.put(key, _NUMBER.pack(self._root.highest()) + long, db=tables["forgotten"])


@decoder
def _number(value: bytes) -> int:
    number: int = _NUMBER.unpack_from(value)[0]
    return number


def _put(transaction: Transaction[bytes], table: _Database, key: bytes, version: int, data: bytes) -> None:
    transaction.put(key, stamped.put(transaction.get(key, None, table), version, data), db=table)


def _counter(transaction: Transaction[bytes], tables: Tables) -> int:
    value = transaction.get(b"items", None, tables["state"])
    return 0 if value is None else _number(value)


def _count(transaction: Transaction[bytes], tables: Tables) -> None:
    transaction.put(b"items", _NUMBER.pack(_counter(transaction, tables) + 1), db=tables["state"])
