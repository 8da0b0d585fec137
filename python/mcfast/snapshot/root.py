"""The folder that is served, and which of its versions is current.

::

    ROOT/CURRENT        the number of the version that is served; replaced in one step
    ROOT/lock           held by whoever publishes, rolls back or prunes
    ROOT/versions/N/    a version, which never changes
    ROOT/live/          what is written online

A version gets its name when it is whole, and loses it before it is removed; a name is never given twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

from .. import checks, files, recall, store
from ..errors import BusyError, CorruptError, FormatError, RecallWarning

CURRENT = "CURRENT"
LOCK = "lock"
VERSIONS = "versions"
LIVE = "live"
INDEX = "index"  # of a version
_NUMBER = re.compile(r"[1-9][0-9]{0,17}\n")
_BUILDING = ".building-"
_REMOVED = ".removed-"


class Root:
    """A served folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.live = self.path / LIVE
        self._versions = self.path / VERSIONS

    def create(self) -> None:
        """Make the folder where it is missing, or see that what stands there is one."""
        if self.path.exists() and not self.path.is_dir():
            raise FormatError(f"{self.path}: a file stands there, not a folder")
        # Looked at in this order: another process may be making the folder meanwhile, `versions` before what follows.
        strangers = _names(self.path) - {LIVE} if self.path.is_dir() else set()
        if strangers and not self._versions.is_dir():
            raise FormatError(
                f"{self.path}: not a served folder, and not empty ({min(strangers)!r}): choose another folder"
            )
        if not self.path.parent.is_dir():
            raise FormatError(f"{self.path}: the folder {self.path.parent} does not exist")
        for folder in (self.path, self.live, self._versions):  # the last one is what makes it ours
            folder.mkdir(exist_ok=True)
            files.sync_directory(folder.parent)

    def check(self) -> None:
        """Raise FormatError unless this is a served folder."""
        if not self._versions.is_dir():
            reason = "has no versions/" if self.path.is_dir() else "does not exist"
            raise FormatError(f"{self.path}: not a served folder: it {reason}; publishing a model there makes one")

    @contextlib.contextmanager
    def locked(self, wait: bool) -> Iterator[None]:
        """Keep all others from publishing, rolling back and pruning. The lock goes with its process."""
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise BusyError(f"{self.path}: another process is publishing, rolling back or pruning here") from None
            self._tidy()
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # children forked meanwhile have it open, too
            os.close(descriptor)

    def _tidy(self) -> None:
        """Remove what killed processes have left. The lock must be held."""
        for folder in self._versions.glob(".*"):
            _discard(folder)
        for file in (*self.path.glob(f"{CURRENT}.*.tmp"), *self.live.glob("*.tmp")):
            file.unlink(missing_ok=True)

    def version(self, number: int) -> Path:
        """Return where a version lies."""
        return self._versions / str(number)

    def numbers(self) -> list[int]:
        """Return the numbers of the whole versions, ascending."""
        return sorted(int(name) for name in _names(self._versions) if name.isdecimal())

    def highest(self) -> int:
        """Return the highest number that a version has, or one that is being built; 0 if there is none."""
        building = [name.split("-")[1] for name in _names(self._versions) if name.startswith(_BUILDING)]
        return max([*self.numbers(), *map(int, building)], default=0)

    def current(self) -> int:
        """Return the number of the version that is served."""
        self.check()
        try:
            text = (self.path / CURRENT).read_text("utf-8")
        except FileNotFoundError:
            raise FormatError(f"{self.path}: no version is served: {CURRENT} is missing; {self._choice()}") from None
        except UnicodeDecodeError:
            text = ""
        if not _NUMBER.fullmatch(text):
            raise CorruptError(f"{self.path / CURRENT}: truncated or altered: no number; {self._choice()}")
        return int(text)

    def served(self) -> int | None:
        """Return the number of the current version, None where none is."""
        try:
            return self.current()
        except FormatError:
            return None

    def before_current(self) -> int:
        """Return the highest number of a version below the current one, of all where none is current."""
        current = self.served()
        below = [number for number in self.numbers() if current is None or number < current]
        if not below:
            raise FormatError(f"{self.path}: no version before {current or 'any'}; {self._choice()}")
        return below[-1]

    def missing(self, number: int) -> CorruptError:
        """Return the error that tells that the current version does not exist."""
        return CorruptError(f"{self.path}: {CURRENT} names version {number}, which does not exist; {self._choice()}")

    def set_current(self, number: int) -> None:
        """Serve another version from now on."""
        files.write_text(self.path / CURRENT, f"{number}\n")

    @contextlib.contextmanager
    def building(self, number: int) -> Iterator[Path]:
        """Give a folder to build a version in; it becomes the version, or vanishes if an error comes.

        The lock must be held.
        """
        folder = self._versions / f"{_BUILDING}{number}-{secrets.token_hex(8)}"
        try:
            folder.mkdir()  # first of all: from now on `highest` counts this version
            yield folder
            folder.rename(self.version(number))
            files.sync_directory(self._versions)
        except BaseException:
            _discard(folder)
            raise

    def remove(self, number: int) -> None:
        """Remove a version. The lock must be held."""
        removed = self._versions / f"{_REMOVED}{number}-{secrets.token_hex(8)}"
        self.version(number).rename(removed)
        _discard(removed)

    def chosen(self, number: object) -> int:
        """Check a number that a user gave: it must be that of a version that exists."""
        number = checks.integer(number, "version", 1)
        if number not in self.numbers():
            raise FormatError(f"{self.path}: no version {number}; {self._choice()}")
        return number

    def _choice(self) -> str:
        numbers = self.numbers()
        if not numbers:
            return "nothing has been published"
        return f"there is {', '.join(map(str, numbers))}: roll back to one of them to serve it"


def _discard(folder: Path) -> None:
    """Remove a folder that is no version, and what its table and its index have on servers.

    Where the index cannot be reached, the folder stays, and the next who takes the lock tries again.
    """
    for table in folder.glob("*/table.bin"):
        try:
            store.drop_outside(table)
        except OSError as error:
            text = table.read_text("utf-8", "replace").strip()
            warnings.warn(f"a table remains on its server: {text}: {error}", RuntimeWarning, stacklevel=2)
    try:
        recall.remove(folder / INDEX)
    except FormatError:  # it had none yet, or the pointer is lost
        pass
    except (OSError, ImportError, RuntimeError) as error:
        text = f"{folder}: what its index keeps elsewhere is not removed yet: {error}"
        warnings.warn(text, RecallWarning, stacklevel=2)
        return
    shutil.rmtree(folder, ignore_errors=True)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
