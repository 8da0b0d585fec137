"""Fast matrix completion and recall: from an interaction log to the k items a user will want, on one machine."""

from __future__ import annotations

from . import datasets, recall
from ._core import build_info
from .baselines import popularity
from .data.events import score_events
from .data.ids import Ids
from .data.readers import read_triples
from .data.triples import Triples
from .epochs import Epoch
from .errors import (
    CorruptError,
    DivergenceError,
    FormatError,
    MissingExtraError,
    NewerFormatError,
    UnknownIdError,
)
from .evaluation import evaluate
from .model import Model
from .model_files import load
from .ranking import Recommendations
from .training import fit

__version__: str = build_info()["version"]

__all__ = [
    "CorruptError",
    "DivergenceError",
    "Epoch",
    "FormatError",
    "Ids",
    "MissingExtraError",
    "Model",
    "NewerFormatError",
    "Recommendations",
    "Triples",
    "UnknownIdError",
    "build_info",
    "datasets",
    "evaluate",
    "fit",
    "load",
    "popularity",
    "read_triples",
    "recall",
    "score_events",
]
