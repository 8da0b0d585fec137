"""LMDB environments: opened once a process, usable after a fork, growing when full.

LMDB asks for care that its users should not have to take: a file may be open only once in a process, not across a fork,
and its memory map may change only while no transaction of the process is under way. Here every transaction runs inside
`Environment.read` or `Environment.write`, as a function; so each can be waited for, and run again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import lmdb

from ..errors import CorruptError, FormatError

if TYPE_CHECKING:
    from lmdb import Transaction, _Database

    Tables = Mapping[str, _Database]

T = TypeVar("T")

MAP_SIZE = 1 << 30  # bytes of address space, not of disk; grows by itself
MAX_TABLES = 16
MAX_READERS = 1024  # threads of all processes that read at the same moment; 64 bytes each

_CORRUPT = (
    lmdb.BadTxnError,
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)


class _Reader:
    """What a thread reads with. Whoever holds every reader's lock knows that nobody reads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.transaction: Transaction[bytes] | None = None


class Environment:
    """A file of named tables, shared by all in this process who open it. Made by `Environment.open`."""

    def __init__(self, path: Path, tables: Sequence[str], readonly: bool, map_size: int, sync: bool) -> None:
        self.path = path
        self.readonly = readonly
        self.users = 1
        self._identity = _identity(path)
        self._names = list(tables)
        self._map_size = map_size
        self._sync = sync
        self._writing = threading.Lock()
        self._connecting = threading.Lock()
        self._registering = threading.Lock()
        self._local = threading.local()
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._lmdb: lmdb.Environment | None = None
        self._tables: Tables = {}

    @staticmethod
    def open(
        path: str | os.PathLike[str],
        tables: Sequence[str],
        *,
        readonly: bool = False,
        map_size: int = MAP_SIZE,
        sync: bool = True,
    ) -> Environment:
        """Open the environment in a file, or return the one that this process has open.

        Parameters
        ----------
        path : path-like
            The file. Without `readonly` it is made where it is missing, and a file ``path-lock`` beside it.
        tables : sequence of str
            The tables in it. Without `readonly` they are made where they are missing.
        readonly : bool, default False
            Whether the file never changes, in any process: it is then read without locks.
        map_size : int, default 1 GiB
            Bytes of address space to begin with.
        sync : bool, default True
            Whether a write is on the disk when it returns; otherwise all are when the environment is closed, and if the
            machine goes down before that, the file may be ruined.

        Returns
        -------
        Environment
            To be closed once for each time that it was opened.

        Raises
        ------
        FormatError
            With `readonly`: there is no such file, or it lacks a table.
        CorruptError
            The file is truncated, altered, or no LMDB file.
        ValueError
            This process has the file open with another `readonly`.
        OSError
            The file cannot be read or made.
        """
        path = Path(path)
        with _opening:
            if not path.exists():
                if readonly:
                    raise FormatError(f"{path}: not a table: it does not exist")
                _create(path)
            if path.stat().st_size == 0:
                raise CorruptError(f"{path}: truncated: 0 bytes")
            environment = _open.get(_identity(path))
            if environment is None or environment._is_lost():
                environment = Environment(path, tables, readonly, map_size, sync)
                environment._connect()
                _open[environment._identity] = environment
                return environment
            if environment.readonly != readonly:
                raise ValueError(f"{path}: open in this process with readonly={environment.readonly}: close it first")
            environment._add_tables(tables)
            environment.users += 1
            return environment

    def close(self) -> None:
        """Close the environment if this was the last one of its users."""
        with _opening:
            self.users -= 1
            if self.users == 0:
                if _open.get(self._identity) is self:
                    del _open[self._identity]
                with self._writing, self._alone():
                    try:
                        if self._lmdb is not None and not self._sync:
                            self._lmdb.sync(True)
                    except lmdb.Error as error:
                        raise _translated(error, self.path) from error
                    finally:
                        self._disconnect()

    def read(self, function: Callable[[Transaction[bytes], Tables], T]) -> T:
        """Run `function` in a read transaction, and return what it returns.

        Parameters
        ----------
        function : callable
            Takes the transaction and the tables by name; all that it reads is of one state. It may be called again, and
            must not fork, nor open, close, read or write an environment.

        Raises
        ------
        CorruptError
            The file is truncated or altered.
        """
        try:
            reader: _Reader = self._local.reader
        except AttributeError:
            reader = self._new_reader()
        while True:
            try:
                with reader.lock:
                    if reader.transaction is not None:
                        return function(reader.transaction, self._tables)
                    transaction = (self._lmdb or self._connected()).begin()
                    if self.readonly:
                        reader.transaction = transaction
                        return function(transaction, self._tables)
                    with transaction:
                        return function(transaction, self._tables)
            except lmdb.MapResizedError:
                self._resize(0)
            except lmdb.Error as error:
                reader.transaction = None  # an error ends a transaction
                raise _translated(error, self.path) from error

    def write(self, function: Callable[[Transaction[bytes], Tables], T]) -> T:
        """Run `function` in a write transaction, commit it, and return what it returned.

        Parameters
        ----------
        function : callable
            Takes the transaction and the tables by name. It is called again with a new transaction each time the map
            was full and has been doubled; it must not fork, nor open, close or write an environment. If it raises,
            nothing is written.

        Raises
        ------
        OSError
            The disk is full or not writable; the old state stands.
        CorruptError
            The file is truncated or altered.
        """
        with self._writing:
            while True:
                environment = self._connected()
                try:
                    with environment.begin(write=True) as transaction:
                        return function(transaction, self._tables)
                except lmdb.MapFullError:
                    self._resize(2 * environment.info()["map_size"])
                except lmdb.MapResizedError:
                    self._resize(0)
                except lmdb.Error as error:
                    raise _translated(error, self.path) from error

    def last_txnid(self) -> int:
        """Return the number of the last write, by any process."""
        return self.read(lambda transaction, _: transaction.id())

    def _connected(self) -> lmdb.Environment:
        with self._connecting:
            if self._lmdb is None:
                if self.users == 0:
                    raise ValueError(f"{self.path}: closed")
                if _identity(self.path) != self._identity:
                    raise FormatError(f"{self.path}: replaced since this process was forked: open it again")
                self._connect()
            assert self._lmdb is not None
            return self._lmdb

    def _is_lost(self) -> bool:
        """Whether the file was removed after a fork: nothing keeps its inode from becoming another file's then."""
        try:
            return self._lmdb is None and _identity(self.path) != self._identity
        except FileNotFoundError:
            return True

    def _connect(self) -> None:
        try:
            environment = lmdb.open(
                str(self.path),
                map_size=max(self._map_size, 2 * self.path.stat().st_size),
                subdir=False,
                readonly=self.readonly,
                lock=not self.readonly,
                create=False,
                sync=self._sync,
                max_dbs=MAX_TABLES,
                max_readers=MAX_READERS,
            )
            try:
                self._check_size(environment)
                self._tables = self._open_tables(environment, self._names)
                if not self.readonly:
                    environment.reader_check()  # frees what killed processes held
            except BaseException:
                environment.close()
                raise
        except lmdb.Error as error:
            raise _translated(error, self.path) from error
        self._lmdb = environment

    def _disconnect(self) -> None:
        for reader in self._readers:
            reader.transaction = None
        if self._lmdb is not None:
            self._lmdb.close()
            self._lmdb = None

    def _check_size(self, environment: lmdb.Environment) -> None:
        """See that every page is in the file: to read a mapped page past its end would kill the process."""
        with environment.begin(write=not self.readonly):  # no other process may change the file meanwhile
            expected = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
            size = self.path.stat().st_size
            # LMDB leaves out last pages that were freed before they were written. So a short file may be whole.
            if size < expected and (problems := _problems(self.path)):
                raise CorruptError(f"{self.path}: truncated: {size} bytes, expected {expected} ({problems[0]})")

    def _open_tables(self, environment: lmdb.Environment, names: Sequence[str]) -> Tables:
        try:
            return {name: environment.open_db(name.encode(), create=not self.readonly) for name in names}
        except (lmdb.NotFoundError, lmdb.ReadonlyError):
            raise FormatError(f"{self.path}: not a table: it lacks one of {', '.join(names)}") from None

    def _add_tables(self, names: Sequence[str]) -> None:
        new = [name for name in names if name not in self._names]
        if new:
            with self._writing, self._alone():
                self._names += new
                self._disconnect()
                self._connect()

    def _new_reader(self) -> _Reader:
        with self._registering:
            reader = _Reader()
            self._readers.add(reader)
            self._local.reader = reader
        return reader

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no thread of this process reads, and keep it so."""
        with self._registering, contextlib.ExitStack() as locks:
            for reader in list(self._readers):
                locks.enter_context(reader.lock)
            yield

    def _resize(self, map_size: int) -> None:
        """Change the size of the map; 0 takes the size that another process gave it."""
        with self._alone():
            if self._lmdb is not None:
                self._lmdb.set_mapsize(map_size)


_opening = threading.RLock()
_open: dict[tuple[int, int], Environment] = {}  # by device and inode: what must not be opened twice is a file


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _problems(path: Path) -> list[str]:
    """Return what is wrong with a file, after a walk through all of its pages that trusts none of them."""
    from lmdb.verify import VerifyError, verify

    try:
        return list(verify(str(path), subdir=False))  # type: ignore[no-untyped-call]
    except VerifyError as error:
        return [str(error)]


def _create(path: Path) -> None:
    """Make an empty environment in one step, so that an empty file is always a truncated one."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        lmdb.open(str(temporary), subdir=False, lock=False).close()
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(temporary, path)
    except lmdb.Error as error:
        raise _translated(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def _translated(error: lmdb.Error, path: Path) -> Exception:
    if isinstance(error, _CORRUPT):
        return CorruptError(f"{path}: truncated, altered, or not an LMDB file ({error})")
    if error.code > 0:
        return OSError(error.code, os.strerror(error.code), str(path))
    return error


_fork_locks = contextlib.ExitStack()


def _before_fork() -> None:
    """Wait until no transaction is under way in this process: a child could not end one that it inherits."""
    _fork_locks.enter_context(_opening)
    for environment in _open.values():
        _fork_locks.enter_context(environment._writing)
        _fork_locks.enter_context(environment._alone())


def _after_fork_in_child() -> None:
    for environment in _open.values():
        environment._disconnect()
    _fork_locks.close()


os.register_at_fork(before=_before_fork, after_in_parent=_fork_locks.close, after_in_child=_after_fork_in_child)
