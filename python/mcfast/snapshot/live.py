"""What is written online: one LMDB file that all processes share, and that outlives every version.

=================  ================================================================================================
table              key -> value; keys are those of `store.keys`, numbers little-endian
=================  ================================================================================================
``interactions``   user -> JSON ``[[item, score or null], ...]``, an item once, in the order of its first interaction
``vectors``        user -> by version (`stamped`): record of `store.record`
``items``          item -> by version: uint32 length of the record, record, JSON attributes
``forgotten``      user -> int64 highest version that must not know the user, -1 for all; the id, if the key is a hash
``state``          ``format`` -> "1"; ``items`` -> int64, how often ``items`` has changed
=================  ================================================================================================

A vector counts only under the version whose space it belongs to. Interactions count always.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..checks import message
from ..data.ids import Ids, Rows
from ..errors import CorruptError, NewerFormatError
from ..store import keys, record
from ..store.keys import Id
from ..store.record import Float32
from . import stamped
from .root import Root

if TYPE_CHECKING:
    from lmdb import Transaction, _Database

    from ..store.lmdb_environment import Tables

FILE = "live.lmdb"
FORMAT = b"1"
TABLES = ("interactions", "vectors", "items", "forgotten", "state")
ALWAYS = -1
_NUMBER = struct.Struct("<q")
_LENGTH = struct.Struct("<I")

Interactions = dict[Id, float | None]


@dataclass
class UserOnline:
    """What is known online of a user, under one version."""

    vector: record.Value | None
    interactions: Interactions
    forgotten: bool  # by the version: it must not use what it holds


class Online(NamedTuple):
    """What is known online of some users, all from one state."""

    users: dict[int, UserOnline]  # by place in what was asked; only those of whom something is known
    items_changed: int  # how often items have changed


class AddedItem(NamedTuple):
    """An item that was put online."""

    id: Id
    value: record.Value
    attributes: dict[str, Any]


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
            found: dict[int, UserOnline] = {}
            interactions, vectors, forgotten = (tables[name] for name in ("interactions", "vectors", "forgotten"))
            for i, key in enumerate(users):
                met = transaction.get(key, None, interactions)
                vector = transaction.get(key, None, vectors)
                bound = transaction.get(key, None, forgotten)
                if met is not None or vector is not None or bound is not None:
                    found[i] = UserOnline(_vector(vector, version), _interactions(met), _hides(bound, version))
            return Online(found, _counter(transaction, tables))

        return self._environment.read(read)

    def record(self, user: tuple[bytes, bytes], items: Mapping[Id, float | None]) -> None:
        """Add interactions of a user, given by key and long id; on the disk when it returns."""
        key, long = user

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            met = _interactions(transaction.get(key, None, tables["interactions"]))
            met.update(items)
            transaction.put(key, _json([[id, score] for id, score in met.items()]), db=tables["interactions"])
            self._remember(transaction, tables, key, long)

        self._environment.write(write)

    def put_user(self, user: tuple[bytes, bytes], vector: Float32, bias: float, version: int) -> None:
        """Write a vector of a user."""
        key, long = user
        data = _record(vector, bias, long)

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            _put(transaction, tables["vectors"], key, version, data)
            self._remember(transaction, tables, key, long)

        self._environment.write(write)

    def forget(self, user: tuple[bytes, bytes]) -> None:
        """Remove what is written online of a user, and hide what versions hold of them."""
        key, long = user

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            for name in ("interactions", "vectors"):
                transaction.delete(key, db=tables[name])
            transaction.put(key, _NUMBER.pack(ALWAYS) + long, db=tables["forgotten"])

        self._environment.write(write)

    def put_item(
        self, item: tuple[bytes, bytes], vector: Float32, bias: float, attributes: dict[str, Any], version: int
    ) -> None:
        """Write an item."""
        key, long = item
        data = _record(vector, bias, long)
        try:
            data = _LENGTH.pack(len(data)) + data + _json(attributes)
        except (TypeError, ValueError) as error:
            raise TypeError(message("attributes", str(error), "names and values that JSON has")) from None

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            _put(transaction, tables["items"], key, version, data)
            _count(transaction, tables)

        self._environment.write(write)

    def items(self, version: int) -> tuple[list[AddedItem], int]:
        """Return the items that count under a version, in the order of their keys, and how often items have changed."""

        def read(transaction: Transaction[bytes], tables: Tables) -> tuple[list[AddedItem], int]:
            with transaction.cursor(tables["items"]) as cursor:
                kept = ((key, stamped.get(value, version)) for key, value in cursor)
                found = [_item(key, data) for key, data in kept if data is not None]
            return found, _counter(transaction, tables)

        return self._environment.read(read)

    def drop_vectors(self, versions: set[int]) -> None:
        """Remove vectors of users and items that belong to no version of those given."""

        def write(transaction: Transaction[bytes], tables: Tables) -> None:
            for name in ("vectors", "items"):
                with transaction.cursor(tables[name]) as cursor:
                    kept = [(key, value, stamped.only(value, versions)) for key, value in cursor]
                for key, before, after in kept:
                    if not after:
                        transaction.delete(key, db=tables[name])
                    elif after != before:
                        transaction.put(key, after, db=tables[name])
            _count(transaction, tables)

        self._environment.write(write)

    def not_forgotten(self, users: Ids) -> Rows:
        """Return the rows of the users that have not been forgotten for good."""

        def read(transaction: Transaction[bytes], tables: Tables) -> list[Id]:
            with transaction.cursor(tables["forgotten"]) as cursor:
                size = _NUMBER.size
                return [
                    keys.decode(key, value[size:]) for key, value in cursor if _NUMBER.unpack_from(value)[0] == ALWAYS
                ]

        forgotten = [id for id in self._environment.read(read) if isinstance(id, int) == users.is_integer]
        remaining = np.ones(len(users), np.bool_)
        rows = users.rows(forgotten, "forgotten", "skip")
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

    def _remember(self, transaction: Transaction[bytes], tables: Tables, key: bytes, long: bytes) -> None:
        """Let versions to come know a user again who was forgotten, and is active."""
        bound = transaction.get(key, None, tables["forgotten"])
        if bound is not None and _NUMBER.unpack_from(bound)[0] == ALWAYS:
            transaction.put(key, _NUMBER.pack(self._root.highest()) + long, db=tables["forgotten"])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _interactions(value: bytes | None) -> Interactions:
    if value is None:
        return {}
    try:
        return dict(json.loads(value))
    except ValueError:
        raise CorruptError("interactions of a user are truncated or altered") from None


def _vector(value: bytes | None, version: int) -> record.Value | None:
    """Return the vector in a value of ``vectors``; None where there is none of this version."""
    data = stamped.get(value, version)
    return None if data is None else record.decode(data, record.long_id(data))


def _put(transaction: Transaction[bytes], table: _Database, key: bytes, version: int, data: bytes) -> None:
    transaction.put(key, stamped.put(transaction.get(key, None, table), version, data), db=table)


def _hides(value: bytes | None, version: int) -> bool:
    if value is None:
        return False
    bound = _NUMBER.unpack_from(value)[0]
    return bool(bound == ALWAYS or bound >= version)


def _item(key: bytes, kept: bytes) -> AddedItem:
    end = _LENGTH.size + _LENGTH.unpack_from(kept)[0]
    data = kept[_LENGTH.size : end]
    long = record.long_id(data)
    return AddedItem(keys.decode(key, long), record.decode(data, long), json.loads(kept[end:]))


def _record(vector: Float32, bias: float, long: bytes) -> bytes:
    nothing = np.zeros(2, np.int64), np.zeros(0, np.int32)
    (data,) = record.encode_many(vector[None], np.array([bias], np.float32), *nothing, {0: long} if long else {})
    return bytes(data)


def _counter(transaction: Transaction[bytes], tables: Tables) -> int:
    value = transaction.get(b"items", None, tables["state"])
    return 0 if value is None else _NUMBER.unpack(value)[0]


def _count(transaction: Transaction[bytes], tables: Tables) -> None:
    transaction.put(b"items", _NUMBER.pack(_counter(transaction, tables) + 1), db=tables["state"])
