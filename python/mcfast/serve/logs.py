"""Structured logs: one JSON document a line, on standard error."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import traceback
from typing import Any

LOGGER = logging.getLogger("mcfast.serve")


class Lines(logging.Formatter):
    """Lays a record out as JSON: time, level, event, and the fields that were given with it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": record.process,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def start() -> None:
    """Let the loggers of the service and of uvicorn write such lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    for name, level in (("mcfast.serve", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def event(name: str, level: int = logging.INFO, *, error: BaseException | None = None, **fields: Any) -> None:
    """Log an event with fields; with the traceback of `error`, if one is given."""
    LOGGER.log(level, name, extra={"fields": fields}, exc_info=error)
