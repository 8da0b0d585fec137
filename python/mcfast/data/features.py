"""Attributes as a model takes them: values and numbers, by the vocabulary of the data it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..checks import choice, message
from . import columns, tables
from .attributes import ID, id_column, read_attributes
from .ids import Ids, encode

if TYPE_CHECKING:
    import pyarrow as pa

FARTHEST = 5.0  # standard deviations: a number beyond must not outweigh everything else

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Encoded(NamedTuple):
    """The attributes of some rows.

    Attributes
    ----------
    indptr : numpy.ndarray
        (n + 1,) int64: the values of row r are those from ``indptr[r]`` to ``indptr[r + 1]``.
    values : numpy.ndarray
        int32: numbers of values, 0 .. n_values - 1.
    shares : numpy.ndarray
        float32, one a value; those of a row that has any add up to 1.
    numbers : numpy.ndarray
        (n, n_numbers) float32: with mean 0 and standard deviation 1 over the training data; 0 where missing.
    """

    indptr: Int64
    values: Int32
    shares: Float32
    numbers: Float32


class Terms(NamedTuple):
    """Rows as sums of parameter rows (csrc/compose): ids, the default id, values, numbers.

    Attributes
    ----------
    indptr, parameters, coefficients : numpy.ndarray
        int64, int32, float32: CSR, the id of a row first.
    n_parameters : int
        How many rows of parameters there are.
    default_id : int
        The parameter that stands in for an id.
    histories : numpy.ndarray, optional
        (n,) int64, where in the terms of a row those of its history begin, its last ones.
    first_item : int
        The parameter of item row 0 in histories.
    power : float
        Coefficients of a history of m items are m to the power of minus this.
    units : int
        Of a tower, whose weights are the last parameters.
    """

    indptr: Int64
    parameters: Int32
    coefficients: Float32
    n_parameters: int
    default_id: int
    histories: Int64 | None = None
    first_item: int = 0
    power: float = 1.0
    units: int = 0


@dataclass(frozen=True)
class Values:
    """A column of categories, or of lists of them: each value that the training data has becomes a row of parameters.

    Attributes
    ----------
    name : str
        Of the column.
    known : Ids
        The values, in the order of their rows.
    """

    name: str
    known: Ids


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Attributes
    ----------
    name : str
        Of the column.
    mean, deviation : float
        Over the training data; deviation 0 leaves the column out.
    """

    name: str
    mean: float
    deviation: float


class Features:
    """The attributes of one side, users or items, and how they are encoded.

    Parameters
    ----------
    values : sequence of Values
        Columns of categories.
    numbers : sequence of Numbers
        Columns of numbers.
    """

    def __init__(self, values: Sequence[Values], numbers: Sequence[Numbers]) -> None:
        self.values, self.numbers = tuple(values), tuple(numbers)

    @classmethod
    def of(
        cls, source: Any, ids: Ids, name: str = "features", *, kinds: Mapping[str, str] | None = None
    ) -> tuple[Features, Encoded]:
        """Learn how a table is to be encoded, and encode it.

        Parameters
        ----------
        source : path or table
            A path to CSV, Parquet or Arrow, a pandas, Polars or Arrow table, or a dict of columns. Its column ``id``,
            or the first one where none is called so, holds distinct ids. The other columns are attributes.
        ids : Ids
            The ids of the training data. Rows of other ids are left out; ids without a row have no attributes.
        name : str
            The argument, for messages.
        kinds : mapping of str to {"values", "numbers", "ignore"}, optional
            What columns are. By default floats and dates are numbers; strings, bools, integers, and lists of them are
            values. A list is an attribute with several values, such as keywords.

        Returns
        -------
        features : Features
        encoded : Encoded
            One row an id.

        Raises
        ------
        TypeError, ValueError
            There is no such table or column, ids are repeated, or a column is of a type that is neither.
        """
        table = _read(source, ids, name)
        names = [column for column in table.column_names if column != ID]
        for column, kind in (kinds or {}).items():
            choice(kind, f"kinds of {name}", ("values", "numbers", "ignore"))
            if column not in names:
                there = ", ".join(map(repr, names)) or "none"
                raise ValueError(message(f"kinds of {name}", repr(column), f"an attribute: {there}"))
        values: list[Values] = []
        numbers: list[Numbers] = []
        for column in names:
            kind = (kinds or {}).get(column) or _kind(table[column].type)
            if kind == "values":
                known = encode(_flat(table[column], f"{column!r} of {name}")[1])[1]
                values.append(Values(column, known))
            elif kind == "numbers":
                present = _numbers(table[column], f"{column!r} of {name}")
                present = present[~np.isnan(present)]
                spread = (float(present.mean()), float(present.std())) if len(present) else (0.0, 0.0)
                numbers.append(Numbers(column, *spread))
        features = cls(values, numbers)
        return features, features.encode(table, ids, name)

    @property
    def n_values(self) -> int:
        """The number of values of all columns together."""
        return sum(len(column.known) for column in self.values)

    @property
    def n_numbers(self) -> int:
        """The number of columns of numbers."""
        return len(self.numbers)

    def encode(self, source: Any, ids: Ids, name: str = "features") -> Encoded:
        """Encode a table by what the training data had.

        Values that it did not have, and missing ones, are passed over; missing numbers count as the mean. Each column
        in which a row has a value takes an equal share, and each of its values there an equal part of that.

        Parameters
        ----------
        source : path or table
            As in `of`; columns that are not known are ignored.
        ids : Ids
            The ids wanted, in this order; those without a row have no attributes.
        name : str
            The argument, for messages.

        Returns
        -------
        Encoded
            One row an id.

        Raises
        ------
        TypeError, ValueError
            A column is missing, or of another type than in the training data.
        """
        table = _read(source, ids, name)
        n, row_of = len(ids), ids.rows(table[ID]).astype(np.int64)
        for wanted in [column.name for column in self.values] + [column.name for column in self.numbers]:
            if wanted not in table.column_names:
                raise ValueError(message(name, ", ".join(map(repr, table.column_names)), f"a column {wanted!r}"))
        owners, values, counts = [], [], np.zeros((n, len(self.values)), np.int64)
        first = 0
        for place, column in enumerate(self.values):
            what = f"{column.name!r} of {name}"
            parents, flat = _flat(table[column.name], what)
            found = column.known.rows(flat, what, "skip")
            own = row_of[parents[found >= 0]]
            counts[:, place] = np.bincount(own, minlength=n)
            owners.append(own)
            values.append(found[found >= 0] + first)
            first += len(column.known)
        places = np.repeat(np.arange(len(self.values)), [len(own) for own in owners])
        owner = np.concatenate([*owners, np.empty(0, np.int64)])
        order = np.argsort(owner, kind="stable")
        owner, places = owner[order], places[order]
        filled = (counts > 0).sum(axis=1)
        numbers = np.zeros((n, self.n_numbers))
        for place, number in enumerate(self.numbers):
            if number.deviation > 0:
                read = _numbers(table[number.name], f"{number.name!r} of {name}")
                numbers[row_of, place] = np.nan_to_num((read - number.mean) / number.deviation)
        return Encoded(
            np.concatenate([[0], np.cumsum(counts.sum(axis=1))]).astype(np.int64),
            np.concatenate([*values, np.empty(0, np.int32)]).astype(np.int32)[order],
            (1 / (filled[owner] * counts[owner, places])).astype(np.float32),
            np.clip(numbers, -FARTHEST, FARTHEST).astype(np.float32),
        )

    def terms(self, encoded: Encoded, n_ids: int, ids: Int32 | None = None) -> Terms:
        """Return rows as sums of parameters.

        Parameters
        ----------
        encoded : Encoded
            The attributes of the rows.
        n_ids : int
            How many ids have parameters.
        ids : numpy.ndarray, optional
            (n,) int32, which id a row is of; `n_ids` is the default id. By default row r is of id r.

        Returns
        -------
        Terms
        """
        n = len(encoded.numbers)
        rows = np.arange(n)
        own = rows if ids is None else ids
        owners = np.repeat(rows, np.diff(encoded.indptr))
        with_number, number = np.nonzero(encoded.numbers)
        owner = np.concatenate([rows, owners, with_number])
        order = np.argsort(owner, kind="stable")
        first = n_ids + 1
        parameters = np.concatenate([own, first + encoded.values, first + self.n_values + number])
        shares = np.concatenate([np.ones(n), encoded.shares, encoded.numbers[with_number, number]])
        return Terms(
            np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=n))]).astype(np.int64),
            parameters[order].astype(np.int32),
            shares[order].astype(np.float32),
            first + self.n_values + self.n_numbers,
            n_ids,
        )

    def fields(self) -> dict[str, Any]:
        """Return what a manifest keeps beside `arrays`."""
        return {
            "values": [column.name for column in self.values],
            "numbers": [[column.name, column.mean, column.deviation] for column in self.numbers],
        }

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return the vocabularies as plain arrays, for a file."""
        out: dict[str, npt.NDArray[Any]] = {}
        for place, column in enumerate(self.values):
            out |= column.known.arrays(f"{prefix}_values_{place}")
        return out

    @classmethod
    def from_arrays(cls, prefix: str, fields: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Features:
        """Return what `fields` and `arrays` wrote."""
        values = [
            Values(name, Ids.from_arrays(f"{prefix}_values_{place}", arrays))
            for place, name in enumerate(fields["values"])
        ]
        return cls(values, [Numbers(*number) for number in fields["numbers"]])


def ids_of(source: Any, name: str) -> Ids:
    """Return the ids of a table of attributes, in its order."""
    source = _table(source, name)
    wanted = {"items": id_column(source, name)}
    return Ids(columns.plain(tables.read(source, wanted, numbers=())["items"]), f"ids of {name}")


def _read(source: Any, ids: Ids, name: str) -> pa.Table:
    return read_attributes(_table(source, name), ids, name)


def _table(source: Any, name: str) -> Any:
    if tables.is_table(source):
        return source
    if not isinstance(source, Mapping):
        raise TypeError(message(name, type(source).__name__, "a path, a table, or a dict of columns"))
    import pyarrow as pa

    return pa.table(dict(source))


def _kind(of: pa.DataType) -> str:
    import pyarrow as pa

    tests = (pa.types.is_floating, pa.types.is_decimal, pa.types.is_date, pa.types.is_timestamp)
    return "numbers" if any(test(of) for test in tests) else "values"


def _flat(column: pa.ChunkedArray, name: str) -> tuple[Int64, Any]:
    """Return the values of a column without the missing ones, and the rows that have them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    rows = np.arange(len(array))
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        rows = pc.list_parent_indices(array).to_numpy().astype(np.int64)
        array = pc.list_flatten(array)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    rows, array = rows[present], array.drop_null()
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if pa.types.is_boolean(kind):
        array = array.cast(pa.int64())
    elif pa.types.is_floating(kind):
        try:
            array = array.cast(pa.int64())
        except pa.ArrowInvalid:
            raise TypeError(message(name, "numbers that are not whole", "values: strings or integers")) from None
    elif pa.types.is_null(kind):
        array = pa.array([], pa.string())
    elif not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise TypeError(message(name, f"values of type {kind}", "strings, integers, or lists of them"))
    return rows, array


def _numbers(column: pa.ChunkedArray, name: str) -> npt.NDArray[np.float64]:
    """Return a column of numbers, NaN where one is missing or not finite."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    elif not (pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)):
        raise TypeError(message(name, f"values of type {kind}", "numbers or dates"))
    numbers = np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)
