"""Directories of arrays with a manifest: the one place that knows how they lie on disk.

A directory holds ``manifest.json`` and one folder of arrays in NumPy's ``.npy`` format, which can be memory-mapped, and
of ``.bin`` files in a format of their own. The manifest names the folder and lists size and SHA-256 of each file in it.
To replace a directory, the new files are written beside the old ones and synced, then the manifest is renamed into
place: whoever opens it at any moment, or after a crash at any moment, finds the old state or the new one, whole.
``docs/format.md`` describes the bytes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import CorruptError, FormatError, NewerFormatError

MANIFEST = "manifest.json"
_ARRAYS = "arrays-"
_BLOB = ".bin"

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Kind:
    """What a directory holds, as its manifest says: a name and the newest format version this code reads."""

    name: str
    version: int


@dataclass(frozen=True)
class Directory:
    """What was read: the fields of the manifest, the arrays by name, and where the other files are."""

    fields: dict[str, Any]
    arrays: dict[str, AnyArray]
    blobs: dict[str, Path]


def write(
    path: str | os.PathLike[str],
    kind: Kind,
    fields: Mapping[str, Any],
    arrays: Mapping[str, AnyArray],
    blobs: Mapping[str, Callable[[Path], object]] | None = None,
) -> None:
    """Write a directory, or replace the one of the same kind that stands there, in one step.

    Parameters
    ----------
    path : path-like
        The directory; its parent must exist.
    kind : Kind
        What it holds.
    fields : mapping
        What the manifest says beside the arrays; must be JSON.
    arrays : mapping of str to numpy.ndarray
        Arrays by name, of any dtype but object.
    blobs : mapping of str to callable, optional
        Files in a format of their own, by name; each is called with the path to write.

    Raises
    ------
    FormatError
        Something else stands at `path`.
    OSError
        The disk is full or not writable; what stood at `path` is as it was.
    """
    path = Path(path)
    created = _claim(path, kind)
    folder = path / f"{_ARRAYS}{secrets.token_hex(8)}"
    try:
        with _locked(path):
            folder.mkdir()
            files = {name: _write_array(folder / f"{name}.npy", array) for name, array in arrays.items()}
            for name, write_to in (blobs or {}).items():
                files[f"{name}{_BLOB}"] = _write_blob(folder / f"{name}{_BLOB}", write_to)
            sync_directory(folder)
            body = {"kind": kind.name, "format": kind.version, "folder": folder.name, "files": files, **fields}
            try:
                _write_manifest(path, body)
                _remove_others(path, folder.name)
            except KeyboardInterrupt:
                if _names_folder(path, folder.name):  # the new state stands, so the old one goes in any case
                    _remove_others(path, folder.name)
                raise
    except BaseException:
        with contextlib.suppress(OSError):
            if not _names_folder(path, folder.name):
                shutil.rmtree(folder, ignore_errors=True)
            if created:
                path.rmdir()
        raise


def _remove_others(path: Path, folder: str) -> None:
    """Remove all states but one, and what writers that were killed have left."""
    for old in path.glob(f"{_ARRAYS}*"):
        if old.name != folder:
            shutil.rmtree(old, ignore_errors=True)
    for old in path.glob(f"{MANIFEST}.*.tmp"):
        old.unlink(missing_ok=True)


def read(path: str | os.PathLike[str], kind: Kind, *, verify: bool = True, mmap: bool = True) -> Directory:
    """Read a directory.

    Parameters
    ----------
    path : path-like
        The directory.
    kind : Kind
        What it must hold.
    verify : bool, default True
        Whether to hash every file. Sizes are always checked.
    mmap : bool, default True
        Whether arrays are memory-mapped read-only; otherwise they are read.

    Returns
    -------
    Directory
        Its fields and arrays.

    Raises
    ------
    FormatError
        There is no such directory, or it holds something else.
    CorruptError
        A file is missing, truncated or altered.
    NewerFormatError
        A newer mcfast wrote it.
    """
    path = Path(path)
    while True:
        body = read_manifest(path, kind)
        try:
            return _read_arrays(path, body, verify=verify, mmap=mmap)
        except CorruptError:
            # A writer may have put a new state in place since the manifest was read, and removed the old one.
            if read_manifest(path, kind)["folder"] == body["folder"]:
                raise


def read_manifest(path: Path, kind: Kind) -> dict[str, Any]:
    """Return the manifest of a directory without its arrays; raises as `read` does."""
    file = path / MANIFEST
    try:
        text = file.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        reason = f"has no {MANIFEST}" if path.is_dir() else "is not a directory" if path.exists() else "does not exist"
        raise FormatError(f"{path}: not a {kind.name}: it {reason}") from None
    except UnicodeDecodeError:
        raise CorruptError(f"{file}: altered: not UTF-8 text") from None
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise CorruptError(f"{file}: truncated or altered: {error}") from None
    if not isinstance(body, dict) or body.get("kind") != kind.name:
        found = body.get("kind") if isinstance(body, dict) else type(body).__name__
        raise FormatError(f"{path}: not a {kind.name}: its manifest says {found!r}")
    version = body.get("format")
    if isinstance(version, int) and version > kind.version:
        raise NewerFormatError(
            f"{path}: format {version} of a {kind.name}, this mcfast reads up to {kind.version}: pip install -U mcfast"
        )
    checksum = body.pop("checksum", None)
    if checksum != _checksum(body):
        raise CorruptError(f"{file}: altered: its checksum does not match")
    return body


def write_text(file: Path, text: str) -> None:
    """Write a text file whole or not at all: to a temporary name, synced, then renamed."""
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(file.parent)


def check_place(path: Path, kind: Kind) -> None:
    """Raise FormatError unless `write` may put a directory of this kind there: nothing stands there, or one like it."""
    if not path.parent.is_dir():
        raise FormatError(f"{path}: the folder {path.parent} does not exist")
    if not path.exists():
        return
    if not path.is_dir():
        raise FormatError(f"{path}: a file stands there, not a directory")
    if (path / MANIFEST).exists():
        with contextlib.suppress(CorruptError, NewerFormatError):  # ours, and replaceable all the same
            read_manifest(path, kind)
    elif strangers := [p.name for p in path.iterdir() if not p.name.startswith((_ARRAYS, MANIFEST))]:
        raise FormatError(f"{path}: not a {kind.name}, and not empty ({strangers[0]!r}): choose another directory")


def _claim(path: Path, kind: Kind) -> bool:
    """Make the directory, or see that what stands there may be replaced. Returns whether it was made."""
    check_place(path, kind)
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one writer at a time into a directory. The lock goes with its process."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # children forked meanwhile have it open, too
        os.close(descriptor)


def _write_array(file: Path, array: AnyArray) -> dict[str, Any]:
    array = np.asarray(array, order="C")
    with file.open("xb") as out:  # np.save would not notice that the disk fills up at the end of an array
        np.lib.format.write_array_header_1_0(out, np.lib.format.header_data_from_array_1_0(array))
        out.write(array.data)
    return _synced(file)


def _write_blob(file: Path, write_to: Callable[[Path], object]) -> dict[str, Any]:
    write_to(file)
    return _synced(file)


def _synced(file: Path) -> dict[str, Any]:
    """Put a file on the disk; return what the manifest says of it."""
    with file.open("rb") as written:
        os.fsync(written.fileno())
    return {"bytes": file.stat().st_size, "sha256": _sha256(file)}


def _write_manifest(path: Path, body: dict[str, Any]) -> None:
    write_text(path / MANIFEST, json.dumps({**body, "checksum": _checksum(body)}, indent=1, ensure_ascii=False) + "\n")


def _names_folder(path: Path, folder: str) -> bool:
    try:
        return bool(json.loads((path / MANIFEST).read_text("utf-8"))["folder"] == folder)
    except (OSError, ValueError, KeyError):
        return False


def _read_arrays(path: Path, body: dict[str, Any], *, verify: bool, mmap: bool) -> Directory:
    arrays: dict[str, AnyArray] = {}
    blobs: dict[str, Path] = {}
    for name, entry in body["files"].items():
        file = path / body["folder"] / (name if name.endswith(_BLOB) else f"{name}.npy")
        try:
            _check(file, entry, verify=verify)
            if name.endswith(_BLOB):
                blobs[name[: -len(_BLOB)]] = file
                continue
            # A size of zero cannot be mapped.
            arrays[name] = np.load(file, mmap_mode="r" if mmap else None, allow_pickle=False)
        except FileNotFoundError:
            raise CorruptError(f"{file}: missing") from None
        except ValueError as error:
            if isinstance(error, CorruptError):
                raise
            arrays[name] = _load_empty(file, error)
    fields = {key: value for key, value in body.items() if key not in ("kind", "format", "folder", "files")}
    return Directory(fields, arrays, blobs)


def _check(file: Path, entry: dict[str, Any], *, verify: bool) -> None:
    size = file.stat().st_size
    if size != entry["bytes"]:
        raise CorruptError(f"{file}: truncated or altered: {size} bytes, expected {entry['bytes']}")
    if verify and _sha256(file) != entry["sha256"]:
        raise CorruptError(f"{file}: altered: its SHA-256 does not match the manifest's")


def _load_empty(file: Path, error: ValueError) -> AnyArray:
    """Read an array that could not be mapped because it has no elements."""
    try:
        array: AnyArray = np.load(file, allow_pickle=False)
    except ValueError:
        raise CorruptError(f"{file}: altered: {error}") from None
    return array


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while block := data.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _checksum(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sync_directory(path: Path) -> None:
    """Put on the disk which names a directory holds."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some file systems refuse to sync a directory
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
