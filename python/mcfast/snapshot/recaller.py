"""The recaller: from the id of a user to the k items they will want, out of the version that is served."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import checks
from ..errors import FormatError
from ..store import keys
from ..store.keys import Id
from .answers import Recalled, RecalledMany
from .catalogue import Catalogue, Float32
from .live import Live
from .queries import Queries
from .root import Root
from .version import Version

T = TypeVar("T")


class Recaller:
    """Answers from the version of a served folder that was current when it was opened or last reloaded.

    Made by `mcfast.open`. Threads may share it, and it is usable after a fork. Every answer is of one version. What is
    written online, by any process, counts from the next call on. A recaller is a context manager: leaving it closes it.
    """

    def __init__(self, root: str | os.PathLike[str], *, verify: bool, threads: int | None) -> None:
        self._root = Root(root)
        self._verify = verify
        self._threads = checks.thread_count(threads)
        self._reloading = threading.Lock()
        self._catalogue: Catalogue | None = None
        self._opened: Version | None = self._open_current()
        self._live = Live(self._root)

    @property
    def version(self) -> int:
        """The number of the version that answers."""
        return self._version.number

    @property
    def info(self) -> dict[str, Any]:
        """What the version is: number, created, users, items, factors, index with its recall, parameters, metrics.

        `integer_users` and `integer_items` say whether ids are integers or strings.
        """
        version = self._version
        return version.info | {"integer_items": version.items.is_integer}

    def recall(
        self,
        user: Id,
        k: int = 20,
        *,
        exclude_seen: bool = True,
        exclude: Any = None,
        allow: Any = None,
        threads: int = 1,
    ) -> Recalled:
        """Return the k items that a user will want.

        Parameters
        ----------
        user : int or str
            The id. One that is unknown is answered with the most popular items.
        k : int, default 20
            How many; fewer come where fewer are left.
        exclude_seen : bool, default True
            Leave out what the user has seen: in the training data, and what `record` was told.
        exclude, allow : sequence of ids, optional
            Items that may not be recalled, and the only ones that may. Ids that are not known are passed over.
        threads : int, default 1
            Threads for the search: where several requests are served at a time, each has a thread already.

        Returns
        -------
        Recalled
            ``(ids, scores, source, version)``.

        Raises
        ------
        TypeError, ValueError
            An argument has a wrong type or range. Ids of users are all integers or all strings, as in the model.
        """
        key, long = keys.encode(user, "user")
        encoded = [key], {0: long} if long else {}
        found = self._recall("user", encoded, k, exclude_seen, exclude, allow, checks.integer(threads, "threads", 1))
        n = found.counts[0]
        return Recalled(found.ids[0, :n], found.scores[0, :n], found.sources[0], found.version)

    def recall_many(
        self,
        users: Any,
        k: int = 20,
        *,
        exclude_seen: bool = True,
        exclude: Any = None,
        allow: Any = None,
        threads: int | None = None,
    ) -> RecalledMany:
        """Return the k items that each of n users will want, all from one version.

        Parameters
        ----------
        users : sequence of int or str
            The ids: a list, a NumPy array, a pandas or Polars Series, or an Arrow array.
        k, exclude_seen, exclude, allow
            As in `recall`; `exclude` and `allow` hold for all users.
        threads : int, optional
            By default all the process may use.

        Returns
        -------
        RecalledMany
            ``(ids, scores, counts, sources, version)``.

        Raises
        ------
        TypeError, ValueError
            As in `recall`.
        """
        encoded = keys.encode_many(users, "users")
        return self._recall("users", encoded, k, exclude_seen, exclude, allow, checks.thread_count(threads))

    def record(self, user: Id, items: Any, scores: Any = None) -> None:
        """Record that a user has met items: they are seen from now on, in every process, through every publish.

        Parameters
        ----------
        user : int or str
            The id, known or not.
        items : sequence of int or str
            Ids of items, known or not.
        scores : array_like, optional
            (n,) finite numbers, what they were worth to the user.

        Raises
        ------
        TypeError, ValueError
            An argument is not as described; ids are all integers or all strings, as in the model.
        OSError
            The disk is full or not writable; nothing was recorded.
        """
        version = self._version
        encoded = self._encoded_user(user, version)
        met = keys.normalized(items, "items")
        keys.check_kind(keys.encode_many(met, "items")[0], "items", version.items.is_integer, len(version.items))
        worth = [None] * len(met) if scores is None else checks.floats(scores, "scores", (len(met),)).tolist()
        self._live.record(encoded, dict(zip(met, worth, strict=True)))

    def forget(self, user: Id) -> None:
        """Remove a user: the vector, what was seen, and the interactions.

        Versions never change, so what they hold of the user is hidden; the next one is published without it. Once the
        user is active again (`record`, `put_user`), versions published from then on may know them.

        Parameters
        ----------
        user : int or str
            The id, known or not.
        """
        self._live.forget(self._encoded_user(user, self._version))

    def put_user(self, user: Id, vector: Any, bias: float = 0.0, *, version: int | None = None) -> None:
        """Give a user a vector, new or in place of the published one.

        It counts until the version changes: every version has a space of its own.

        Parameters
        ----------
        user : int or str
            The id.
        vector : array_like, shape (K,)
            Finite numbers.
        bias : float, default 0.0
            Added to the scores.
        version : int, optional
            The version to whose space the vector belongs; by default the one that answers.
        """
        opened = self._version
        encoded = self._encoded_user(user, opened)
        bias = checks.real(bias, "bias")
        self._live.put_user(encoded, self._vector(vector, opened), bias, self._space(version, opened))

    def put_item(
        self,
        item: Id,
        vector: Any,
        bias: float = 0.0,
        *,
        attributes: dict[str, Any] | None = None,
        version: int | None = None,
    ) -> None:
        """Add an item, or replace one: its vector, its bias and, where they are given, attributes.

        It counts until the version changes: every version has a space of its own.

        Parameters
        ----------
        item : int or str
            The id.
        vector : array_like, shape (K,)
            Finite numbers.
        bias : float, default 0.0
            Added to the scores.
        attributes : dict, optional
            JSON values by name, in place of those that the item has.
        version : int, optional
            The version to whose space the vector belongs; by default the one that answers.
        """
        opened = self._version
        encoded = keys.encode(item, "item")
        keys.check_kind([encoded[0]], "item", opened.items.is_integer, len(opened.items))
        if not isinstance(attributes, dict | None):
            raise TypeError(checks.message("attributes", attributes, "a dict"))
        bias = checks.real(bias, "bias")
        self._live.put_item(encoded, self._vector(vector, opened), bias, attributes or {}, self._space(version, opened))

    def seen(self, user: Id) -> npt.NDArray[Any]:
        """Return the ids of the items that a user has seen, in the training data or as recorded; of known ones."""

        def answer(version: Version) -> npt.NDArray[Any]:
            key, long = self._encoded_user(user, version)
            queries = Queries(version, self._live, [key], {0: long} if long else {})
            catalogue = self._catalogue_of(version, queries.items_changed)
            return catalogue.ids(queries.seen(catalogue).rows.astype(np.int64))

        return self._with_version(answer)

    def user_attributes(self, user: Id) -> dict[str, Any]:
        """Return the attributes of a user by name, as they were published; none of one that is unknown or forgotten."""

        def answer(version: Version) -> dict[str, Any]:
            key, _ = self._encoded_user(user, version)
            online = self._live.look([key], version.number).users.get(0)
            return {} if online and online.forgotten else version.user_attributes.of(user)

        return self._with_version(answer)

    def item_attributes(self, item: Id) -> dict[str, Any]:
        """Return the attributes of an item by name, such as its title; none of one that is unknown."""

        def answer(version: Version) -> dict[str, Any]:
            return self._catalogue_of(version, self._live.look([], version.number).items_changed).attributes(item)

        return self._with_version(answer)

    def reload(self) -> bool:
        """Go on with the current version, if that is another one by now.

        What is being answered meanwhile is answered from the old version, which is let go of afterwards. Cheap where
        nothing has changed.

        Returns
        -------
        bool
            Whether the version has changed.

        Raises
        ------
        FormatError
            No version is served, or its files are truncated or altered; the recaller goes on with the old version.
        """
        with self._reloading:
            if self._root.current() == self._version.number:
                return False
            self._opened = self._open_current()
            self._catalogue = None
            return True

    def close(self) -> None:
        """Let go of all files; to close again is no error."""
        with self._reloading:
            if self._opened is not None:
                self._opened = self._catalogue = None
                self._live.close()

    def __enter__(self) -> Recaller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        opened = self._opened
        return f"<recaller of {self._root.path}: {'closed' if opened is None else f'version {opened.number}'}>"

    @property
    def _version(self) -> Version:
        opened = self._opened
        if opened is None:
            raise ValueError("the recaller is closed")
        return opened

    def _recall(
        self,
        name: str,
        encoded: tuple[list[bytes], dict[int, bytes]],
        k: int,
        exclude_seen: bool,
        exclude: Any,
        allow: Any,
        threads: int,
    ) -> RecalledMany:
        k = checks.integer(k, "k", 1)
        exclude_seen = checks.flag(exclude_seen, "exclude_seen")
        excluded = None if exclude is None else keys.normalized(exclude, "exclude")
        allowed = None if allow is None else keys.normalized(allow, "allow")

        def answer(version: Version) -> RecalledMany:
            keys.check_kind(encoded[0], name, version.integer_users, version.info["users"])
            queries = Queries(version, self._live, *encoded)
            catalogue = self._catalogue_of(version, queries.items_changed)
            return queries.answer(catalogue, min(k, len(catalogue)), exclude_seen, excluded, allowed, threads)

        return self._with_version(answer)

    def _open_current(self) -> Version:
        while True:
            number = self._root.current()
            try:
                return Version(self._root.version(number), number, verify=self._verify, threads=self._threads)
            except (FormatError, FileNotFoundError):
                if self._root.current() != number:  # pruned since
                    continue
                if number not in self._root.numbers():
                    raise self._root.missing(number) from None
                raise

    def _with_version(self, answer: Callable[[Version], T]) -> T:
        """Answer from the version. Where its files have been pruned and are wanted anew, go on with the current one."""
        while True:
            version = self._version
            try:
                return answer(version)
            except (FormatError, FileNotFoundError):
                if not self.reload() and self._opened is version:  # nor has another thread reloaded
                    raise

    def _catalogue_of(self, version: Version, changed: int) -> Catalogue:
        catalogue = self._catalogue
        if catalogue is None or catalogue.version is not version or catalogue.changed != changed:
            catalogue = self._catalogue = Catalogue(version, *self._live.items(version.number))
        return catalogue

    def _encoded_user(self, user: Id, version: Version) -> tuple[bytes, bytes]:
        encoded = keys.encode(user, "user")
        keys.check_kind([encoded[0]], "user", version.integer_users, version.info["users"])
        return encoded

    @staticmethod
    def _vector(vector: Any, version: Version) -> Float32:
        return checks.floats(vector, "vector", (version.index.dimension,))

    def _space(self, number: int | None, version: Version) -> int:
        return version.number if number is None else self._root.chosen(number)


def open(root: str | os.PathLike[str], *, verify: bool = True, threads: int | None = None) -> Recaller:
    """Open a served folder to recall from its current version.

    Parameters
    ----------
    root : path-like
        The folder that `mcfast.publish` was given.
    verify : bool, default True
        Whether to compare every file with the SHA-256 in its manifest: about a second for each 1.5 GB. Sizes are always
        compared.
    threads : int, optional
        Threads to prepare the index with; by default all the process may use.

    Returns
    -------
    Recaller
        To be closed, or used in a ``with`` statement.

    Raises
    ------
    FormatError
        `root` is no served folder, or no version is served.
    CorruptError
        The current version is missing, or a file of it is missing, truncated or altered.
    NewerFormatError
        A newer mcfast wrote it.
    """
    return Recaller(root, verify=checks.flag(verify, "verify"), threads=threads)
