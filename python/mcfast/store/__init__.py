"""Key-value tables: from the id of a user to a vector, a bias and the items seen.

A backend is a module of this package with `open` and `build` (see `protocol.Module`), and one line in `BACKENDS`.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, cast

from .. import checks
from .protocol import Module
from .record import Value, Values
from .table import Pairs, Seen, Table

__all__ = ["BACKENDS", "Table", "Value", "Values", "build", "open"]

BACKENDS = {
    "lmdb": ".lmdb",
    "memory": ".memory",
}


def open(backend: str, path: str | os.PathLike[str] | None = None, *, readonly: bool = False) -> Table:
    """Open a table.

    Parameters
    ----------
    backend : {"lmdb", "memory"}
        Where the table is kept: in one file that processes share, or in the memory of this one.
    path : path-like, optional
        The file ("lmdb"); made where it is missing. Not used by "memory", which makes a new table each time.
    readonly : bool, default False
        Whether the file never changes while it is open, in any process. It is then read without locks, the fastest way,
        and nothing is written beside it.

    Returns
    -------
    Table
        To be closed, or used in a ``with`` statement.

    Raises
    ------
    FormatError
        With `readonly`, there is no such file; or it holds something else.
    CorruptError
        The file is truncated, altered, or not of this kind.
    ValueError
        There is no such backend, or this process has the file open with another `readonly`.

    Examples
    --------
    >>> table = mcfast.store.open("memory")
    >>> table.put_many(["ann", 7], [[1.0, 0.0], [0.5, 0.5]])
    >>> table.get("ann").vector
    array([1., 0.], dtype=float32)
    """
    return Table(_module(backend).open(path, readonly=checks.flag(readonly, "readonly")))


def build(
    backend: str,
    path: str | os.PathLike[str] | None,
    ids: Any,
    vectors: Any,
    biases: Any = None,
    seen: Seen | None = None,
) -> Table:
    """Write a whole table that never changes, in one pass, and open it with ``readonly=True``.

    The file appears when it is complete and on the disk; what stood at `path` stays until then.

    Parameters
    ----------
    backend : {"lmdb", "memory"}
        Where the table is kept.
    path : path-like or None
        The file; its folder must exist. Not used by "memory".
    ids, vectors, biases, seen
        As `Table.put_many` takes them.

    Returns
    -------
    Table
        Read-only.

    Raises
    ------
    TypeError, ValueError
        An argument is not as described.
    OSError
        The disk is full or not writable; what stood at `path` is as it was.
    """
    return Table(_module(backend).build(path, Pairs(ids, vectors, biases, seen)))


def _module(backend: str) -> Module:
    return cast(Module, importlib.import_module(BACKENDS[checks.choice(backend, "backend", BACKENDS)], __name__))
