"""`tune`: settings for `fit` that a validation part likes best, found within a budget of time or of trials."""

from __future__ import annotations

import inspect
import math
import re
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from . import _core, checks
from .data.triples import Triples, as_triples
from .epochs import Epoch
from .errors import DivergenceError
from .halving import RANGES, proposals
from .model import Model
from .partition import split_fraction
from .progress import bar
from .training import RANKING, fit, validation_name

DEFAULTS = {"factors": 64, **{name: inspect.signature(fit).parameters[name].default for name in RANGES}}
# What `fit` is told by `tune`, and what is of ranking losses, for which there is no search.
OWN = {"triples", "validation", "patience", "refit", "init", "callback", "progress", *RANKING}
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Trial:
    """One fit to the training part.

    Attributes
    ----------
    number : int
        From 1.
    settings : dict
        Its factors, regularization, learning_rate and epochs, and what was fixed.
    error : float
        On the validation part, after the last epoch: RMSE for losses of ratings, else the mean loss; infinite where
        training diverged.
    seconds : float
        What it took.
    """

    number: int
    settings: dict[str, Any]
    error: float
    seconds: float


@dataclass(frozen=True)
class Tuning:
    """What `tune` found.

    Attributes
    ----------
    model : Model
        Fitted to everything with `settings`; after Ctrl-C that of the best trial, fitted to the training part alone.
    settings : dict
        Arguments of `mcfast.fit`: ``fit(triples, **settings)`` gives the same model, bit for bit.
    trials : list of Trial
        All that were made, in order.
    best : Trial
        The one with the smallest error.
    interrupted : bool
        Whether Ctrl-C ended the search.
    """

    model: Model
    settings: dict[str, Any]
    trials: list[Trial]
    best: Trial
    interrupted: bool


def tune(
    triples: Any,
    budget: str | float = "60s",
    *,
    validation: float | Any = 0.05,
    max_factors: int = 512,
    callback: Callable[[Trial], Any] | None = None,
    progress: bool | None = None,
    seed: int = 0,
    threads: int | None = None,
    **fixed: Any,
) -> Tuning:
    """Find settings for `fit` on a validation part, then fit a model to everything with them.

    It searches over `factors`, `regularization`, `learning_rate` and `epochs`, except those that are given.

    Parameters
    ----------
    triples : Triples, tuple of arrays, (n, 3) array, table or path
        Users, items and scores: see `mcfast.data.triples.as_triples`.
    budget : str or float, default "60s"
        Time for everything, the last fit included: "90s", "5m", "1h" or a number of seconds. Or "40 trials": then every
        run gives the same bits. At least one trial is made; the search ends before its budget when it has narrowed
        down to nothing.
    validation : float or like `triples`, default 0.05
        A fraction in (0, 1) drawn by `seed`, or data of its own.
    max_factors : int, default 512
        Where the number of factors stops growing, 1..1024. More of them cost time and memory in use, too.
    callback : callable, optional
        Called after each trial with a `Trial`; returning True ends the search there.
    progress : bool, optional
        Show a progress bar; by default on a terminal, after two seconds.
    seed : int, default 0
        Of everything random, 0..2^64 - 1.
    threads : int, optional
        By default all the process may use. Has no influence on the result of a trial.
    **fixed
        Arguments of `mcfast.fit` for every trial: ``biases=False``, say, or ``factors=64`` to search for the others.
        None of ranking losses.

    Returns
    -------
    Tuning
        Ctrl-C ends the search with the best trial so far, or goes through if there is none.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or unknown, or the data is empty, not finite, or of a wrong type.
    DivergenceError
        No trial stayed finite.

    Notes
    -----
    The first trial has the defaults of `fit`. What follows is successive halving [1]_ over the number of factors, since
    few factors cost little and like nearly the same settings as many: of a bracket of candidates the better half goes
    on with twice the factors, and so on. The first bracket is drawn from wide ranges. For later ones many candidates
    are drawn around the best settings so far, and those are tried of which a Gaussian process, fitted to the best
    results, expects most with many factors [2]_. A trial counts by the error after its last epoch, so that the number
    of epochs and the schedule of the step are tried as they will be used.

    .. [1] Jamieson, Talwalkar: "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016.
    .. [2] Jones, Schonlau, Welch: "Efficient global optimization of expensive black-box functions", Journal of Global
       Optimization 13, 1998.

    Examples
    --------
    >>> import mcfast
    >>> data = ["ann", "ann", "bob", "bob"], ["tea", "jam", "tea", "jam"], [5, 3, 4, 2]
    >>> found = mcfast.tune(data, "3 trials", validation=0.25, factors=2)
    >>> len(found.trials), found.settings["factors"]
    (3, 2)
    """
    seconds, most = _budget(budget)
    deadline = time.perf_counter() + seconds
    max_factors = checks.integer(max_factors, "max_factors", 1, 1024)
    seed = checks.integer(seed, "seed", 0, 2**64 - 1)
    if callback is not None and not callable(callback):
        raise TypeError(checks.message("callback", callback, "a function of a Trial"))
    _check_names(fixed)
    data = as_triples(triples, threads=checks.thread_count(threads))
    train, held_out, everything = _parts(data, validation, seed)
    search = _Search(train, held_out, {"seed": seed, "threads": threads}, deadline, len(everything) / len(train))
    measure = validation_name(checks.choice(fixed.get("loss", "squared"), "loss", _core.losses))
    label = measure.replace("_", " ").replace("rmse", "RMSE")
    interrupted = False
    timed = most is None
    with bar(most or seconds, "tune", show=progress, unit="s" if timed else "trial") as shown:
        try:
            for settings in proposals(search.trials, DEFAULTS, fixed, max_factors, seed):
                if not search.attempt(settings):
                    break
                shown.update(seconds - (deadline - time.perf_counter()) - shown.n if timed else 1)
                shown.set_postfix_str(f"{label} {search.best.error:.4f}" if search.best else "diverged")
                stop = callback(search.trials[-1]) if callback is not None else None
                if len(search.trials) == most or (isinstance(stop, bool | np.bool_) and stop):
                    break
            if search.best is not None:
                search.model = _fit(everything, {**search.best.settings, "seed": seed, "threads": threads})
        except KeyboardInterrupt:
            if search.best is None:
                raise
            interrupted = True
    best, model = search.best, search.model
    if best is None or model is None:
        raise DivergenceError("no trial stayed finite: check the data, or give a lower learning_rate")
    if interrupted:
        text = f"interrupted: the model is that of trial {best.number}, fitted to the training part alone"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    model.metrics[measure] = best.error
    return Tuning(model, {**best.settings, "seed": seed}, search.trials, best, interrupted)


class _Search:
    """The trials so far, the best of them, and its model."""

    def __init__(
        self, train: Triples, held_out: Triples, common: dict[str, Any], deadline: float, growth: float
    ) -> None:
        self._train, self._held_out, self._common = train, held_out, common
        self._deadline, self._growth = deadline, growth
        self.trials: list[Trial] = []
        self.best: Trial | None = None
        self.model: Model | None = None

    def attempt(self, settings: dict[str, Any]) -> bool:
        """Make a trial; return whether there was time for it, and for a last fit to everything."""
        start = time.perf_counter()

        def late(epoch: Epoch) -> bool:
            if self.best is None:  # one trial there must be
                return False
            whole = (time.perf_counter() - start) * settings["epochs"] / epoch.number
            return bool(start + whole + self._growth * max(whole, self.best.seconds) > self._deadline)

        model, error = None, math.inf
        with suppress(DivergenceError):
            options = {**settings, **self._common, "validation": self._held_out, "callback": late}
            model = _fit(self._train, {**options, "patience": None, "refit": False})
            if len(model.history) < settings["epochs"]:
                return False
            error = float(model.history[-1]["validation"])
        trial = Trial(len(self.trials) + 1, settings, error, time.perf_counter() - start)
        self.trials.append(trial)
        if model is not None and (self.best is None or error < self.best.error):
            self.best, self.model = trial, model
        return True


def _fit(triples: Triples, options: dict[str, Any]) -> Model:
    """Fit; Ctrl-C goes through even where it leaves a model."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "interrupted", RuntimeWarning)
        model = fit(triples, progress=False, **options)
    if model.interrupted:
        raise KeyboardInterrupt
    return model


def _budget(budget: object) -> tuple[float, int | None]:
    """Return the seconds, and the number of trials; of which one is no limit."""
    if not isinstance(budget, str):
        return checks.real(budget, "budget", 0, above=True), None
    if match := re.fullmatch(r"([0-9]+) trials?", budget):
        return math.inf, checks.integer(int(match[1]), "budget", 1)
    if match := re.fullmatch(r"([0-9.]+) ?([smh]?)", budget):
        with suppress(ValueError):  # of more than one point
            return checks.real(float(match[1]) * UNITS[match[2]], "budget", 0, above=True), None
    raise ValueError(checks.message("budget", repr(budget), '"90s", "5m", "1h", a number of seconds, or "40 trials"'))


def _check_names(fixed: dict[str, Any]) -> None:
    names = inspect.signature(fit).parameters.keys() - OWN
    if unknown := sorted(fixed.keys() - names):
        expected = "an argument of tune, or of fit one of " + ", ".join(sorted(names))
        raise TypeError(checks.message("tune", f"an argument {unknown[0]}", expected))


def _parts(data: Triples, validation: Any, seed: int) -> tuple[Triples, Triples, Triples]:
    """Return what to train on, what to validate on, and both together."""
    if not isinstance(validation, Real):
        held_out = as_triples(validation, name="validation")
        return data, held_out, data.concatenate(held_out)
    return *split_fraction(data, validation, seed), data
