"""Triples (user, item, score): what models are fitted to and evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from .. import checks
from ..checks import message
from . import columns, splits, tables
from .columns import package
from .duplicates import Duplicates, without_duplicates
from .ids import Ids, Rows, encode
from .tables import Column

if TYPE_CHECKING:
    import pyarrow

Scores = npt.NDArray[np.float32]
Times = npt.NDArray[np.int64]

_MAX_ROWS = 2**31 - 1
_ACCEPTED = (
    "Triples, a tuple of arrays (users, items, scores), an (n, 3) array, a pandas, Polars or Arrow table, or a path"
)


@dataclass(frozen=True, eq=False, repr=False)
class Triples:
    """Observed scores of pairs (user, item); no pair occurs twice.

    Made by `from_arrays`, `from_sparse`, `mcfast.read_triples` or `mcfast.score_events`; not to be changed afterwards.

    Attributes
    ----------
    users, items : numpy.ndarray
        int32, of shape (n,): the rows of user and item in their vocabularies.
    scores : numpy.ndarray
        float32, of shape (n,): finite.
    times : numpy.ndarray or None
        int64, of shape (n,), in the unit in which they came.
    user_ids, item_ids : Ids
        The vocabularies. They may hold ids that no triple has: a part of a split keeps those of the whole.
    n_duplicates : int
        How many rows of the input were merged into another one because their pair occurred before.
    weights : numpy.ndarray or None
        float32, of shape (n,): finite and positive; see `with_weights`.
    """

    users: Rows
    items: Rows
    scores: Scores
    times: Times | None
    user_ids: Ids
    item_ids: Ids
    n_duplicates: int = 0
    weights: Scores | None = None

    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        scores: Any,
        times: Any = None,
        *,
        weights: Any = None,
        duplicates: Duplicates = "last",
        threads: int | None = None,
    ) -> Triples:
        """Make triples from columns: lists, NumPy arrays, pandas or Polars Series, Arrow arrays.

        Parameters
        ----------
        users, items : array_like of int or str
            Ids, of shape (n,). Rows are numbered by first appearance.
        scores : array_like
            Finite numbers of any numeric dtype, of shape (n,); converted to float32.
        times : array_like, optional
            Integers, whole floats, or dates and times (then in their own unit), of shape (n,); converted to int64.
        weights : array_like, optional
            Finite numbers > 0, of shape (n,), by which `mcfast.fit` multiplies the losses; converted to float32.
        duplicates : {"last", "mean", "sum", "error"}, default "last"
            What becomes of a pair (user, item) that occurs more than once. "last" keeps the row with the latest time
            (the later row where times are equal or absent), for a rating given anew replaces the old one; "mean" and
            "sum" combine the scores, and the weights alike, under the latest time; "error" raises. A pair keeps its
            first place.
        threads : int, optional
            Threads to use; all that the process may use by default. The result does not depend on it.

        Returns
        -------
        Triples
            In the order of the input.

        Raises
        ------
        TypeError
            Ids of floats or of mixed kinds; scores or times that are not numbers.
        ValueError
            No rows; lengths that differ; a missing id; a score that is missing, infinite or NaN; a weight that is so,
            or not above 0; a repeated pair where `duplicates` is "error".
        """
        given = {"users": users, "items": items, "scores": scores, "times": times, "weights": weights}
        return from_columns(given, {name: name for name in given}, duplicates, threads)

    @classmethod
    def from_sparse(
        cls,
        m: Any,
        *,
        rows: Literal["users", "items"],
        user_ids: Any = None,
        item_ids: Any = None,
        duplicates: Duplicates = "last",
    ) -> Triples:
        """Make triples from a SciPy sparse matrix or array.

        Parameters
        ----------
        m : scipy.sparse matrix or array
            Every stored entry is an observation, stored zeros included.
        rows : {"users", "items"}
            What the rows of `m` are; the columns are the others. To be said, so that nothing is transposed unseen.
        user_ids, item_ids : array_like, optional
            Distinct ids, one for each row or column of `m`; by default the numbers of the rows and columns.
        duplicates : {"last", "mean", "sum", "error"}, default "last"
            As in `from_arrays`. Only matrices in COO form, or not in canonical form, have any.

        Returns
        -------
        Triples
            In the order in which `m` stores them. Rows and columns without an entry stay in the vocabularies.

        Raises
        ------
        TypeError
            `m` is not sparse.
        ValueError
            Nothing is stored, a score is not finite, or the ids do not fit the shape.
        """
        checks.choice(duplicates, "duplicates", get_args(Duplicates))
        if package(m) != "scipy" or not hasattr(m, "tocoo"):
            raise TypeError(message("m", type(m).__name__, "a SciPy sparse matrix or array"))
        checks.choice(rows, "rows", ("users", "items"))
        if max(m.shape) > _MAX_ROWS:
            raise ValueError(message("m", f"shape {m.shape}", f"at most {_MAX_ROWS} users and items"))
        m = m.tocoo()
        users, items = (m.row, m.col) if rows == "users" else (m.col, m.row)
        n_users, n_items = m.shape if rows == "users" else m.shape[::-1]
        triples = cls(
            users.astype(np.int32),
            items.astype(np.int32),
            columns.scores(m.data, "m"),
            None,
            _ids_of_axis(user_ids, "user_ids", n_users),
            _ids_of_axis(item_ids, "item_ids", n_items),
        )
        _check_any(triples)
        return without_duplicates(triples, duplicates, checks.thread_count(None))

    @property
    def n_users(self) -> int:
        """The number of users in the vocabulary."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """The number of items in the vocabulary."""
        return len(self.item_ids)

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        text = f"Triples({len(self)} scores of {self.n_users} users and {self.n_items} items"
        if len(self):
            density = len(self) / (self.n_users * self.n_items)
            text += f", density {density:.3g}, scores {self.scores.min():g} to {self.scores.max():g}"
        text += "" if self.times is None else ", with times"
        return text + (f", {self.n_duplicates} duplicates merged)" if self.n_duplicates else ")")

    def select(self, which: npt.ArrayLike | slice) -> Triples:
        """Return some of the triples, under the same vocabularies.

        Parameters
        ----------
        which : array_like of bool or int, or slice
            A mask of shape (n,), or indices in the order wanted, or a slice.

        Returns
        -------
        Triples
            The chosen ones.
        """
        if not isinstance(which, slice):
            which = np.asarray(which)
            which = which if which.size else which.astype(np.int64)  # an empty list is one of floats
        times = None if self.times is None else self.times[which]
        weights = None if self.weights is None else self.weights[which]
        return Triples(
            self.users[which], self.items[which], self.scores[which], times, self.user_ids, self.item_ids, 0, weights
        )

    def with_weights(self, weights: npt.ArrayLike | None) -> Triples:
        """Return these triples with weights, by which `mcfast.fit` multiplies their losses.

        Parameters
        ----------
        weights : array_like or None
            Of shape (n,): finite numbers > 0, in the order of the triples; None for none.

        Returns
        -------
        Triples
            Sharing everything else with these.

        Raises
        ------
        TypeError, ValueError
            Not numbers, of another shape, not finite, or not above 0. Where rows were merged (`n_duplicates`), there
            are fewer triples than rows of the input.
        """
        checked = checks.floats(weights, "weights", (len(self),), optional=True)
        return replace(self, weights=None if checked is None else _positive(checked, "weights"))

    def concatenate(self, other: Triples) -> Triples:
        """Return these triples, then those of `other`, its new ids after the present ones; a pair of both occurs twice.

        Times are kept where both have them; where one has weights, those of the other are 1.
        """
        user_ids, users = self.user_ids.union(other.user_ids)
        item_ids, items = self.item_ids.union(other.item_ids)
        return Triples(
            np.concatenate([self.users, users[other.users]]),
            np.concatenate([self.items, items[other.items]]),
            np.concatenate([self.scores, other.scores]),
            None if self.times is None or other.times is None else np.concatenate([self.times, other.times]),
            user_ids,
            item_ids,
            weights=_joined_weights(self, other),
        )

    def to_arrow(self) -> pyarrow.Table:
        """Return an Arrow table: user and item (ids), score and, if there are any, weight (float32), time (int64)."""
        import pyarrow as pa

        def ids(vocabulary: Ids, rows: Rows) -> Any:
            kind = pa.int64() if vocabulary.is_integer else pa.large_string()
            return pa.array(vocabulary.values, kind).take(pa.array(rows))

        table = {
            "user": ids(self.user_ids, self.users),
            "item": ids(self.item_ids, self.items),
            "score": pa.array(self.scores),
        }
        more = {"weight": self.weights, "time": self.times}
        return pa.table(table | {name: pa.array(values) for name, values in more.items() if values is not None})

    def split_random(self, fraction: float = 0.1, *, seed: int = 0) -> tuple[Triples, Triples]:
        """Return (train, test), the test part drawn at random; see `mcfast.data.splits.random`."""
        return splits.random(self, fraction, seed=seed)

    def split_temporal(self, fraction: float | None = None, *, after: int | None = None) -> tuple[Triples, Triples]:
        """Return (train, test), the test part being the latest; see `mcfast.data.splits.temporal`."""
        return splits.temporal(self, fraction, after=after)

    def split_leave_last(self, n: int = 1) -> tuple[Triples, Triples]:
        """Return (train, test), the test part being each user's last `n`; see `mcfast.data.splits.leave_last`."""
        return splits.leave_last(self, n)

    def split_cold_items(self, fraction: float = 0.2, *, seed: int = 0) -> tuple[Triples, Triples]:
        """Return (train, test), some items being held out whole; see `mcfast.data.splits.cold_items`."""
        return splits.cold_items(self, fraction, seed=seed)

    def split_cold_users(self, fraction: float = 0.2, *, seed: int = 0) -> tuple[Triples, Triples]:
        """Return (train, test), some users being held out whole; see `mcfast.data.splits.cold_users`."""
        return splits.cold_users(self, fraction, seed=seed)


def from_columns(
    given: dict[str, Any], names: Mapping[str, str], duplicates: Duplicates | None, threads: int | None
) -> Triples:
    """Make triples from the columns users, items, scores and, unless None, times and weights; none at all raise.

    With `duplicates` None whoever trains on them looks for pairs that occur more than once.

    Each column is taken out of `given` and dropped once it is converted, so that the memory of a table that only
    `given` holds is freed on the way. `names` says what to call the columns in messages.
    """
    if duplicates is not None:
        checks.choice(duplicates, "duplicates", get_args(Duplicates))
    threads = checks.thread_count(threads)
    users, user_ids = encode(given.pop("users"), names["users"], threads)
    columns.release_unused()
    items, item_ids = encode(given.pop("items"), names["items"], threads)
    columns.release_unused()
    scores = columns.scores(given.pop("scores"), names["scores"])
    columns.release_unused()
    times = given.pop("times", None)
    if times is not None:
        times = columns.times(times, names["times"])
    weights = given.pop("weights", None)
    if weights is not None:
        weights = _positive(columns.scores(weights, names["weights"]), names["weights"])
    arrays = {"users": users, "items": items, "scores": scores, "times": times, "weights": weights}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    if len({len(array) for array in arrays.values()}) > 1:
        got = ", ".join(f"{len(array)} {name}" for name, array in arrays.items())
        raise ValueError(message(", ".join(names[name] for name in arrays), got, "as many of each"))
    triples = Triples(users, items, scores, times, user_ids, item_ids, weights=weights)
    _check_any(triples)
    return triples if duplicates is None else without_duplicates(triples, duplicates, threads)


def as_triples(
    data: Any, *, threads: int | None = None, name: str = "triples", duplicates: Duplicates | None = "last"
) -> Triples:
    """Return what stands for triples as `Triples`.

    Parameters
    ----------
    data : Triples, tuple, array_like, table or path
        Triples, as they are; a tuple of arrays (users, items, scores) or (users, items, scores, times); an array of
        shape (n, 3) or (n, 4) with such columns; a pandas, Polars or Arrow table, or a path to a CSV, TSV, Parquet or
        Arrow file, with columns named user, item and score, and time if there are times.
    threads : int, optional
        Threads to use; all that the process may use by default.
    name : str
        The argument it came in, for messages.
    duplicates : str or None, default "last"
        As in `from_columns`. `Triples` stay as they are.

    Returns
    -------
    Triples
        The last of duplicates is kept: see `Triples.from_arrays`.

    Raises
    ------
    TypeError
        `data` is none of these; a sparse matrix is not, since only `Triples.from_sparse` says what its rows are.
    ValueError
        What it holds is not right: see `Triples.from_arrays`.
    """
    if isinstance(data, Triples):
        if not len(data):
            raise ValueError(message(name, "no rows", "at least one triple"))
        return data
    if package(data) == "scipy":
        raise TypeError(message(name, type(data).__name__, 'Triples.from_sparse(m, rows="users" or "items") of it'))
    if isinstance(data, tuple):
        if len(data) not in (3, 4):
            raise ValueError(message(name, f"a tuple of {len(data)}", "(users, items, scores) or that and times"))
        columns_of = dict(zip(("users", "items", "scores", "times"), data, strict=False))
        return from_columns(columns_of, {role: role for role in columns_of}, duplicates, threads)
    if not tables.is_table(data):
        raise TypeError(message(name, type(data).__name__, _ACCEPTED))
    wanted: dict[str, Column] = {"users": "user", "items": "item", "scores": "score", "times": "time"}
    if tables.is_plain_array(data):
        if data.ndim != 2 or data.shape[1] not in (3, 4):
            raise ValueError(message(name, f"an array of shape {data.shape}", "shape (n, 3), or (n, 4) with times"))
        wanted = {role: place for place, role in enumerate(wanted)}
    threads = checks.thread_count(threads)
    given = tables.read(data, wanted, optional=("times",), threads=threads)
    return from_columns(given, {role: f"{role} of {name}" for role in wanted}, duplicates, threads)


def _check_any(triples: Triples) -> None:
    if not len(triples):
        raise ValueError(message("triples", "no rows", "at least one"))


def _positive(weights: Scores, name: str) -> Scores:
    if not (weights > 0).all():
        raise ValueError(message(name, f"{weights.min():g}", "numbers > 0"))
    return weights


def _joined_weights(*parts: Triples) -> Scores | None:
    if all(part.weights is None for part in parts):
        return None
    ones = (np.ones(len(part), np.float32) if part.weights is None else part.weights for part in parts)
    return np.concatenate(list(ones))


def _ids_of_axis(ids: Any, name: str, size: int) -> Ids:
    """Return the ids of the rows or columns of a matrix; their numbers where none are given."""
    if ids is None:
        return Ids(np.arange(size))
    rows, distinct = encode(ids, name)
    if len(rows) != size or len(distinct) != size:
        raise ValueError(message(name, f"{len(rows)} ids, {len(distinct)} of them distinct", f"{size} distinct ones"))
    return distinct
