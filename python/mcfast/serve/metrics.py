"""What the workers count, in a file that they share, and its text for Prometheus.

Each worker has a row of float64 of its own, which it alone writes; a scrape of any worker sums the rows. A row belongs
to the process that holds the lock on it. The system frees the lock of one that is killed; its successor counts on.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

ROUTES = ("recall", "recall_user", "interactions", "similar", "forget", "users", "items", "versions", "map", "other")
STATUSES = (200, 400, 401, 404, 405, 408, 413, 415, 422, 429, 499, 500, 503)
SOURCES = ("exact", "index", "folded", "popular")
BOUNDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds
COUNTERS = ("interactions", "reloads", "reload_failures")
GAUGES = ("in_flight", "version", "sampled_users", "sampled_wanted", "sampled_found", "updated")

_COLUMNS: dict[tuple[str, ...], int] = {
    key: column
    for column, key in enumerate(
        [
            *(("requests", route, str(status)) for route in ROUTES for status in STATUSES),
            *(("seconds", route, str(bound)) for route in ROUTES for bound in (*BOUNDS, "+Inf", "sum")),
            *(("answers", source) for source in SOURCES),
            *((name,) for name in (*COUNTERS, *GAUGES)),
        ]
    )
}
_WIDTH = len(_COLUMNS)
_OF_REQUEST = {  # the columns of the status and of the first bound
    (route, status): (_COLUMNS["requests", route, str(status)], _COLUMNS["seconds", route, str(BOUNDS[0])])
    for route in ROUTES
    for status in STATUSES
}
_STALE = 10.0  # seconds after which a row belongs to nobody who lives


class Metrics:
    """The counts of all workers; the row of this process is written, the others are read.

    Parameters
    ----------
    path : Path
        The file; made where it is missing.
    rows : int
        How many processes there may be at a time.
    """

    def __init__(self, path: Path, rows: int) -> None:
        self._rows = rows
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, rows * _WIDTH * 8)
        self._all = memoryview(mmap.mmap(self._descriptor, rows * _WIDTH * 8)).cast("d")
        self.row = self._free_row()
        self._own = self._all[self.row * _WIDTH : (self.row + 1) * _WIDTH]
        for name in GAUGES:
            self.set(name, 0.0)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        own = self._own
        status = status if status in STATUSES else 500 if status > 499 else 400 if status > 399 else 200
        column, first = _OF_REQUEST[route, status]
        own[column] += 1
        own[first + bisect_left(BOUNDS, seconds)] += 1
        own[first + len(BOUNDS) + 1] += seconds

    def add(self, *key: str, count: float = 1) -> None:
        """Count something; threads may do so at once."""
        with self._lock:
            self._own[_COLUMNS[key]] += count

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._own[_COLUMNS[name,]] = value

    def sampled(self, found: int, wanted: int) -> None:
        """Count a user for whom the index found some of the wanted items."""
        for name, count in (("sampled_users", 1), ("sampled_found", found), ("sampled_wanted", wanted)):
            self.add(name, count=count)

    def text(self) -> str:
        """Return all counts in the text format of Prometheus, version 0.0.4."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _head("mcfast_requests_total", "counter", "Requests by route and status.")
        for route in ROUTES:
            for status in STATUSES:
                if count := self._sum("requests", route, str(status)):
                    yield f'mcfast_requests_total{{route="{route}",status="{status}"}} {count:.0f}'
        yield from _head("mcfast_request_seconds", "histogram", "Seconds from the head of a request to its answer.")
        for route in ROUTES:
            yield from self._histogram(route)
        yield from _head("mcfast_answers_total", "counter", "Users, vectors and lists answered, by source.")
        for source in SOURCES:
            yield f'mcfast_answers_total{{source="{source}"}} {self._sum("answers", source):.0f}'
        for name, text in (
            ("interactions", "Interactions recorded."),
            ("reloads", "Changes to another version."),
            ("reload_failures", "Versions that could not be opened."),
        ):
            yield from _head(f"mcfast_{name}_total", "counter", text)
            yield f"mcfast_{name}_total {self._sum(name):.0f}"
        living = [row for row in range(self._rows) if time.time() - self._at(row, "updated") < _STALE]
        yield from _head("mcfast_workers", "gauge", "Workers that live.")
        yield f"mcfast_workers {len(living)}"
        for name, text in (("in_flight", "Requests under way."), ("version", "The version that answers, 0 for none.")):
            yield from _head(f"mcfast_{name}", "gauge", text)
            for row in living:
                yield f'mcfast_{name}{{worker="{row}"}} {self._at(row, name):.0f}'
        yield from _head("mcfast_measured_recall", "gauge", "Share of the exact answer that the index finds, sampled.")
        if wanted := sum(self._at(row, "sampled_wanted") for row in living):
            yield f"mcfast_measured_recall {sum(self._at(row, 'sampled_found') for row in living) / wanted:.6f}"
        yield from _head("mcfast_measured_recall_users", "gauge", "Users of that sample, since the version changed.")
        yield f"mcfast_measured_recall_users {sum(self._at(row, 'sampled_users') for row in living):.0f}"

    def _histogram(self, route: str) -> Iterator[str]:
        counts = [self._sum("seconds", route, str(bound)) for bound in (*BOUNDS, "+Inf")]
        if not any(counts):
            return
        total = 0.0
        for bound, count in zip((*BOUNDS, "+Inf"), counts, strict=True):
            total += count
            yield f'mcfast_request_seconds_bucket{{route="{route}",le="{bound}"}} {total:.0f}'
        yield f'mcfast_request_seconds_sum{{route="{route}"}} {self._sum("seconds", route, "sum"):.6f}'
        yield f'mcfast_request_seconds_count{{route="{route}"}} {total:.0f}'

    def _sum(self, *key: str) -> float:
        return sum(self._all[_COLUMNS[key] :: _WIDTH])

    def _at(self, row: int, name: str) -> float:
        return self._all[row * _WIDTH + _COLUMNS[name,]]

    def _free_row(self) -> int:
        for row in range(self._rows):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, row)
            except OSError:
                continue
            return row
        raise RuntimeError("there are more workers than rows for their metrics")


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"
