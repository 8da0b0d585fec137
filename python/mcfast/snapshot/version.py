"""One published version: what serving needs of a model, in a folder that never changes."""

from __future__ import annotations

import datetime
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core, files, recall, store
from ..data.attributes import Attributes, write_attributes
from ..data.ids import Ids
from ..errors import CorruptError
from ..folding_steps import Negatives
from ..model import Model
from ..scale import Scale
from .root import INDEX

KIND = files.Kind("mcfast-version", 2)
TABLE = "table"
ROUNDED = 1e-3  # what scores of vectors in float16 may differ by, of the product of the two lengths
CHECKED = 64  # users that a new version is tried with

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


def write(
    path: Path,
    number: int,
    model: Model,
    index: recall.Index,
    backend: str,
    tables: Mapping[str, Any],
    users: Int32,
    precision: str,
    url: str | None,
) -> None:
    """Write a version of a model.

    Parameters
    ----------
    path : Path
        The folder, which does not exist.
    number : int
        Of the version.
    model : Model
        What is published.
    index : Index
        Of its items.
    backend : str
        The key-value backend for its users.
    tables : mapping of str to pyarrow.Table
        Attributes of "users" and "items", where they were given.
    users : numpy.ndarray
        int32, the rows of the users that are published.
    precision : {"float32", "float16"}
        What the vectors of users are rounded to.
    url : str or None
        The server of the key-value backend.
    """
    counts = model.seen.item_counts(model.n_items)
    fields = {
        "number": number,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "written_by": f"mcfast {_core.build_info()['version']}",
        "users": len(users),
        "items": model.n_items,
        "factors": model.factors,
        "mean": model.mean,
        **model.scale.fields(),
        "integer_users": model.users.is_integer,
        "store": backend,
        "precision": precision,
        "index": index.info,
        "parameters": model.parameters,
        "metrics": model.metrics,
    }
    # The most popular first; where nobody has seen anything, those with the largest biases.
    popular = np.lexsort((np.arange(model.n_items), -model.item_biases, -counts)).astype(np.int32)
    arrays: dict[str, files.AnyArray] = {"popular_rows": popular, "popular_counts": counts[popular]}
    arrays |= model.items.arrays("item")
    if model.user_encoder is not None and model.user_encoder.sums_histories:
        arrays["history"] = model.user_encoder.history[:, : model.factors]

    def write_users(file: Path) -> None:
        seen = model.seen.select(users)
        ids = model.users.take(users)
        rows = seen.indptr, seen.rows
        values = model.user_factors[users], model.user_biases[users], rows
        store.build(backend, file, ids, *values, precision=precision, url=url).close()

    blobs: dict[str, Callable[[Path], object]] = {} if backend in store.FOLDERS else {TABLE: write_users}
    blobs |= {name: partial(write_attributes, table) for name, table in tables.items()}
    files.write(path, KIND, fields, arrays, blobs)
    if backend in store.FOLDERS:
        write_users(path / TABLE)
    index.save(path / INDEX)


class Version:
    """A version, opened for reading. What it holds of the system is let go with the last reference to it.

    Attributes
    ----------
    number : int
    info : dict
        The fields of the manifest.
    mean : float
    scale : Scale
        From sums to scores.
    integer_users : bool
        Whether the ids of users are integers.
    table : Table
        id of a user -> vector, bias, rows of the items seen.
    index : Index
    is_exact : bool
        Whether every answer of the index is exact.
    items : Ids
    popular_rows, popular_counts : numpy.ndarray
        int32 and int64: all items, the most popular first, and how many users met them.
    user_attributes, item_attributes : Attributes
    history : numpy.ndarray or None
        (1 + n_items, K) float32: what the vectors of histories are made of, where there are any.
    """

    def __init__(self, path: Path, number: int, *, verify: bool, threads: int | None) -> None:
        read = files.read(path, KIND, verify=verify)
        self.number = number
        self.info = read.fields
        self.mean = float(read.fields["mean"])
        self.scale = Scale.stored(read.fields)
        self.integer_users = bool(read.fields["integer_users"])
        self.items = Ids.from_arrays("item", read.arrays)
        self.items.rows(self.items.values[:1])  # prepares the search for ids
        self.popular_rows, self.popular_counts = read.arrays["popular_rows"], read.arrays["popular_counts"]
        self.history: Float32 | None = read.arrays.get("history")
        self.user_attributes, self.item_attributes = (Attributes(read.blobs.get(name)) for name in ("users", "items"))
        self.index = recall.load(path / INDEX, verify=verify, threads=threads)
        if self.index.size != len(self.items) or self.index.dimension != read.fields["factors"]:
            raise CorruptError(
                f"{path}: its index has {self.index.size} items of {self.index.dimension} factors, "
                f"expected {len(self.items)} of {read.fields['factors']}"
            )
        self.is_exact = self.index.is_exact
        table = read.blobs.get(TABLE, path / TABLE)
        self.table = store.open(read.fields["store"], table, readonly=True, verify=verify)
        weakref.finalize(self, self.table.close)
        if read.fields["store"] in store.FOLDERS and len(self.table) != read.fields["users"]:
            raise CorruptError(f"{path}: its table has {len(self.table)} users, expected {read.fields['users']}")

    @cached_property
    def by_cosine(self) -> recall.Index:
        """The items by cosine, made for the first who asks for it: few do, and it holds all vectors once more."""
        return by_cosine(self.index)

    @cached_property
    def negatives(self) -> Negatives:
        """What users are set against who are folded in, under a ranking loss."""
        counts = np.zeros(len(self.items), np.int64)
        counts[self.popular_rows] = self.popular_counts
        return Negatives.of(self.info["parameters"], counts)

    def _lengths(self, vectors: Float32, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the product of the lengths of each vector and of each item that it found."""
        lengths: npt.NDArray[np.float64] = np.linalg.norm(self.index.rows[rows], axis=2)
        lengths *= np.linalg.norm(vectors, axis=1)[:, None]
        return lengths

    @property
    def _rounded(self) -> bool:
        """Whether vectors of users or of items were rounded."""
        return "float16" in (self.info.get("precision"), self.index.precision)

    def try_out(self, model: Model | None = None) -> None:
        """Answer queries of some users; raise CorruptError unless the answers are those of the model, if one is given.

        Parameters
        ----------
        model : Model, optional
            What was published; without, the answers need only be scores.
        """
        ids, values = next(self.table.iterate(CHECKED), ([], None))
        if values is None or not len(self.items):
            return
        rows, sums = self.index.search(values.vectors, min(10, len(self.items)))
        sums = sums + (self.mean + values.biases)[:, None]
        good = bool(np.isfinite(self.scale.scores(sums)).all() and (rows >= 0).all())
        if good and model is not None:
            expected = model.predict(np.repeat(np.array(ids, object), rows.shape[1]), self.items.take(rows.ravel()))
            expected = expected.reshape(rows.shape)
            slack = ROUNDED * self._lengths(values.vectors, rows) if self._rounded else np.zeros(1)
            tolerance = 1e-5 * (1 + np.abs(expected))
            above = self.scale.scores(sums - slack) <= expected + tolerance
            good = bool((above & (self.scale.scores(sums + slack) >= expected - tolerance)).all())
        if not good:
            raise CorruptError(f"version {self.number} does not answer as its model does; it is not served")


def by_cosine(index: recall.Index, threads: int | None = None) -> recall.Index:
    """Return an exact index of the same vectors by cosine."""
    return recall.build("exact", index.rows[:, : index.dimension], "cosine", threads=threads)
