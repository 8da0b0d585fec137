"""Recall: the k items nearest to a query, by one protocol over several indexes.

>>> index = mcfast.recall.build("exact", vectors, metric="ip")
>>> rows, scores = index.search(queries, k=10)
>>> index.save("items.index")
>>> index = mcfast.recall.load("items.index")

Whatever the backend, a returned score is the canonical one: two indexes that return the same item return the same bits.
"""

from __future__ import annotations

from ..errors import RecallWarning
from .items import METRICS
from .judge import measure
from .protocol import Index
from .registry import AUTO, BACKENDS, build, load, remove

__all__ = ["AUTO", "BACKENDS", "METRICS", "Index", "RecallWarning", "build", "load", "measure", "remove"]
