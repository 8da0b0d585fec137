"""Answers as bytes, and what becomes of errors."""

from __future__ import annotations

import errno
import logging
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from ..errors import FormatError, UnknownIdError
from . import logs
from .service import NotReadyError

Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_SHOWN = 3  # faults of a body that are told


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    headers: Headers = ()
    media_type: bytes = JSON


class Refused(Exception):  # noqa: N818 - no error of ours
    """A request that is answered with a status of its own."""

    def __init__(self, status: int, text: str, headers: Headers = ()) -> None:
        super().__init__(text)
        self.status, self.headers = status, headers


def dump(answer: Any) -> bytes:
    """Return JSON; arrays of NumPy are taken as they are, and what JSON has no type for is text."""
    return orjson.dumps(answer, default=str, option=orjson.OPT_SERIALIZE_NUMPY)


def problem(error: Exception) -> Reply:
    """Return the answer to an error; one that is a bug is logged."""
    if isinstance(error, Refused):
        return Reply(error.status, _text(str(error)), error.headers)
    if isinstance(error, NotReadyError):
        return Reply(503, _text(f"no version is open: {error}"), ((b"retry-after", b"1"),))
    if isinstance(error, ValidationError):
        return Reply(422, _text(validation_text(error.errors(include_url=False, include_context=False))))
    if isinstance(error, UnknownIdError):
        return Reply(404, _text(str(error)))
    if isinstance(error, FormatError | OSError):
        if isinstance(error, FormatError | ConnectionError) or error.errno in _FULL:
            return Reply(503, _text(str(error)), ((b"retry-after", b"1"),))
    elif isinstance(error, ValueError | TypeError):
        return Reply(422, _text(str(error)))
    logs.event("failed", logging.ERROR, error=error)
    return Reply(500, _text("internal error; the log of the service has it"))


def validation_text(faults: list[Any]) -> str:
    """Return the faults of a body in words."""
    shown = [f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faults[:_SHOWN]]
    more = len(faults) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _text(text: str) -> bytes:
    return dump({"error": text.encode("utf-8", "replace").decode()})
