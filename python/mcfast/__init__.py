"""Fast matrix completion and recall: from an interaction log to the k items a user will want, on one machine."""

from __future__ import annotations

from . import datasets, recall, store
from ._core import build_info
from .baselines import ease, item_knn, popularity
from .data.events import score_events
from .data.ids import Ids
from .data.readers import read_triples
from .data.triples import Triples
from .epochs import Epoch
from .errors import (
    BusyError,
    CorruptError,
    DivergenceError,
    FormatError,
    MissingExtraError,
    NewerFormatError,
    UnknownIdError,
)
from .evaluation import evaluate
from .folding import Folded
from .model import Model
from .model_files import load
from .ranking import Recommendations
from .sampled import evaluate_sampled
from .snapshot import Recalled, RecalledMany, Recaller, VersionInfo, open, prune, publish, rollback, versions
from .training import fit
from .tuning import Trial, Tuning, tune

__version__: str = build_info()["version"]

__all__ = [
    "BusyError",
    "CorruptError",
    "DivergenceError",
    "Epoch",
    "Folded",
    "FormatError",
    "Ids",
    "MissingExtraError",
    "Model",
    "NewerFormatError",
    "Recalled",
    "RecalledMany",
    "Recaller",
    "Recommendations",
    "Trial",
    "Triples",
    "Tuning",
    "UnknownIdError",
    "VersionInfo",
    "build_info",
    "datasets",
    "ease",
    "evaluate",
    "evaluate_sampled",
    "fit",
    "item_knn",
    "load",
    "open",
    "popularity",
    "prune",
    "publish",
    "read_triples",
    "recall",
    "rollback",
    "score_events",
    "store",
    "tune",
    "versions",
]
