"""Conditions on attributes: which rows of a table hold them.

A condition is a mapping of names to what is wanted: one value, a list of values of which one must be there, or a range
``{"min": 1990, "max": 1999}`` with one bound or both. All names must fit. Of an attribute that is a list, such as
genres, one entry must fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..checks import message

if TYPE_CHECKING:
    import pyarrow as pa

Bool = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Conditions = Mapping[str, Any]

_BOUNDS = {"min", "max"}
_SCALARS = (str, int, float, bool)


def checked(conditions: Any, name: str) -> tuple[Conditions, str]:
    """Return conditions and a text that is equal for equal ones.

    Raises
    ------
    TypeError, ValueError
        They are not as described above.
    """
    expected = "names and values, lists of values, or {'min': ..., 'max': ...}"
    if not isinstance(conditions, Mapping):
        raise TypeError(message(name, conditions, expected))
    for key, wanted in conditions.items():
        ranged = isinstance(wanted, Mapping)
        values = list(wanted.values()) if ranged else wanted if isinstance(wanted, list | tuple) else [wanted]
        if not isinstance(key, str) or not all(isinstance(value, _SCALARS) for value in values):
            raise TypeError(message(name, {key: wanted}, expected))
        if ranged and (not wanted or not set(wanted) <= _BOUNDS):
            raise ValueError(message(name, {key: wanted}, expected))
    return conditions, json.dumps(conditions, sort_keys=True)


class Coded:
    """The columns of a table as numbers of their distinct values, of which a condition is decided once each.

    Parameters
    ----------
    table : pyarrow.Table
        The table; a column is looked at when it is first asked for.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._columns: dict[str, tuple[Any, Int32, Int64 | None]] = {}

    def mask(self, conditions: Conditions) -> Bool:
        """Return which rows hold all conditions; raises ValueError where they do not suit the table."""
        found = np.ones(len(self._table), np.bool_)
        for name, wanted in conditions.items():
            if name not in self._table.column_names:
                known = ", ".join(map(repr, self._table.column_names)) or "none, as no attributes were published"
                raise ValueError(message("filter", repr(name), f"an attribute: {known}"))
            values, codes, indptr = self._column(name)
            found &= _core.where(codes, indptr, _fitting(values, name, wanted).view(np.uint8)).view(np.bool_)
        return found

    def _column(self, name: str) -> tuple[Any, Int32, Int64 | None]:
        if name not in self._columns:
            self._columns[name] = _coded(self._table[name].combine_chunks())
        return self._columns[name]


def hold(attributes: Mapping[str, Any], conditions: Conditions) -> bool:
    """Tell whether the attributes of one item hold all conditions."""
    return all(_holds(attributes.get(name), wanted) for name, wanted in conditions.items())


def _holds(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return any(_holds(entry, wanted) for entry in value)
    if isinstance(wanted, Mapping):
        try:
            return bool(wanted.get("min", value) <= value <= wanted.get("max", value))
        except TypeError:
            return False
    return value in (wanted if isinstance(wanted, list | tuple) else [wanted])


def _coded(column: Any) -> tuple[Any, Int32, Int64 | None]:
    """Return the distinct values, their numbers, -1 for none, and where the numbers of a row begin if it is a list."""
    import pyarrow as pa
    import pyarrow.compute as pc

    indptr = None
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        counts = pc.list_value_length(column).fill_null(0).to_numpy()
        indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        column = pc.list_flatten(column)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return column.dictionary, codes, indptr


def _fitting(values: Any, name: str, wanted: Any) -> Bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if isinstance(wanted, Mapping):
            fits = pa.array(np.ones(len(values), np.bool_))
            if "min" in wanted:
                fits = pc.and_(fits, pc.greater_equal(values, pa.scalar(wanted["min"])))
            if "max" in wanted:
                fits = pc.and_(fits, pc.less_equal(values, pa.scalar(wanted["max"])))
        else:
            options = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
            fits = pc.is_in(values, pa.array(options, values.type))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        raise ValueError(message("filter", {name: wanted}, f"values that compare with {values.type}")) from None
    plain: Bool = fits.fill_null(False).to_numpy(zero_copy_only=False)
    return plain
