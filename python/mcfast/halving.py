"""Which settings to try next: successive halving over the number of factors, in brackets that close in on the best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

# What the first bracket draws from, evenly in the logarithm. Later ones may leave it.
RANGES = {"regularization": (0.002, 0.5), "learning_rate": (0.02, 0.3), "epochs": (5, 40)}

CANDIDATES = 16  # of a bracket
FEW_FACTORS = 16  # of the first bracket
ELITE = 8  # the best settings, from which later brackets are drawn
WIDER = 1.25  # their standard deviation against that of the elite: the best may lie beside it
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
        tried = {_key(result.settings, searched) for result in results}
        drawn = {_key(settings, searched): settings for settings in _around(_elite(results, searched), searched, rng)}
        candidates = [settings for key, settings in drawn.items() if key not in tried]
        factors = min(2 * factors, max(FEW_FACTORS, max_factors // CANDIDATES), max_factors)


def _elite(results: Sequence[Result], searched: Sequence[str]) -> list[Result]:
    """Return the best results of different settings, whatever their factors."""
    best: dict[tuple[float, ...], Result] = {}
    for result in sorted(results, key=lambda result: result.rmse):
        best.setdefault(_key(result.settings, searched), result)
    return list(best.values())[:ELITE]


def _key(settings: Settings, searched: Sequence[str]) -> tuple[float, ...]:
    return tuple(settings[name] for name in searched)


def _anywhere(searched: Sequence[str], rng: np.random.Generator) -> list[Settings]:
    """Draw candidates from the ranges, one from each of as many parts of each range (a Latin hypercube)."""
    low, high = np.log([RANGES[name] for name in searched]).T
    parts = np.column_stack([rng.permutation(CANDIDATES) for _ in searched])
    return _settings(low + (high - low) * (parts + rng.random(parts.shape)) / CANDIDATES, searched)


def _around(elite: Sequence[Result], searched: Sequence[str], rng: np.random.Generator) -> list[Settings]:
    """Draw candidates from a normal distribution like that of the elite, but wider; none where it has no width."""
    if len(elite) < 2 or elite[-1].rmse <= elite[0].rmse * (1 + CLOSE):
        return []
    points = np.log([[result.settings[name] for name in searched] for result in elite])
    centre = points.mean(0)
    weights = WIDER * rng.standard_normal((CANDIDATES, len(points))) / math.sqrt(len(points) - 1)
    return _settings(centre + weights @ (points - centre), searched)


def _settings(logarithms: Float64, searched: Sequence[str]) -> list[Settings]:
    rows = [dict(zip(searched, map(float, row), strict=True)) for row in np.exp(logarithms)]
    return [
        {name: max(1, round(value)) if name == "epochs" else float(f"{value:.3g}") for name, value in row.items()}
        for row in rows
    ]
