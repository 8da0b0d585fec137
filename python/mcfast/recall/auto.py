"""`index="auto"`: the index that is cheapest to build among those that were measured to be good and fast enough."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from .. import checks
from ..errors import RecallWarning
from .approximate import Promise
from .filters import EVERYTHING
from .items import Items
from .judge import KS
from .protocol import Index

CALLS = 64  # queries that are timed, one at a time
ROUNDS = 3


def installed(backends: Mapping[str, type[Index]]) -> Iterator[type[Index]]:
    """Give the backends that are local and whose packages are installed, in the order of the registry."""
    for backend in backends.values():
        if backend.local and (backend.package is None or find_spec(backend.package)):
            yield backend


def build(
    backends: Mapping[str, type[Index]],
    items: Items,
    threads: int,
    *,
    recall: float = 0.95,
    milliseconds: float = 1.0,
    queries: Any = None,
) -> Index:
    """Build one backend after the other, the cheapest to build first, until one is fast enough.

    Every approximate one is held to `recall` by itself. If none is fast enough, the fastest is taken.
    """
    promise = Promise.checked(items, recall, queries)
    limit = checks.real(milliseconds, "milliseconds", 0, above=True)
    measured: dict[str, dict[str, Any]] = {}
    best: Index | None = None
    for backend in installed(backends):
        if best is not None and backend.approximate and promise.recall == 1:
            break
        start = time.perf_counter()
        index = _built(backend, items, threads, promise)
        seconds = time.perf_counter() - start
        if index.is_exact and best is not None:
            measured[backend.backend] = {"seconds": seconds, "falls_short": True}
            continue
        measured[backend.backend] = {"seconds": seconds, "milliseconds": _latency(index, promise)}
        if best is None or _taken(measured, index) < _taken(measured, best):
            best = index
        if _taken(measured, best) <= limit:
            break
    assert best is not None  # the exact index is always there
    best.chosen = {
        "why": _why(measured, best, limit, promise.recall),
        "recall": promise.recall,
        "milliseconds": limit,
        "measured_on": promise.about["measured_on"],
        "measured": measured,
    }
    return best


def _built(backend: type[Index], items: Items, threads: int, promise: Promise) -> Index:
    if not backend.approximate:
        return backend._build(items, threads)
    held_out = promise.queries[:, : items.dimension] if items.size else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecallWarning)  # what falls short is not taken
        return backend._build(items, threads, recall=promise.recall, queries=held_out)


def _latency(index: Index, promise: Promise) -> dict[str, float]:
    """Return the median time of one query by k, in milliseconds, in one thread."""
    taken = {}
    for k in KS:
        times = []
        for query in list(promise.queries[:CALLS]) * ROUNDS:
            start = time.perf_counter()
            index._search(query[None], k, EVERYTHING, 1)
            times.append(time.perf_counter() - start)
        taken[str(k)] = 1000 * float(np.median(times)) if times else 0.0
    return taken


def _taken(measured: Mapping[str, dict[str, Any]], index: Index) -> float:
    """Return the time that counts: that of the largest k."""
    return float(measured[index.backend]["milliseconds"][str(KS[-1])])


def _why(measured: Mapping[str, dict[str, Any]], best: Index, limit: float, recall: float) -> str:
    taken = f"{_taken(measured, best):.3g} ms a query at k = {KS[-1]}"
    kind = "exact" if best.is_exact else f"recall at least {recall:g}"
    if _taken(measured, best) <= limit:
        return f"{best.backend}: {kind}, {taken}, within {limit:g} ms, and the cheapest to build that is"
    tried = ", ".join(measured)
    return f"{best.backend}: {kind}, {taken}, the fastest: none of {tried} is within {limit:g} ms"
