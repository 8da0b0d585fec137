"""How values that were written online are read: one that is truncated or altered is told, with its file."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..errors import CorruptError, NewerFormatError

P = ParamSpec("P")
T = TypeVar("T")

FILE = "live.lmdb"


def decoder(decode: Callable[P, T]) -> Callable[P, T]:
    """Let `decode` raise CorruptError, or else NewerFormatError, where a value is not as it was written."""

    @functools.wraps(decode)
    def checked(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return decode(*arguments, **options)
        except NewerFormatError:
            raise
        except (struct.error, LookupError, TypeError, ValueError) as error:
            raise CorruptError(f"{FILE}: a value is truncated or altered: {error}") from error

    return checked
