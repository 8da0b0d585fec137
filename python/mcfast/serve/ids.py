"""Ids from outside, brought to the kind that a version has: paths have text, and JSON clients send what they please."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import message
from ..snapshot import Recaller

Id = int | str

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


@dataclass(frozen=True)
class Kinds:
    """Whether users and items of a version are integers; the others are strings."""

    version: int
    integer_users: bool
    integer_items: bool

    @classmethod
    def of(cls, recaller: Recaller) -> Kinds:
        """Return the kinds of the version that answers."""
        info = recaller.info
        return cls(info["number"], info["integer_users"], info["integer_items"])

    def user(self, id: Id) -> Id:
        """Return the id of a user; raises ValueError where it cannot be one."""
        return _converted(id, self.integer_users, "user")

    def item(self, id: Id) -> Id:
        """Return the id of an item; raises ValueError where it cannot be one."""
        return _converted(id, self.integer_items, "item")

    def known_items(self, ids: Iterable[Id]) -> list[Id]:
        """Return the ids of items without those that cannot be any."""
        kept = []
        for id in ids:
            try:
                kept.append(self.item(id))
            except ValueError:
                continue
        return kept


def plain(ids: np.ndarray[Any, Any]) -> Any:
    """Return ids as the writer of JSON takes them: arrays of integers, lists of strings."""
    return np.ascontiguousarray(ids) if ids.dtype.kind == "i" else ids.tolist()


def _converted(id: Id, integers: bool, name: str) -> Id:
    if not integers:
        return str(id)
    if isinstance(id, str):
        if not _INTEGER.fullmatch(id):
            raise ValueError(message(name, repr(id), "an integer, as the ids are"))
        id = int(id)
    if not -(2**63) <= id < 2**63:
        raise ValueError(message(name, str(id), "an integer of 64 bits"))
    return id
