"""MovieLens, in the formats in which it is handed out (https://grouplens.org/datasets/movielens/)."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.readers import read_triples
from ..data.triples import Triples
from ..errors import FormatError
from . import download

if TYPE_CHECKING:
    import pyarrow

_GENRES_100K = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|Musical|"
    "Mystery|Romance|Sci-Fi|Thriller|War|Western"
)
_OCCUPATIONS_1M = (
    "other or not specified|academic/educator|artist|clerical/admin|college/grad student|customer service|"
    "doctor/health care|executive/managerial|farmer|homemaker|K-12 student|lawyer|programmer|retired|sales/marketing|"
    "scientist|self-employed|technician/engineer|tradesman/craftsman|unemployed|writer"
)

Row = list[str]


@dataclass(frozen=True)
class Dataset:
    """Ratings, and what is known of the items and users.

    Attributes
    ----------
    triples : Triples
        The ratings, with times in seconds since 1970.
    items : pyarrow.Table
        id (int64), title (string), year (int32, may be null), genres (list of string).
    users : pyarrow.Table or None
        id (int64), age (int32; in MovieLens-1M the lowest of its bracket), gender, occupation, zip (string); None where
        the data set says nothing of its users.
    """

    triples: Triples
    items: pyarrow.Table
    users: pyarrow.Table | None


def movielens_100k(*, cache: str | os.PathLike[str] | None = None) -> Dataset:
    """Return MovieLens-100K: 100,000 ratings of 1..5 by 943 users of 1,682 films, with times.

    The first call fetches the wheel of the package recbole 1.2.1, which carries the data, through pip (so pip's
    settings hold), checks it against the SHA-256 known here, and keeps three files of it; later calls check and read
    these. The data is GroupLens's: its terms are at https://files.grouplens.org/datasets/movielens/ml-100k-README.txt.

    Parameters
    ----------
    cache : path-like, optional
        The folder to keep the files in; by default ``mcfast`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``.

    Returns
    -------
    Dataset
        Ratings, films and users.

    Raises
    ------
    OSError
        The wheel could not be fetched: no pip, no network, or not the file that it should be.
    """
    ratings, items, users = download.movielens_100k(cache)
    return Dataset(
        read_triples(
            ratings,
            user="user_id:token",
            item="item_id:token",
            score="rating:float",
            time="timestamp:float",
            separator="\t",
        ),
        _items((row[0], row[1], row[2], row[3].split()) for row in _rows(items, "\t", 4, skip=1)),
        _users(_rows(users, "\t", 5, skip=1)),
    )


def movielens(path: str | os.PathLike[str]) -> Dataset:
    """Read MovieLens from the folder of an unpacked archive.

    Parameters
    ----------
    path : path-like
        The folder of MovieLens-100K (``u.data``, ``u.item``, ``u.user``), of MovieLens-1M or 10M (``ratings.dat``,
        ``movies.dat`` and, if there, ``users.dat``), or of a later one (``ratings.csv``, ``movies.csv``).

    Returns
    -------
    Dataset
        Ratings, films and, if the data set has them, users.

    Raises
    ------
    FormatError
        The folder holds none of these, or a file is not as it should be.
    """
    folder = Path(path)
    for read, names in _FORMATS.items():
        if all((folder / name).is_file() for name in names):
            return read(folder)
    looked_for = "; or ".join(", ".join(names) for names in _FORMATS.values())
    reason = "it holds none of the formats" if folder.is_dir() else "it does not exist"
    raise FormatError(f"{folder}: no MovieLens folder: {reason}; looked for {looked_for}")


def _read_100k(folder: Path) -> Dataset:
    triples = read_triples(folder / "u.data", separator="\t", header=False, time=3)
    names = _GENRES_100K.split("|")
    items = _items(
        (row[0], *_title_and_year(row[1]), [g for g, flag in zip(names, row[5:], strict=True) if flag == "1"])
        for row in _rows(folder / "u.item", "|", 24)
    )
    return Dataset(triples, items, _users(_rows(folder / "u.user", "|", 5)))


def _read_dat(folder: Path) -> Dataset:
    triples = read_triples(folder / "ratings.dat", separator="::", header=False, time=3)
    users = folder / "users.dat"
    return Dataset(triples, read_movies_dat(folder / "movies.dat"), _read_users_dat(users) if users.exists() else None)


def _read_csv(folder: Path) -> Dataset:
    triples = read_triples(folder / "ratings.csv", user="userId", item="movieId", score="rating", time="timestamp")
    rows = ((row[0], *_title_and_year(row[1]), _genres(row[2])) for row in _rows(folder / "movies.csv", ",", 3, skip=1))
    return Dataset(triples, _items(rows), None)


_FORMATS: dict[Callable[[Path], Dataset], tuple[str, ...]] = {
    _read_100k: ("u.data", "u.item", "u.user"),
    _read_dat: ("ratings.dat", "movies.dat"),
    _read_csv: ("ratings.csv", "movies.csv"),
}


def read_movies_dat(path: Path) -> pyarrow.Table:
    """Read the films of MovieLens-1M or 10M."""
    return _items((row[0], *_title_and_year(row[1]), _genres(row[2])) for row in _rows(path, "::", 3))


def _read_users_dat(path: Path) -> pyarrow.Table:
    occupations = _OCCUPATIONS_1M.split("|")
    return _users((row[0], row[2], row[1], occupations[int(row[3])], row[4]) for row in _rows(path, "::", 5))


def _rows(path: Path, separator: str, width: int, *, skip: int = 0) -> Iterator[Row]:
    """Yield the fields of each line, quoted if separated by commas; UTF-8, or else Latin-1, as in the old archives."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = text.replace("\r\n", "\n").split("\n")
    rows: Iterable[Row] = csv.reader(lines) if separator == "," else (line.split(separator) for line in lines)
    for number, row in enumerate(rows, 1):
        if number <= skip or row in ([], [""]):
            continue
        if len(row) != width:
            raise FormatError(f"{path}: line {number}: {len(row)} fields, expected {width} separated by {separator!r}")
        yield row


def _title_and_year(text: str) -> tuple[str, str]:
    """Take "Toy Story (1995)" apart."""
    found = re.fullmatch(r"(.*\S)\s*\((\d{4})\)\s*", text)
    return (found[1], found[2]) if found else (text.strip(), "")


def _genres(text: str) -> list[str]:
    return [] if text == "(no genres listed)" else text.split("|")


def _items(rows: Iterable[tuple[str, str, str, list[str]]]) -> pyarrow.Table:
    """Make the table of items from rows of id, title, year and genres."""
    import pyarrow as pa

    ids, titles, years, genres = zip(*rows, strict=True)
    return pa.table(
        {
            "id": pa.array(map(int, ids), pa.int64()),
            "title": pa.array(titles, pa.string()),
            "year": pa.array([int(year) if year.isdecimal() else None for year in years], pa.int32()),
            "genres": pa.array(genres, pa.list_(pa.string())),
        }
    )


def _users(rows: Iterable[Sequence[str]]) -> pyarrow.Table:
    """Make the table of users from rows of id, age, gender, occupation and zip."""
    import pyarrow as pa

    ids, ages, genders, occupations, zips = zip(*rows, strict=True)
    return pa.table(
        {
            "id": pa.array(map(int, ids), pa.int64()),
            "age": pa.array(map(int, ages), pa.int32()),
            "gender": pa.array(genders, pa.string()),
            "occupation": pa.array(occupations, pa.string()),
            "zip": pa.array(zips, pa.string()),
        }
    )
