"""Training under a loss of single triples."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, checks
from .data.duplicates import without_duplicates
from .data.triples import Triples
from .epochs import Outcome, Settings, export, run
from .model import Model
from .scale import bounds


def check_scores(data: Triples, name: str, loss: str) -> None:
    """Raise unless the loss knows such scores."""
    kind, scores = _core.losses[loss], data.scores
    if kind == "ratings" or not len(data):
        return
    low, high = float(scores.min()), float(scores.max())
    expected, fits = {
        "labels": ("0..1", low >= 0 and high <= 1),
        "counts": ("numbers >= 0", low >= 0),
        "signs": ("-1 and 1, or 0 and 1", bool(np.isin(scores, (0, 1)).all() or np.isin(scores, (-1, 1)).all())),
    }[kind]
    if not fits:
        raise ValueError(checks.message(name, f"{low:g} to {high:g}", f"{expected} with loss={loss!r}"))


def _scores(data: Triples, loss: str) -> npt.NDArray[np.float32]:
    """Return the scores as the core wants them: labels 0 and 1 of a loss of signs become -1 and 1."""
    return np.where(data.scores > 0, np.float32(1), np.float32(-1)) if _core.losses[loss] == "signs" else data.scores


def clip_bounds(clip: Any, data: Triples, loss: str) -> tuple[float, float] | None:
    """Return the bounds of predictions."""
    if not isinstance(clip, bool | np.bool_):
        return bounds(clip)
    if not clip:
        return None
    scores = _scores(data, loss)
    return float(scores.min()), float(scores.max())


def train_ratings(
    data: Triples,
    held_out: Triples | None,
    settings: Settings,
    epochs: int,
    init: Model | None,
    *,
    clip: tuple[float, float] | None,
    distinct: bool = True,
) -> tuple[Outcome, _core.Trainer]:
    """Run up to `epochs` of the `settings.epochs` epochs that the step is laid out for.

    Unless the triples are known to be `distinct`, of those of one pair the last one is kept.
    """
    trainer, n_duplicates = _trainer(data, settings), 0
    if not distinct and trainer.repeated:
        del trainer  # before there is another
        data = without_duplicates(data, "last", settings.threads)
        trainer, n_duplicates = _trainer(data, settings), data.n_duplicates
    if init is not None:
        # The old biases stand on the old mean.
        user_biases = init.user_biases + np.float32(init.mean - trainer.mean) if settings.biases else None
        item_biases = init.item_biases if settings.biases else None
        trainer.import_users(np.arange(init.n_users, dtype=np.int32), init.user_rows, user_biases)
        trainer.import_items(np.arange(init.n_items, dtype=np.int32), init.item_rows, item_biases)

    def validation_error(part: Triples) -> float:
        scores = _scores(part, settings.loss)
        if _core.losses[settings.loss] != "ratings":
            return trainer.loss(part.users, part.items, scores, settings.threads) / len(part)
        if clip is None:
            return math.sqrt(trainer.squared_error(part.users, part.items, scores, settings.threads) / len(part))
        users, items, user_biases, item_biases = export(trainer, settings.threads)[:4]
        offsets = trainer.mean + user_biases.astype(np.float64)
        sums = _core.predict_pairs(users, items, offsets, item_biases, part.users, part.items, settings.threads)
        return float(np.sqrt(np.mean((np.clip(sums, *clip).astype(np.float64) - scores) ** 2)))

    validate = None if held_out is None else partial(validation_error, held_out)
    return replace(run(trainer, len(data), validate, settings, epochs), n_duplicates=n_duplicates), trainer


def _trainer(data: Triples, settings: Settings) -> _core.Trainer:
    return _core.Trainer(
        data.users,
        data.items,
        _scores(data, settings.loss),
        data.weights,
        data.n_users,
        data.n_items,
        settings.factors,
        settings.biases,
        settings.loss,
        (settings.user_regularization, settings.item_regularization, settings.bias_regularization),
        (settings.l1_regularization, settings.l1_regularization),
        settings.regularize == "row",
        settings.nonnegative,
        settings.seed,
        settings.blocks or (0, 0),
        settings.threads,
    )
