"""Sources of columns: files (CSV, Parquet, Arrow) and tables in memory (pandas, Polars, Arrow, NumPy)."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import message
from ..errors import FormatError
from .columns import AnyArray, package, whole

Column = str | int
"""A column's name, or its place, from 0."""

_PARQUET = {".parquet", ".pq"}
_ARROW = {".arrow", ".feather", ".ipc"}
_TABS = {".tsv", ".tab"}
_SEGMENT = 4 << 20  # bytes of text a thread
_NO_NUMBER = re.compile(r"column #(\d+): .*conversion error to float: invalid value '(.*)'", re.DOTALL)
_IDS = ("users", "items")
_ARGUMENTS = {"users": "user", "items": "item", "scores": "score", "times": "time"}  # that name a role's column
_STAND_IN = "\x1f"  # for a separator of several characters; the "unit separator", which no id has


def is_plain_array(source: object) -> bool:
    """Whether `source` is a NumPy array whose columns have no names."""
    return isinstance(source, np.ndarray) and source.dtype.names is None


def is_table(source: object) -> bool:
    """Whether `source` is a path or a table in memory."""
    return isinstance(source, str | os.PathLike | np.ndarray) or (
        package(source) in ("pandas", "polars", "pyarrow") and hasattr(type(source), "columns")
    )


def read(
    source: Any,
    wanted: Mapping[str, Column],
    *,
    optional: Collection[str] = (),
    numbers: tuple[str, ...] = ("scores",),
    separator: str | None = None,
    header: bool = True,
    threads: int = 2,
) -> dict[str, Any]:
    """Return columns of a table, and read no others.

    Parameters
    ----------
    source : path or table
        The suffix of a path says the format: ``.parquet`` or ``.pq``; ``.arrow``, ``.feather`` or ``.ipc``; otherwise
        text, which may be compressed (``.gz``, ``.bz2``, ``.zst``, ``.lz4``).
    wanted : mapping of str to str or int
        Which column plays which role.
    optional : collection of str
        The roles whose columns may be missing.
    numbers : tuple of str
        The roles whose columns are read from text as float32.
    separator : str, optional
        Of text: one character or more; a tab for ``.tsv`` and ``.tab``, else a comma by default.
    header : bool, default True
        Whether text begins with the names of its columns; if not, columns go by their places.
    threads : int
        Whether to read in more than one thread.

    Returns
    -------
    dict of str to column
        By role; no reference to the table is kept.

    Raises
    ------
    ValueError
        A column is missing.
    FormatError
        A file is not what its suffix says.
    """
    names, load = _open(source, separator, header, threads)
    chosen = {
        role: _resolve(_ARGUMENTS.get(role, role), column, names, source)
        for role, column in wanted.items()
        if role not in optional or column in names
    }
    return load(chosen, numbers)


def names(source: Any) -> list[Any]:
    """Return the names of the columns of a table, which may be a path; raises as `read` does."""
    return _open(source, None, True, 1)[0]


Load = Callable[[dict[str, Any], tuple[str, ...]], dict[str, Any]]


def _open(source: Any, separator: str | None, header: bool, threads: int) -> tuple[list[Any], Load]:
    """Return the names of the columns that are there, and what loads those chosen."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.is_file():
            reason = "is a folder, not a file" if path.is_dir() else "does not exist"
            raise FileNotFoundError(f"{path}: {reason}")
        suffix = path.suffix.lower()
        if suffix in _PARQUET:
            return _open_parquet(path, threads)
        return _open_arrow(path) if suffix in _ARROW else _open_text(path, separator, header, threads)
    if package(source) == "pyarrow":
        return source.schema.names, lambda chosen, _: {role: source.column(name) for role, name in chosen.items()}
    if package(source) == "polars" and hasattr(source, "collect"):

        def collect(chosen: dict[str, Any], _: tuple[str, ...]) -> dict[str, Any]:
            frame = source.select(_distinct(chosen)).collect()
            return {role: frame[name] for role, name in chosen.items()}

        return source.collect_schema().names(), collect
    if is_plain_array(source):
        return _open_array(source)
    if isinstance(source, np.ndarray):
        names = list(source.dtype.names or ())
    elif is_table(source):
        names = list(source.columns)
    else:
        expected = "a path, a pandas, Polars or Arrow table, or a NumPy array"
        raise TypeError(message("source", type(source).__name__, expected))
    return names, lambda chosen, _: {role: source[name] for role, name in chosen.items()}


def _resolve(argument: str, column: Column, names: list[Any], source: Any) -> Any:
    if column in names:
        return column
    if isinstance(column, int) and 0 <= column < len(names):
        return names[column]
    where = str(source) if isinstance(source, str | os.PathLike) else "the table"
    there = ", ".join(map(repr, names))
    raise ValueError(message(argument, repr(column), f"one of the columns of {where}: {there}"))


def _distinct(chosen: Mapping[str, Any]) -> list[Any]:
    return list(dict.fromkeys(chosen.values()))


def _open_array(source: AnyArray) -> tuple[list[Any], Load]:
    """Columns go by their places; ids may be whole floats, for one dtype holds them and the scores."""
    if source.ndim != 2:
        raise ValueError(message("source", f"an array of shape {source.shape}", "shape (n, columns)"))

    def load(chosen: dict[str, Any], _: tuple[str, ...]) -> dict[str, Any]:
        given = {role: source[:, place] for role, place in chosen.items()}
        if source.dtype.kind == "f":
            for role in _IDS:
                given[role] = whole(given[role], role, "whole numbers as ids")
        return given

    return list(range(source.shape[1])), load


def _open_parquet(path: Path, threads: int) -> tuple[list[Any], Load]:
    import pyarrow.parquet as pq

    def load(chosen: dict[str, Any], _: tuple[str, ...]) -> dict[str, Any]:
        with _readable(path, "Parquet"):
            table = file.read(_distinct(chosen), use_threads=threads > 1)
        return {role: table.column(name) for role, name in chosen.items()}

    with _readable(path, "Parquet"):
        file = pq.ParquetFile(path)
    return file.schema_arrow.names, load


def _open_arrow(path: Path) -> tuple[list[Any], Load]:
    import pyarrow as pa

    def load(chosen: dict[str, Any], _: tuple[str, ...]) -> dict[str, Any]:
        places = sorted({schema.names.index(name) for name in chosen.values()})
        with _readable(path, "Arrow"):
            options = pa.ipc.IpcReadOptions(included_fields=places)
            table = pa.ipc.open_file(pa.memory_map(str(path)), options=options).read_all()
        return {role: table.column(name) for role, name in chosen.items()}

    with _readable(path, "Arrow"):
        schema = pa.ipc.open_file(pa.memory_map(str(path))).schema
    return schema.names, load


def _open_text(path: Path, separator: str | None, header: bool, threads: int) -> tuple[list[Any], Load]:
    if separator is None:
        separator = "\t" if _TABS & {suffix.lower() for suffix in path.suffixes} else ","
    with _readable(path, "CSV"):
        first = next(_segments(path, separator, 1), b"").splitlines()
    if not first:
        raise FormatError(f"{path}: empty")
    delimiter = separator if len(separator.encode()) == 1 else _STAND_IN
    line = next(csv.reader([first[0].decode("utf-8-sig", "replace")], delimiter=delimiter))
    names = line if header else [f"f{i}" for i in range(len(line))]

    def load(chosen: dict[str, Any], numbers: tuple[str, ...]) -> dict[str, Any]:
        import pyarrow as pa
        import pyarrow.csv as pa_csv

        ids = {chosen[role] for role in _IDS if role in chosen}

        def parse(size: int, as_text: bool = False) -> Any:
            types = {chosen[role]: pa.float32() for role in numbers if role in chosen}
            if as_text:
                types |= dict.fromkeys(ids, pa.string())
            parts: list[Any] = []
            for segment in _segments(path, separator, size):
                if not as_text and _has_padded_number(segment, delimiter):
                    return _as_integers(parse(size, as_text=True), ids)
                part = pa_csv.read_csv(
                    pa.BufferReader(segment),
                    pa_csv.ReadOptions(
                        column_names=names, skip_rows=int(header and not parts), use_threads=threads > 1
                    ),
                    pa_csv.ParseOptions(delimiter=delimiter, quote_char='"' if delimiter == separator else False),
                    pa_csv.ConvertOptions(column_types=types, include_columns=_distinct(chosen)),
                )
                parts.append(part)
                types = dict(zip(part.schema.names, part.schema.types, strict=True))
            return pa.concat_tables(parts)

        with _readable(path, "CSV", names):
            try:
                table = parse(threads * _SEGMENT)
            except pa.ArrowInvalid:  # a type of the first segment does not fit a later one: look at everything at once
                table = parse(-1)
        return {role: table.column(name) for role, name in chosen.items()}

    return names, load


def _has_padded_number(segment: bytes, delimiter: str) -> bool:
    """Whether a field may begin with a zero before a digit, or with a plus: as an integer it would lose that."""
    text = np.frombuffer(segment, np.uint8)
    before, first, after = text[:-2], text[1:-1], text[2:]
    begins = (before == ord(delimiter)) | (before <= ord("\r")) | (before == ord('"'))
    padded = (first == ord("0")) & (after - ord("0") < 10) | (
        first == ord("+")
    )  # bytes wrap: what is no digit is large
    return bool((begins & padded).any()) or segment[:1] == b"+" or (segment[:1] == b"0" and segment[1:2].isdigit())


def _as_integers(table: Any, ids: Collection[str]) -> Any:
    """Return the columns of ids that were read as text as integers where that changes none of them."""
    import pyarrow as pa

    for name in ids:
        text = table[name]
        try:
            numbers = text.cast(pa.int64())
        except pa.ArrowInvalid:
            continue
        if numbers.cast(pa.string()).equals(text):
            table = table.set_column(table.schema.get_field_index(name), name, numbers)
    return table


def _segments(path: Path, separator: str, size: int) -> Iterator[bytes]:
    """Yield whole lines of a text file in pieces of about `size` bytes, or all in one for -1.

    In pieces, since Arrow holds the text that it parses beside the columns that it makes.
    """
    import pyarrow as pa

    with io.BufferedReader(pa.input_stream(str(path))) as stream:
        while lines := stream.read(size) + stream.readline():
            yield lines if len(separator.encode()) == 1 else lines.replace(separator.encode(), _STAND_IN.encode())


@contextmanager
def _readable(path: Path, kind: str, names: Sequence[str] = ()) -> Iterator[None]:
    """Turn Arrow's errors into one line that says which file and what is wrong with it."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        if names and (bad := _NO_NUMBER.search(str(error))):
            place = f"column {names[int(bad[1])]!r} of {path}"
            raise ValueError(message(place, repr(bad[2]), "numbers")) from None
        reason = str(error).splitlines()[0]
        raise FormatError(f"{path}: not readable as {kind}: {reason}") from None
