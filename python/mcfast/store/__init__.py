"""Key-value tables: from the id of a user to a vector, a bias and the items seen.

A backend is a module of this package with `open` and `build` (see `protocol.Module`), and one line in `BACKENDS`.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, cast

from .. import checks
from . import record
from .protocol import Module
from .record import Value, Values
from .table import Pairs, Seen, Table

__all__ = ["BACKENDS", "FOLDERS", "Table", "Value", "Values", "build", "drop_outside", "open"]

BACKENDS = {
    "file": ".file",
    "lmdb": ".lmdb",
    "memory": ".memory",
    "redis": ".redis",
}
FOLDERS = {"file"}
"""Those that keep a table in a folder with checksums of its own; the others keep it in one file."""


def open(
    backend: str,
    path: str | os.PathLike[str] | None = None,
    *,
    readonly: bool = False,
    precision: str = "float32",
    url: str | None = None,
    verify: bool = True,
) -> Table:
    """Open a table.

    Parameters
    ----------
    backend : {"file", "lmdb", "memory", "redis"}
        Where the table is kept: in a folder of arrays or in one file, which processes share, in the memory of this one,
        or on a server.
    path : path-like, optional
        The folder of "file", the file of "lmdb", or the pointer of "redis", which says where the table is; the last two
        are made where they are missing. Not used by "memory", which makes a new table each time.
    readonly : bool, default False
        Whether the table never changes while it is open, in any process. A file is then read without locks, the fastest
        way, and nothing is written beside it. A table of "file" never changes, so it wants True.
    precision : {"float32", "float16"}, default "float32"
        What vectors that are written are rounded to; they are read as float32. A table may hold both.
    url : str, optional
        The server of a new "redis" table, ``redis://HOST:PORT/DATABASE``, or some nodes of a cluster,
        ``redis+cluster://HOST:PORT,HOST:PORT``. By default what ``MCFAST_REDIS_URL`` in the environment says, otherwise
        this machine.
    verify : bool, default True
        Whether to compare the arrays of "file" with their SHA-256: about a second for each 1.5 GB.

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
        There is no such backend, `url` is none, this process has the file open with another `readonly`, or a table of
        "file" is to be changed.
    ConnectionError
        The server does not answer.
    MissingExtraError
        The package of the backend is not installed.

    Examples
    --------
    >>> table = mcfast.store.open("memory")
    >>> table.put_many(["ann", 7], [[1.0, 0.0], [0.5, 0.5]])
    >>> table.get("ann").vector
    array([1., 0.], dtype=float32)
    """
    precision = checks.choice(precision, "precision", record.PRECISIONS)
    options = _options(backend, url)
    if backend in FOLDERS:
        options["verify"] = checks.flag(verify, "verify")
    return Table(_module(backend).open(path, readonly=checks.flag(readonly, "readonly"), **options), precision)


def build(
    backend: str,
    path: str | os.PathLike[str] | None,
    ids: Any,
    vectors: Any,
    biases: Any = None,
    seen: Seen | None = None,
    *,
    precision: str = "float32",
    url: str | None = None,
) -> Table:
    """Write a whole table that never changes, in one pass, and open it with ``readonly=True``.

    It appears when it is complete and on the disk; what stood at `path` stays until then.

    Parameters
    ----------
    backend : {"file", "lmdb", "memory", "redis"}
        Where the table is kept.
    path : path-like or None
        The folder, the file, or the pointer; the folder that it is in must exist. Not used by "memory".
    ids, vectors, biases, seen
        As `Table.put_many` takes them.
    precision : {"float32", "float16"}, default "float32"
        What vectors are rounded to: half the bytes, and scores that differ by a thousandth or less of their size.
    url : str, optional
        As in `open`.

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
    pairs = Pairs(ids, vectors, biases, seen, checks.choice(precision, "precision", record.PRECISIONS))
    return Table(_module(backend).build(path, pairs, **_options(backend, url)))


def drop_outside(path: str | os.PathLike[str]) -> None:
    """Remove the table that a pointer names from its server, before the pointer goes; a file without one is left alone.

    Raises
    ------
    ConnectionError
        The server does not answer.
    """
    from . import redis, redis_pointer

    pointer = redis_pointer.find(Path(path))
    if pointer is not None:
        redis.drop(pointer)


def _options(backend: str, url: str | None) -> dict[str, Any]:
    if url is not None and backend != "redis":
        raise ValueError(checks.message("url", repr(url), f"none, as store {backend!r} has no server"))
    return {} if url is None else {"url": url}


def _module(backend: str) -> Module:
    return cast(Module, importlib.import_module(BACKENDS[checks.choice(backend, "backend", BACKENDS)], __name__))
