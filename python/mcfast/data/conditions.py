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

from ..checks import message

if TYPE_CHECKING:
    import pyarrow as pa

Bool = npt.NDArray[np.bool_]
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


def mask(table: pa.Table, conditions: Conditions) -> Bool:
    """Return which rows of a table hold all conditions; raises ValueError where they do not suit the table."""
    found = np.ones(len(table), np.bool_)
    for name, wanted in conditions.items():
        if name not in table.column_names:
            known = ", ".join(map(repr, table.column_names)) or "none, as no attributes were published"
            raise ValueError(message("filter", repr(name), f"an attribute: {known}"))
        found &= _fitting(table[name].combine_chunks(), name, wanted)
    return found


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


def _fitting(column: Any, name: str, wanted: Any) -> Bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    values = pc.list_flatten(column) if lists else column
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
    if not lists:
        return plain
    found = np.zeros(len(column), np.bool_)
    found[pc.list_parent_indices(column).to_numpy()[plain]] = True
    return found
