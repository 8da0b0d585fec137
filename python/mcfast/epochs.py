"""The loop over epochs: the step size, the best epoch, divergence and Ctrl-C. The epochs themselves run in the core."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from .errors import DivergenceError
from .progress import bar

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Epoch:
    """What one epoch brought.

    Attributes
    ----------
    number : int
        From 1.
    loss : float
        Mean training loss, each triple's before its step: for squared loss half the squared error, without the
        penalty.
    validation : float or None
        On the validation part: RMSE for losses of ratings, NDCG@20 for ranking losses, else the mean loss.
    seconds : float
        Time of the training pass alone.
    learning_rate : float
        The step size it was run with.
    """

    number: int
    loss: float
    validation: float | None
    seconds: float
    learning_rate: float


@dataclass(frozen=True)
class Settings:
    """What `mcfast.fit` was asked for, checked."""

    factors: int
    epochs: int
    regularization: float
    user_regularization: float
    item_regularization: float
    bias_regularization: float
    l1_regularization: float
    regularize: str
    nonnegative: bool
    learning_rate: float
    biases: bool
    loss: str
    patience: int | None
    blocks: tuple[int, int] | None
    seed: int
    threads: int
    progress: bool | None
    callback: Callable[[Epoch], Any] | None


class Learnt(NamedTuple):
    """Padded factors and biases, in row order, and the parameters that factors are composed of, if they are."""

    user_rows: Float32
    item_rows: Float32
    user_biases: Float32
    item_biases: Float32
    user_parameters: Float32 | None = None
    item_parameters: Float32 | None = None

    def rows(self) -> dict[str, Any]:
        """Return what a model holds of each row, by its name there."""
        return {name: getattr(self, name) for name in ("user_rows", "item_rows", "user_biases", "item_biases")}


@dataclass(frozen=True)
class Outcome:
    """What was learnt by the best epoch (the last one, without validation), and how training went."""

    learnt: Learnt
    history: list[Epoch]
    best: int
    interrupted: bool
    n_duplicates: int = 0  # triples that were merged before training


def run(
    trainer: _core.Trainer | _core.RankingTrainer,
    n: int,
    validate: Callable[[], float] | None,
    settings: Settings,
    epochs: int,
    *,
    higher_is_better: bool = False,
) -> Outcome:
    """Run up to `epochs` of the `settings.epochs` epochs that the step is laid out for.

    Parameters
    ----------
    trainer : _core.Trainer or _core.RankingTrainer
        In its initial state.
    n : int
        Its number of triples.
    validate : callable or None
        Returns the measure on the validation part as the trainer stands: an error, unless `higher_is_better`.
    settings : Settings
        Of the training.
    epochs : int
        Where to end.

    Returns
    -------
    Outcome

    Raises
    ------
    DivergenceError
        An epoch did not stay finite, at half the step neither.
    KeyboardInterrupt
        Ctrl-C came before an epoch was whole.
    """
    history: list[Epoch] = []
    sign = -1 if higher_is_better else 1
    best: tuple[int, Learnt] | None = None  # with validation, since a later epoch may turn out worse
    saved, interrupted, halved = -1, False, 1.0
    with bar(epochs * n, "fit", show=settings.progress, unit="triple") as shown:
        try:
            while len(history) < epochs:
                number = len(history) + 1
                trainer.checkpoint(settings.threads)
                saved = len(history)
                loss, rate, seconds, halved = _epoch(trainer, number, n, halved, settings, shown)
                score = validate() if validate else None
                history.append(Epoch(number, loss, score, seconds, rate))
                shown.set_postfix_str(f"loss {loss:.4f}" + ("" if score is None else f", validation {score:.4f}"))
                if score is not None and (best is None or sign * score < sign * _validation(history[best[0] - 1])):
                    best = number, export(trainer, settings.threads)
                stop = settings.callback(history[-1]) if settings.callback is not None else None
                if isinstance(stop, bool | np.bool_) and stop:
                    break
                if best is not None and settings.patience is not None and number - best[0] >= settings.patience:
                    break
        except KeyboardInterrupt:
            if not history:
                raise
            interrupted = True
            if saved == len(history):  # in the middle of an epoch
                trainer.restore(settings.threads)
    trainer.drop_checkpoint()  # before the export takes as much memory
    number, learnt = best or (len(history), export(trainer, settings.threads))
    if interrupted:
        warnings.warn(f"interrupted: the model is that of epoch {number}", RuntimeWarning, stacklevel=4)
    return Outcome(learnt, history, number, interrupted)


def _validation(epoch: Epoch) -> float:
    return math.inf if epoch.validation is None else epoch.validation


def export(trainer: _core.Trainer | _core.RankingTrainer, threads: int) -> Learnt:
    """Return the state of a trainer in row order and in the units of the scores."""
    users, items = trainer.n_users, trainer.n_items
    learnt = Learnt(
        np.empty((users, trainer.width), np.float32),
        np.empty((items, trainer.width), np.float32),
        np.empty(users, np.float32),
        np.empty(items, np.float32),
    )
    trainer.export_users(learnt.user_rows, learnt.user_biases, threads)
    trainer.export_items(learnt.item_rows, learnt.item_biases, threads)
    if isinstance(trainer, _core.Trainer):
        return learnt
    return learnt._replace(user_parameters=trainer.user_parameters(), item_parameters=trainer.item_parameters())


def _epoch(
    trainer: _core.Trainer | _core.RankingTrainer, number: int, n: int, halved: float, settings: Settings, shown: Any
) -> tuple[float, float, float, float]:
    """Run one epoch; where it diverges, once more from its start at half the step, which then stays halved."""

    def progress(done: int) -> None:
        shown.update((number - 1) * n + done - shown.n)

    for factor in (halved, halved / 2):
        rate = settings.learning_rate * factor * (1 - (number - 1) / settings.epochs)
        start = time.perf_counter()
        loss = trainer.epoch(number, rate, settings.threads, progress)
        seconds = time.perf_counter() - start
        if math.isfinite(loss):
            progress(n)
            return loss, rate, seconds, factor
        trainer.restore(settings.threads)
        progress(0)
    raise DivergenceError(
        f"training diverged in epoch {number}, at half the step as well: lower learning_rate (got "
        f"{settings.learning_rate:g}) or {'lower' if settings.regularization > 1 else 'raise'} regularization (got "
        f"{settings.regularization:g})"
    )
