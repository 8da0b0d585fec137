"""From a model to a served version: build it, try it, and only then switch to it. And back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks, files
from .. import recall as recalls
from .. import store as stores
from ..data.attributes import of_ids, read_attributes
from ..data.ids import Ids
from ..errors import FormatError
from ..model import Model
from ..progress import bar
from ..store.record import PRECISIONS
from . import version as versioned
from .live import Live
from .refolding import fold_anew
from .root import Root
from .version import Version

HELD_OUT = 1024  # users that an approximate index measures itself on
KEEP = 3


@dataclass(frozen=True)
class VersionInfo:
    """A version that exists.

    Attributes
    ----------
    number : int
    current : bool
        Whether it is the one that is served.
    created : str
        When, as ISO 8601 in UTC.
    users, items, factors : int
    store : str
        The key-value backend of its users.
    index : dict
        What the index knows of itself: backend, metric and, of an approximate one, its measured recall.
    parameters, metrics : dict
        Of the model.
    bytes : int
        On disk.
    problem : str or None
        What makes it unreadable; then all but its number, whether it is current and its bytes is empty or zero.
    """

    number: int
    current: bool
    bytes: int
    created: str = ""
    users: int = 0
    items: int = 0
    factors: int = 0
    store: str = ""
    index: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    problem: str | None = None


def publish(
    model: Model,
    root: str | os.PathLike[str],
    *,
    index: str = "exact",
    store: str = "lmdb",
    store_url: str | None = None,
    store_precision: str = "float32",
    items: Any = None,
    users: Any = None,
    recall: float = 0.95,
    index_options: Mapping[str, Any] | None = None,
    keep: int | None = KEEP,
    wait: bool = True,
    threads: int | None = None,
    progress: bool | None = None,
) -> int:
    """Publish a model as a new version, and serve it.

    The version is written under a name of its own, synced, opened, and tried against the model; then it becomes the
    current one in one step. Whatever goes wrong before that, the old version is served as before.

    What was recorded online stays. Users and items that the model does not know get vectors in its space, out of what
    was recorded of them, users as by `Recaller.fold_in`, items by ridge regression; what was put online otherwise stays
    with its version.

    Parameters
    ----------
    model : Model
        What to publish.
    root : path-like
        The served folder; made where it is missing, its parent must exist.
    index : str, default "exact"
        The backend of `mcfast.recall` for the items; "auto" measures what is installed, and chooses.
    store : str, default "lmdb"
        The backend of `mcfast.store` for the users: "lmdb"; "file", whose batches are several times faster; or "redis".
        What is written online is always in LMDB.
    store_url : str, optional
        The server of the backend "redis", ``redis://HOST:PORT/DATABASE``, or a cluster; see `mcfast.store.open`.
    store_precision : {"float32", "float16"}, default "float32"
        What the vectors of users are rounded to. In float16 the table has half the bytes, and scores are off by a
        thousandth of the product of two lengths at most.
    items, users : table or path, optional
        Titles and other attributes, to be had from the recaller: a pandas, Polars or Arrow table, or a path to CSV,
        Parquet or Arrow, with the ids in the column ``id``, or in the first one where none is called so.
    recall : float, default 0.95
        What an approximate index must reach at k = 10 and 100, measured on users of the model; below, it answers
        exactly, and says so.
    index_options : mapping, optional
        What the index takes beside: see `mcfast.recall.build`.
    keep : int or None, default 3
        How many versions remain, the new one among them; the oldest are removed. None keeps all.
    wait : bool, default True
        Whether to wait while another process publishes here, or to raise.
    threads : int, optional
        By default all the process may use.
    progress : bool, optional
        Show a progress bar; by default on a terminal, after two seconds.

    Returns
    -------
    int
        The number of the version: one more than the highest before.

    Raises
    ------
    TypeError, ValueError
        An argument has a wrong type, shape or range.
    FormatError
        Something else than a served folder stands at `root`.
    BusyError
        Another process publishes here, and `wait` is False.
    OSError
        The disk is full or not writable, or the server of the table does not answer; the old version is served as
        before.

    Warns
    -----
    RecallWarning
        An approximate index could not reach `recall`.
    """
    if not isinstance(model, Model):
        raise TypeError(checks.message("model", model, "a Model"))
    backend, index = _lasting(store), checks.choice(index, "index", [*recalls.BACKENDS, recalls.AUTO])
    precision = checks.choice(store_precision, "store_precision", PRECISIONS)
    target = checks.real(recall, "recall", 0, 1, above=True)
    keep = None if keep is None else checks.integer(keep, "keep", 1)
    workers = checks.thread_count(threads)
    attributes = {
        name: read_attributes(table, ids, name)
        for name, table, ids in (("users", users, model.users), ("items", items, model.items))
        if table is not None
    }
    wait = checks.flag(wait, "wait")
    place = Root(root)
    place.create()
    if not wait:
        with place.locked(wait):  # rather now than after the index is built
            pass
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(bar(4, "publish", show=progress, unit="stage"))
        # Before the lock is taken: it may take minutes, in which others must be able to roll back.
        built = _index(model, index, target, dict(index_options or {}), workers)
        shown.update()
        stack.enter_context(place.locked(wait))
        number = place.highest() + 1
        with place.building(number) as folder, Live(place) as live:
            live.drop_vectors(place.numbers())  # also those left by a failed publication, which had this number
            remaining = live.not_forgotten(model.users)
            if "users" in attributes and len(remaining) < model.n_users:
                attributes["users"] = of_ids(attributes["users"], Ids(model.users.take(remaining)))
            versioned.write(folder, number, model, built, backend, attributes, remaining, precision, store_url)
        del built
        shown.update()
        try:
            Version(place.version(number), number, verify=True, threads=workers).try_out(model)
            with Live(place) as live:
                fold_anew(model, live, number)
            shown.update()
            place.set_current(number)
        except BaseException:
            if place.served() != number:
                place.remove(number)
            raise
        if keep is not None:
            _prune(place, keep)
        shown.update()
    return number


def rollback(root: str | os.PathLike[str], version: int | None = None, *, wait: bool = True) -> int:
    """Serve another version again.

    Parameters
    ----------
    root : path-like
        The served folder.
    version : int, optional
        Which; by default the newest of those below the current one.
    wait : bool, default True
        Whether to wait while another process publishes here, or to raise.

    Returns
    -------
    int
        The version that is served now.

    Raises
    ------
    FormatError
        `root` is no served folder, or there is no such version.
    CorruptError
        A file of that version is missing, truncated or altered; what was served before still is.
    BusyError
        Another process publishes here, and `wait` is False.
    """
    place = Root(root)
    place.check()
    with place.locked(checks.flag(wait, "wait")):
        number = place.before_current() if version is None else place.chosen(version)
        Version(place.version(number), number, verify=True, threads=None).try_out()
        place.set_current(number)
    return number


def prune(root: str | os.PathLike[str], keep: int = KEEP, *, wait: bool = True) -> list[int]:
    """Remove old versions; never the current one, nor the newest.

    Parameters
    ----------
    root : path-like
        The served folder.
    keep : int, default 3
        How many of the newest remain, and the current one beside.
    wait : bool, default True
        Whether to wait while another process publishes here, or to raise.

    Returns
    -------
    list of int
        The versions that were removed. Who still reads one of them goes on to, until it lets go of it.

    Raises
    ------
    FormatError
        `root` is no served folder, or no version of it is served.
    BusyError
        Another process publishes here, and `wait` is False.
    """
    place = Root(root)
    place.check()
    keep = checks.integer(keep, "keep", 1)
    with place.locked(checks.flag(wait, "wait")):
        return _prune(place, keep)


def versions(root: str | os.PathLike[str]) -> list[VersionInfo]:
    """Return what versions there are, ascending; raises FormatError if `root` is no served folder."""
    place = Root(root)
    place.check()
    current = place.served()
    found = []
    for number in place.numbers():
        try:
            found.append(version_info(place, number, current))
        except (FormatError, FileNotFoundError) as error:
            path = place.version(number)
            if path.exists():  # otherwise it was pruned meanwhile
                found.append(VersionInfo(number, number == current, _size(path), problem=str(error)))
    return found


def version_info(place: Root, number: int, current: int | None) -> VersionInfo:
    """Return what a version is, if that number is current; raises FormatError if there is none."""
    path = place.version(number)
    fields = files.read_manifest(path, versioned.KIND)
    known = {name: fields[name] for name in VersionInfo.__dataclass_fields__ if name in fields}
    return VersionInfo(current=number == current, bytes=_size(path), **known)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _index(model: Model, backend: str, target: float, options: dict[str, Any], threads: int) -> recalls.Index:
    if backend == recalls.AUTO or recalls.BACKENDS[backend].approximate:
        users = np.random.default_rng(0).permutation(model.n_users)[:HELD_OUT]
        options = {"recall": target, "queries": model.user_factors[users] if len(users) else None} | options
    biases = model.item_biases if model.item_biases.any() else None
    return recalls.build(backend, model.item_factors, "ip", offsets=biases, threads=threads, **options)


def _lasting(backend: str) -> str:
    if checks.choice(backend, "store", stores.BACKENDS) == "memory":
        raise ValueError(checks.message("store", "'memory', which ends with the process", "a backend that lasts"))
    return backend


def _prune(place: Root, keep: int) -> list[int]:
    current = place.current()
    numbers = place.numbers()
    if current not in numbers:
        raise place.missing(current)
    removed = [number for number in numbers[:-keep] if number != current]
    for number in removed:
        place.remove(number)
    if removed:
        # On a full disk they stay: nothing uses them any more, and whoever prunes next removes them.
        with contextlib.suppress(OSError), Live(place) as live:
            live.drop_vectors(set(place.numbers()))
    return removed
