"""A served folder that is open: which of its versions answers, and how to go on with another one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from .. import checks
from ..errors import FormatError
from ..store import keys
from ..store.keys import Id
from .catalogue import Catalogue, Float32
from .live import Live
from .root import Root
from .version import Version

T = TypeVar("T")
S = TypeVar("S", bound="Served")


class Served:
    """The version that answers, what is written online, and the catalogue of both; the basis of `Recaller`."""

    def __init__(self, root: str | os.PathLike[str], *, version: int | None, verify: bool, threads: int | None) -> None:
        self._root = Root(root)
        self._verify = verify
        self._threads = checks.thread_count(threads)
        self._pinned = version
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

    def reload(self) -> bool:
        """Go on with the current version, if that is another one by now.

        What is being answered meanwhile is answered from the old version, which is let go of afterwards. Cheap where
        nothing has changed.

        Returns
        -------
        bool
            Whether the version has changed; never where one was chosen at `mcfast.open`.

        Raises
        ------
        FormatError
            No version is served, or its files are truncated or altered; the recaller goes on with the old version.
        """
        with self._reloading:
            if self._pinned is not None or self._root.current() == self._version.number:
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

    def __enter__(self: S) -> S:
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

    def _open_current(self) -> Version:
        while True:
            number = self._root.current() if self._pinned is None else self._root.chosen(self._pinned)
            try:
                return Version(self._root.version(number), number, verify=self._verify, threads=self._threads)
            except (FormatError, FileNotFoundError):
                if self._pinned is None and self._root.current() != number:  # pruned since
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

    def _current_catalogue(self, version: Version) -> Catalogue:
        return self._catalogue_of(version, self._live.look([], version.number).items_changed)

    def _encoded_user(self, user: Id, version: Version) -> tuple[bytes, bytes]:
        encoded = keys.encode(user, "user")
        keys.check_kind([encoded[0]], "user", version.integer_users, version.info["users"])
        return encoded

    @staticmethod
    def _vector(vector: Any, version: Version) -> Float32:
        return checks.floats(vector, "vector", (version.index.dimension,))

    def _space(self, number: int | None, version: Version) -> int:
        return version.number if number is None else self._root.chosen(number)
