"""Which settings to try next: successive halving over the number of factors, in brackets that close in on the best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .surrogate import Surrogate

# What candidates are drawn from, those of the first bracket evenly in the logarithm.
RANGES = {"regularization": (0.002, 0.5), "learning_rate": (0.02, 0.3), "epochs": (3, 30)}

FIRST, LATER = 16, 8  # candidates of the first bracket, and of each later one
FEW_FACTORS = 16  # of the first bracket
ELITE = 8  # the best settings, around which later brackets are drawn
WIDER = 1.5  # how far, against their own standard deviation: the best may lie beside them
POOL = 256  # draws, of which the most promising become candidates
SLACK = 1e-4  # variance in all directions that the shape of the elite is given beside its own
FITTED = 100  # the best results, from which is learnt what promises most
PATIENCE, GAIN = 10, 1e-4  # the search ends after so many brackets in a row that gain less, relatively

Settings = dict[str, Any]
Float64 = npt.NDArray[np.float64]


class Result(Protocol):
    """What became of settings."""

    @property
    def settings(self) -> Settings:
        """What was tried."""

    @property
    def error(self) -> float:
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
    best, stalled = math.inf, 0
    while candidates and stalled < PATIENCE:
        rung, rung_factors = candidates, factors
        while True:
            for settings in rung:
                yield {"factors": rung_factors, **settings, **fixed}
            errors = [result.error for result in results[-len(rung) :]]
            if "factors" in fixed or rung_factors == max_factors:
                break
            better = sorted(range(len(rung)), key=errors.__getitem__)[: (len(rung) + 1) // 2]
            rung, rung_factors = [rung[place] for place in better], min(2 * rung_factors, max_factors)
        reached = min(result.error for result in results)
        stalled = stalled + 1 if reached >= best * (1 - GAIN) else 0
        best = min(best, reached)
        candidates = _promising(results, searched, rng, fixed.get("factors", max_factors))
        factors = min(2 * factors, max(FEW_FACTORS, max_factors // 4), max_factors)


def _anywhere(searched: Sequence[str], rng: np.random.Generator) -> list[Settings]:
    """Draw candidates from the ranges, one from each of as many parts of each range (a Latin hypercube)."""
    parts = np.column_stack([rng.permutation(FIRST) for _ in searched])
    return _settings((parts + rng.random(parts.shape)) / FIRST, searched)


def _promising(
    results: Sequence[Result], searched: Sequence[str], rng: np.random.Generator, factors: int
) -> list[Settings]:
    """Draw candidates, and return those that promise most for many factors; nothing where there is no choice."""
    ranked = sorted((result for result in results if result.error < math.inf), key=lambda result: result.error)
    tried = {tuple(result.settings[name] for name in searched): result for result in reversed(ranked)}
    elite = sorted(tried.values(), key=lambda result: result.error)[:ELITE]
    if len(elite) < 2:
        return []
    points = np.array([_place(result.settings, searched) for result in elite])
    centre = points.mean(0)
    shape = np.linalg.cholesky(np.cov(points.T).reshape(len(searched), -1) + SLACK * np.eye(len(searched)))
    drawn = np.clip(centre + WIDER * rng.standard_normal((POOL, len(searched))) @ shape.T, 0, 1)

    fitted = ranked[:FITTED]
    places = np.array([_place(result.settings, searched) for result in fitted])
    sizes = np.array([_size(result.settings["factors"]) for result in fitted])
    errors = np.array([result.error for result in fitted])

    def seen(at: Float64, size: Float64 | float) -> Float64:
        # Settings make up for each other, so the elite lies in a valley: in these coordinates as wide as long.
        return np.column_stack([np.linalg.solve(shape, (at - centre).T).T, np.broadcast_to(size, len(at))])

    # Of the worse half it is enough to know that it is worse.
    surrogate = Surrogate(seen(places, sizes), np.minimum(errors, np.median(errors)))
    asked = seen(drawn, _size(factors))
    best = float(surrogate.expected(seen(places, _size(factors))).min())
    chosen: dict[tuple[float, ...], Settings] = {}
    for _ in range(LATER):
        place = int(np.argmax(surrogate.improvement(asked, best)))
        settings = _settings(drawn[place : place + 1], searched)[0]
        chosen[tuple(settings.values())] = settings
        surrogate.tell(asked[place])
    return [settings for key, settings in chosen.items() if key not in tried]


def _place(settings: Settings, searched: Sequence[str]) -> list[float]:
    """Return where settings lie in their ranges: 0 to 1, evenly in the logarithm."""
    return [
        math.log(settings[name] / RANGES[name][0]) / math.log(RANGES[name][1] / RANGES[name][0]) for name in searched
    ]


def _size(factors: int) -> float:
    """Return a number of factors as a coordinate."""
    return math.log2(factors) / 2


def _settings(places: Float64, searched: Sequence[str]) -> list[Settings]:
    """Return the settings at places, rounded."""
    low, high = np.log([RANGES[name] for name in searched]).T
    rows = [dict(zip(searched, map(float, row), strict=True)) for row in np.exp(low + (high - low) * places)]
    return [
        {name: max(1, round(value)) if name == "epochs" else float(f"{value:.3g}") for name, value in row.items()}
        for row in rows
    ]
