"""What the commands of served folders share: the recall of an index in words, and how long single recalls take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

WAIT = "wait while another process publishes, rolls back or prunes there; otherwise fail"


def recall_text(index: Mapping[str, Any]) -> str:
    """Say what recall an index has measured at each cut, or that its answers are exact."""
    measured = index.get("recall")
    return "exact" if measured is None else ", ".join(f"{value:.3f} @{k}" for k, value in measured.items())


def latency(recall: Callable[[Any], object], users: Iterable[Any]) -> dict[str, float]:
    """Time one recall for each user, one after the other: how many, and milliseconds by percentile."""
    seconds = []
    for user in users:
        start = time.perf_counter()
        recall(user)
        seconds.append(time.perf_counter() - start)
    p50, p99 = (1e3 * np.percentile(seconds, [50, 99])).tolist()
    return {"recalls": len(seconds), "p50_ms": p50, "p99_ms": p99}


def latency_text(measured: Mapping[str, float]) -> str:
    """Say what `latency` measured."""
    return "{recalls:,} single recalls, one thread: p50 {p50_ms:.3f} ms, p99 {p99_ms:.3f} ms".format(**measured)
