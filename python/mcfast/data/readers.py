"""Triples from files and tables with a user, an item and a score in each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from . import tables
from .duplicates import Duplicates
from .tables import Column
from .triples import Triples, from_columns


def read_triples(
    source: Any,
    *,
    user: Column = "user",
    item: Column = "item",
    score: Column | None = "score",
    time: Column | None = None,
    weight: Column | None = None,
    separator: str | None = None,
    header: bool = True,
    duplicates: Duplicates = "last",
    threads: int | None = None,
) -> Triples:
    """Read triples from a file or a table.

    Parameters
    ----------
    source : path or table
        A path, whose suffix says the format: ``.parquet`` or ``.pq``; ``.arrow``, ``.feather`` or ``.ipc`` (Arrow IPC);
        anything else is text, plain or compressed (``.gz``, ``.bz2``, ``.zst``). Or a pandas, Polars or Arrow table, a
        NumPy array with named fields, or one of shape (n, columns).
    user, item, score, time, weight : str or int
        The columns, by name or by place from 0. No others are read. ``score=None`` gives every row the score 1; times
        and weights, by which `mcfast.fit` multiplies the losses, are not read by default. Without names
        (``header=False``, a plain array) user, item and score are the first three columns by default. In text a column
        of ids that all look like integers is one of integers.
    separator : str, optional
        Of text: one character or several, such as ``"::"``; by default a tab for ``.tsv`` and ``.tab``, else a comma.
    header : bool, default True
        Whether text begins with a line of names.
    duplicates : {"last", "mean", "sum", "error"}, default "last"
        What becomes of a pair that occurs more than once: see `Triples.from_arrays`.
    threads : int, optional
        Threads to use; all that the process may use by default.

    Returns
    -------
    Triples
        In the order of the rows, with ids numbered by first appearance.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    FormatError
        A file is truncated, or not of the format of its suffix.
    TypeError
        Ids are floats or of mixed kinds; scores or times are no numbers.
    ValueError
        A column is missing; there are no rows; an id, score or weight is missing; a score or weight is infinite or NaN,
        or no number (text); a weight is not above 0; a pair is repeated where `duplicates` is "error".

    Examples
    --------
    >>> mcfast.read_triples("ratings.csv", user="userId", item="movieId", score="rating")  # doctest: +SKIP
    >>> mcfast.read_triples("ratings.dat", separator="::", header=False, time=3)  # doctest: +SKIP
    """
    checks.flag(header, "header")
    threads = checks.thread_count(threads)
    wanted: dict[str, Column | None] = {"users": user, "items": item, "scores": score, "times": time, "weights": weight}
    if not header or tables.is_plain_array(source):
        places: dict[Any, int] = {"user": 0, "item": 1, "score": 2}
        wanted = {role: places.get(column, column) for role, column in wanted.items()}
    chosen = {role: column for role, column in wanted.items() if column is not None}
    given = tables.read(
        source, chosen, numbers=("scores", "weights"), separator=separator, header=header, threads=threads
    )
    if score is None:
        given["scores"] = np.ones(len(given["users"]), np.float32)
    return from_columns(given, {role: f"column {column!r}" for role, column in wanted.items()}, duplicates, threads)
