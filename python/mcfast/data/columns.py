"""Columns as people hold them: lists, NumPy, pandas, Polars, Arrow. No package is imported unless its data came."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..checks import message

AnyArray = npt.NDArray[Any]

_TIMES = "integers, or dates and times"


def package(value: object) -> str:
    """Return the name of the package that the type of `value` comes from."""
    return type(value).__module__.partition(".")[0]


def is_arrow(values: object) -> bool:
    """Whether `values` is an Arrow chunked array."""
    pa = sys.modules.get("pyarrow")
    return pa is not None and isinstance(values, pa.ChunkedArray)


def plain(values: Any) -> Any:
    """Return a column as a NumPy or an Arrow chunked array if it is one underneath, anything else as it came."""
    if package(values) == "polars":
        values = values.to_arrow()
    elif package(values) == "pandas":
        if isinstance(values.dtype, np.dtype):
            return values.to_numpy()
        import pyarrow as pa

        values = pa.array(values, from_pandas=True)
    pa = sys.modules.get("pyarrow")
    return pa.chunked_array([values]) if pa is not None and isinstance(values, pa.Array) else values


def release_unused() -> None:
    """Give memory that Arrow has freed, and kept for itself, back to the system."""
    if pa := sys.modules.get("pyarrow"):
        pa.default_memory_pool().release_unused()


def check_no_nulls(values: Any, name: str, expected: str) -> None:
    """Raise if an Arrow chunked array has a null, naming the first one's row."""
    if values.null_count:
        import pyarrow.compute as pc

        row = pc.index(pc.is_null(values), True).as_py()
        raise ValueError(message(name, f"a missing value (null) in row {row}", expected))


def int64(values: AnyArray, name: str) -> npt.NDArray[np.int64]:
    """Return an array of any integer dtype as a contiguous int64 one; beyond 2^63 - 1 raises."""
    if values.dtype.kind == "u" and len(values) and values.max() >= 2**63:
        row = int(np.flatnonzero(values >= np.uint64(2**63))[0])
        raise ValueError(message(name, f"{values[row]} in row {row}", "integers below 2^63"))
    return np.ascontiguousarray(values, np.int64)


def integers(values: AnyArray, name: str) -> npt.NDArray[np.int32] | npt.NDArray[np.int64]:
    """Return an array of any integer dtype as a contiguous one of int32 if it is that, else of int64."""
    return np.ascontiguousarray(values) if values.dtype == np.int32 else int64(values, name)


def scores(values: Any, name: str) -> npt.NDArray[np.float32]:
    """Return a column of finite numbers as float32, or raise."""
    values = plain(values)
    if is_arrow(values):
        import pyarrow as pa

        kind = values.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            example = f", {values[0].as_py()!r} the first of them" if len(values) else ""
            raise TypeError(message(name, f"values of type {kind}{example}", "numbers"))
        check_no_nulls(values, name, "finite numbers")
        values = values.to_numpy()
    array = np.asarray(values)
    return np.empty(0, np.float32) if array.shape == (0,) else checks.floats(array, name, (None,))


def times(values: Any, name: str) -> npt.NDArray[np.int64]:
    """Return a column of times as int64, dates and times in their own unit, or raise."""
    values = plain(values)
    if is_arrow(values):
        check_no_nulls(values, name, _TIMES)
        values = values.to_numpy()
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(message(name, f"an array of shape {array.shape}", "one dimension"))
    if not len(array):
        return np.empty(0, np.int64)
    kind = array.dtype.kind
    if kind in "iu":
        return int64(array, name)
    if kind == "M":
        array, wrong = array.astype(np.int64), np.isnat(array)
        if wrong.any():
            raise ValueError(message(name, f"a missing value (NaT) in row {np.flatnonzero(wrong)[0]}", _TIMES))
        return array
    if kind == "f":
        return whole(array, name, _TIMES)
    raise TypeError(message(name, f"values of dtype {array.dtype}", _TIMES))


def whole(values: AnyArray, name: str, expected: str) -> npt.NDArray[np.int64]:
    """Return floats that are whole numbers as int64, or raise; also where neighbouring integers share one float."""
    distinct = 2.0 ** (np.finfo(values.dtype).nmant + 1)
    wrong = ~((values == np.floor(values)) & (np.abs(values) < distinct))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            message(name, f"{values[row]} in row {row}", f"{expected}, below {distinct:.0f} as {values.dtype}")
        )
    return values.astype(np.int64)
