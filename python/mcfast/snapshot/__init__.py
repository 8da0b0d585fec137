"""Served folders: a model published as an immutable version, and the recaller that answers from the current one.

>>> mcfast.publish(model, "serving/")
1
>>> recaller = mcfast.open("serving/")
>>> ids, scores, source, version = recaller.recall("user-42", k=50)
"""

from __future__ import annotations

from .answers import Recalled, RecalledMany
from .publishing import VersionInfo, prune, publish, rollback, versions
from .recaller import Recaller, open

__all__ = [
    "Recalled",
    "RecalledMany",
    "Recaller",
    "VersionInfo",
    "open",
    "prune",
    "publish",
    "rollback",
    "versions",
]
