"""Validation of arguments, done once, at the edge. Every message names argument, what came, what was expected."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from . import _core

Float32 = npt.NDArray[np.float32]

_MANY = 1 << 20  # numbers that are worth threads


def message(name: str, got: object, expected: str) -> str:
    """Return the text of an error about an argument.

    Parameters
    ----------
    name : str
        The argument.
    got : object
        What came, in words; or the value itself, then shown with its type.
    expected : str
        What is accepted.

    Returns
    -------
    str
        ``name: got ..., expected ...``.
    """
    return f"{name}: got {got if isinstance(got, str) else shown(got)}, expected {expected}"


def shown(value: object) -> str:
    """Return a value that was not expected with its type, for a message."""
    return f"{value!r} ({type(value).__name__})"


def integer(value: object, name: str, low: int, high: int | None = None) -> int:
    """Return `value` as an int between `low` and `high`, both included, or raise."""

    def expected() -> str:
        return f"an integer >= {low}" if high is None else f"an integer in {low}..{high}"

    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(message(name, shown(value), expected()))
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(message(name, str(number), expected()))
    return number


def real(value: object, name: str, low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> float:
    """Return `value` as a finite float between `low` and `high`, or raise; `above` excludes `low` itself."""
    bounds = [f"{'>' if above else '>='} {low:g}"] if low > -math.inf else []
    bounds += [f"<= {high:g}"] if high < math.inf else []
    expected = " ".join(["a finite number", " and ".join(bounds)]).strip()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(message(name, shown(value), expected))
    number = float(value)
    if not math.isfinite(number) or number < low or (above and number == low) or number > high:
        raise ValueError(message(name, repr(number), expected))
    return number


def choice(value: object, name: str, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`, or raise."""
    options = list(options)
    if not isinstance(value, str) or value not in options:
        raise ValueError(message(name, repr(value), "one of " + ", ".join(map(repr, options))))
    return value


def flag(value: object, name: str) -> bool:
    """Return `value` if it is True or False, or raise."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(message(name, shown(value), "True or False"))
    return bool(value)


def thread_count(value: int | None, name: str = "threads") -> int:
    """Return the number of threads to use: `value`, or for None all that the process may use."""
    return _core.available_threads() if value is None else integer(value, name, 1, 4096)


@overload
def floats(value: Any, name: str, shape: tuple[int | None, ...]) -> Float32: ...
@overload
def floats(value: Any, name: str, shape: tuple[int | None, ...], *, optional: Literal[True]) -> Float32 | None: ...
def floats(value: Any, name: str, shape: tuple[int | None, ...], *, optional: bool = False) -> Float32 | None:
    """Return `value` as a contiguous float32 array with finite values, or raise.

    Parameters
    ----------
    value : array_like
        Any numeric array; float64, integers and non-contiguous memory are converted.
    name : str
        The argument, for messages.
    shape : tuple of int or None
        What each dimension must be; None accepts any size.
    optional : bool, default False
        Whether None is passed through.

    Returns
    -------
    numpy.ndarray or None
        float32, C-contiguous; `value` itself where that is what it was.

    Raises
    ------
    TypeError
        The values are not numbers.
    ValueError
        A dimension differs, or a value is NaN, infinite, or too large for float32.
    """
    if optional and value is None:
        return None
    array = np.asarray(value)

    def expected() -> str:
        sizes = ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "")
        return f"numbers of shape ({sizes})"

    if array.dtype.kind not in "fiub":
        raise TypeError(message(name, f"values of dtype {array.dtype}", expected()))
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(message(name, f"shape {array.shape}", expected()))
    if array.dtype == np.float32:
        array = np.ascontiguousarray(array)
    else:
        with np.errstate(over="ignore"):  # as slow as all the rest for a few numbers
            array = np.ascontiguousarray(array, np.float32)
    if not _core.finite(array.ravel(), 1 if array.size < _MANY else _core.available_threads()):
        where = np.argwhere(~np.isfinite(array))[0]
        place = ", ".join(map(str, where))
        raise ValueError(message(name, f"{np.asarray(value)[tuple(where)]} at [{place}]", "finite numbers"))
    return array
