"""Which settings to try next: successive halving over the number of factors, in brackets that close in on the best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

# What candidates are drawn from, those of the first bracket evenly in the logarithm.
RANGES = {"regularization": (0.002, 0.5), "learning_rate": (0.02, 0.3), "epochs": (3, 30)}

FIRST, LATER = 16, 8  # candidates of the first bracket, and of each later one
FEW_FACTORS = 16  # of the first bracket
ELITE = 8  # the best settings, around which later brackets are drawn
WIDER = 1.5  # how far, against their own standard deviation: the best may lie beside them
POOL = 64  # draws, of which the most promising become candidates
FITTED = 30  # the best results, to which the surface is fitted that tells what promises most
SHRINK = 0.003  # holds the surface down where there are few results; small against errors of the order of 1
CLOSE = 1e-4  # the search ends where the errors of the elite differ less, relatively

Settings = dict[str, Any]
Float64 = npt.NDArray[np.float64]


class Result(Protocol):
    """What became of settings."""

    @property
    def settings(self) -> Settings:
        """What was tried."""

    @property
    def rmse(self) -> float:
        """Its error."""


def proposals(
    results: Sequence[Result], defaults: Settings, fixed: Mapping[str, Any], max_factors: int, seed: int
) -> Iterator[Settings]:
    """Yield settings to try.

    Parameters
    ----------
    results : sequence of Result
        Must have grown by what became of one proposal before the next is asked for.
    defaults : dict
        Values of factors, regularization, learning_rate and epochs: tried first.
    fixed : mapping
        Takes the place of what is proposed.
    max_factors : int
        Where the number of factors stops growing.
    seed : int
        Of the draws.

    Yields
    ------
    dict
        Values of factors, regularization, learning_rate and epochs, and everything that is fixed.
    """
    yield {**defaults, "factors": min(defaults["factors"], max_factors), **fixed}
    if fixed.keys() >= defaults.keys():
        return
    searched = [name for name in RANGES if name not in fixed]
    rng = np.random.default_rng(seed)
    factors = min(FEW_FACTORS, max_factors)
    candidates = _anywhere(searched, rng) if searched else [{}]
    while candidates:
        rung, rung_factors = candidates, factors
        while True:
            for settings in rung:
                yield {"factors": rung_factors, **settings, **fixed}
            errors = [result.rmse for result in results[-len(rung) :]]
            if "factors" in fixed or rung_factors == max_factors:
                break
            better = sorted(range(len(rung)), key=errors.__getitem__)[: (len(rung) + 1) // 2]
            rung, rung_factors = [rung[place] for place in better], min(2 * rung_factors, max_factors)
        candidates = _promising(results, searched, rng, fixed.get("factors", max_factors))
        factors = min(2 * factors, max(FEW_FACTORS, max_factors // 4), max_factors)


def _anywhere(searched: Sequence[str], rng: np.random.Generator) -> list[Settings]:
    """Draw candidates from the ranges, one from each of as many parts of each range (a Latin hypercube)."""
    low, high = np.log([RANGES[name] for name in searched]).T
    parts = np.column_stack([rng.permutation(FIRST) for _ in searched])
    return _settings(low + (high - low) * (parts + rng.random(parts.shape)) / FIRST, searched)


def _promising(
    results: Sequence[Result], searched: Sequence[str], rng: np.random.Generator, factors: int
) -> list[Settings]:
    """Draw around the elite, and return what is new and promises most for many factors; nothing where all are alike."""
    ranked = sorted((result for result in results if result.rmse < math.inf), key=lambda result: result.rmse)
    tried = {tuple(result.settings[name] for name in searched): result for result in reversed(ranked)}
    elite = sorted(tried.values(), key=lambda result: result.rmse)[:ELITE]
    if len(elite) < 2 or elite[-1].rmse <= elite[0].rmse * (1 + CLOSE):
        return []
    points = np.log([[result.settings[name] for name in searched] for result in elite])
    centre = points.mean(0)
    weights = WIDER * rng.standard_normal((POOL, len(elite))) / math.sqrt(len(elite) - 1)
    drawn = centre + weights @ (points - centre)  # normal, with the mean and the shape of the elite
    drawn = np.clip(drawn, *np.log([RANGES[name] for name in searched]).T)

    fitted = ranked[:FITTED]
    known = np.log([[*(result.settings[name] for name in searched), result.settings["factors"]] for result in fitted])
    errors = np.array([result.rmse for result in fitted])
    asked = np.column_stack([drawn, np.full(POOL, math.log(factors))])
    order = np.argsort(_surface(known, errors - errors[0], asked), kind="stable")
    new = {tuple(settings.values()): settings for settings in _settings(drawn[order], searched)}
    return [settings for key, settings in new.items() if key not in tried][:LATER]


def _surface(known: Float64, values: Float64, asked: Float64) -> Float64:
    """Return the values at the rows of `asked` of the quadratic function fitted to those at the rows of `known`."""
    centre, spread = known.mean(0), known.std(0) + 1e-3

    def terms(points: Float64) -> Float64:
        x = (points - centre) / spread
        i, j = np.triu_indices(x.shape[1])
        return np.column_stack([np.ones(len(x)), x, x[:, i] * x[:, j]])

    matrix = terms(known)
    ridge = SHRINK * np.eye(matrix.shape[1])[1:]
    left, right = np.vstack([matrix, ridge]), np.concatenate([values, np.zeros(len(ridge))])
    prediction: Float64 = terms(asked) @ np.linalg.lstsq(left, right, rcond=None)[0]
    return prediction


def _settings(logarithms: Float64, searched: Sequence[str]) -> list[Settings]:
    rows = [dict(zip(searched, map(float, row), strict=True)) for row in np.exp(logarithms)]
    return [
        {name: max(1, round(value)) if name == "epochs" else float(f"{value:.3g}") for name, value in row.items()}
        for row in rows
    ]
