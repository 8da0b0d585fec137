"""The recaller: from the id of a user to the k items they will want, out of the version that is served."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..store import keys
from ..store.keys import Id
from .answers import Recalled, RecalledMany
from .browsing import Browsing
from .queries import Queries, Wanted
from .version import Version


class Recaller(Browsing):
    """Answers from the version of a served folder that was current when it was opened or last reloaded.

    Made by `mcfast.open`. Threads may share it, and it is usable after a fork. Every answer is of one version. What is
    written online, by any process, counts from the next call on. A recaller is a context manager: leaving it closes it.
    """

    def recall(
        self,
        user: Id,
        k: int = 20,
        *,
        exclude_seen: bool = True,
        exclude: Any = None,
        allow: Any = None,
        filter: Any = None,
        exact: bool = False,
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
        filter : dict, optional
            What attributes of items must be: a value, a list of values of which one must be there, or a range
            ``{"min": 1990, "max": 1999}``, by name. Of an attribute that is a list, one entry must fit.
        exact : bool, default False
            Compare all items where the index is approximate: slower, and what the index can be judged by.
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
        wanted = Wanted.checked(k, exclude_seen, exclude, allow, filter, exact, threads)
        found = self._recall("user", encoded, wanted)
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
        filter: Any = None,
        exact: bool = False,
        threads: int | None = None,
    ) -> RecalledMany:
        """Return the k items that each of n users will want, all from one version.

        Parameters
        ----------
        users : sequence of int or str
            The ids: a list, a NumPy array, a pandas or Polars Series, or an Arrow array.
        k, exclude_seen, exclude, allow, filter, exact
            As in `recall`; `exclude`, `allow` and `filter` hold for all users.
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
        wanted = Wanted.checked(k, exclude_seen, exclude, allow, filter, exact, threads)
        return self._recall("users", encoded, wanted)

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
            queries = Queries.of_users(version, self._live, [key], {0: long} if long else {})
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
            return self._current_catalogue(version).attributes(item)

        return self._with_version(answer)

    def _recall(self, name: str, encoded: tuple[Sequence[bytes], dict[int, bytes]], wanted: Wanted) -> RecalledMany:
        def answer(version: Version) -> RecalledMany:
            keys.check_kind(encoded[0], name, version.integer_users, version.info["users"])
            queries = Queries.of_users(version, self._live, *encoded)
            return queries.answer(self._catalogue_of(version, queries.items_changed), wanted)

        return self._with_version(answer)


def open(
    root: str | os.PathLike[str], *, version: int | None = None, verify: bool = True, threads: int | None = None
) -> Recaller:
    """Open a served folder to recall from its current version.

    Parameters
    ----------
    root : path-like
        The folder that `mcfast.publish` was given.
    version : int, optional
        A version to stay with, current or not; by default the current one, and `Recaller.reload` follows it.
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
        `root` is no served folder, no version is served, or there is no such version.
    CorruptError
        The version is missing, or a file of it is missing, truncated or altered.
    NewerFormatError
        A newer mcfast wrote it.
    """
    return Recaller(root, version=version, verify=checks.flag(verify, "verify"), threads=threads)
