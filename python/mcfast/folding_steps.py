"""Fold-in under a ranking loss: a few steps along the gradient of that loss, with the items as they are.

What was taken is set against the items that negatives come from in training: each once, weighted by how often it would
be drawn, or, of a large catalogue, a sample that the seed alone decides. So one list of items gives one vector, always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Parameters = Mapping[str, Any]

SAMPLE = 4096  # negatives that a large catalogue is represented by
STEPS = 32
STEP = 0.5  # how far an entry may move in the first step, of the root mean square of the entries at the start

_Slopes = Callable[[Float64, Float64, Float64, Parameters], tuple[Float64, Float64]]


@dataclass(frozen=True)
class Negatives:
    """Items that stand for all, and how often each of them would be drawn for a positive in training.

    Attributes
    ----------
    rows : numpy.ndarray
        int64, shape (m,), distinct and ascending.
    drawn : numpy.ndarray
        (m,) float64: expected number of draws.
    corrections : numpy.ndarray
        (m,) float64: what is taken off their scores.
    """

    rows: Int64
    drawn: Float64
    corrections: Float64

    @classmethod
    def of(cls, parameters: Parameters, counts: Int64) -> Negatives:
        """Return those of a model, whose items were met by so many users.

        Hard negatives, which only training knows, count as uniform ones.
        """
        n = len(counts)
        everything = "all" in parameters["negatives"]
        n_negatives = n if everything else parameters["n_negatives"]
        expected = np.zeros(n)
        for source, share in parameters["negatives"].items():
            exponent = {"popularity": parameters["popularity_exponent"], "in-batch": 1.0}.get(source, 0.0)
            weights = np.where(counts > 0, np.maximum(counts, 1.0) ** exponent, 0.0 if exponent else 1.0)
            expected += share * n_negatives * weights / (weights.sum() or 1.0)
        rows = np.flatnonzero(expected)
        drawn = expected[rows]
        if len(rows) > SAMPLE:
            random = np.random.default_rng(parameters["seed"])
            rows, times = np.unique(random.choice(rows, SAMPLE, p=drawn / drawn.sum()), return_counts=True)
            drawn = times * (n_negatives / SAMPLE)
        logq = 0.0 if everything else 1.0 if parameters["logq"] == "corrected" else float(parameters["logq"])
        return cls(rows, drawn, logq * np.log(expected[rows]))

    def without(self, rows: npt.NDArray[Any]) -> Negatives:
        """Return all but some rows."""
        kept = ~np.isin(self.rows, rows)
        return Negatives(self.rows[kept], self.drawn[kept], self.corrections[kept])


def tower(base: Float32, items: Float32, unit: bool) -> Float32:
    """Return the vector of a history: `base`, and the sum of the rows of its items divided by the root of their number.

    Parameters
    ----------
    base : numpy.ndarray
        (K,) float32: what stands in the place of an id.
    items : numpy.ndarray
        (n, K) float32, n at least 1.
    unit : bool
        Whether it is brought to length 1.
    """
    p = base.astype(np.float64) + items.sum(axis=0, dtype=np.float64) / np.sqrt(len(items))
    return (_unit(p) if unit else p).astype(np.float32)


def is_ranking(parameters: Parameters) -> bool:
    """Say whether a model was trained under a ranking loss."""
    return "negatives" in parameters


def positives(parameters: Parameters, scores: Float64 | None, n: int) -> npt.NDArray[np.bool_]:
    """Return which of n scores are positives; None for all, or NaN for one, is a score not told: liked."""
    if scores is None:
        return np.ones(n, np.bool_)
    least = parameters["positive"]
    found: npt.NDArray[np.bool_] = np.isnan(scores) | (scores > 0 if least is None else scores >= least)
    return found


def descend(
    parameters: Parameters, taken: Float32, others: Float32, negatives: Negatives, start: Float32 | None = None
) -> Float32:
    """Return the vector of a user after a few steps.

    Parameters
    ----------
    parameters : mapping
        Of the model.
    taken : numpy.ndarray
        (n, K) float32: vectors of the items taken, n at least 1.
    others : numpy.ndarray
        (m, K) float32: vectors of the negatives.
    negatives : Negatives
        The m items.
    start : numpy.ndarray, optional
        (K,) where to start; by default the mean of `taken`.

    Returns
    -------
    numpy.ndarray
        (K,) float32, of length 1 under cosine.
    """
    unit = parameters["similarity"] == "cosine"
    temperature = float(parameters.get("learnt_temperature") or parameters["temperature"])
    strength = 0.0 if unit else float(parameters.get("user_regularization") or 0.0)
    slopes = SLOPES[parameters["loss"]]
    taken, others = taken.astype(np.float64), others.astype(np.float64)
    p = taken.mean(axis=0) if start is None else start.astype(np.float64)
    p = _unit(p) if unit else p
    size = STEP * np.sqrt(np.mean(p * p))
    squares = 0.0
    for step in range(STEPS):
        mine, theirs = slopes(
            taken @ p / temperature, others @ p / temperature - negatives.corrections, negatives.drawn, parameters
        )
        gradient = (mine @ taken + theirs @ others) / temperature + strength * p
        if unit:
            gradient -= (gradient @ p) * p
        squares += float(np.mean(gradient * gradient))
        if not squares:
            break
        p = p - size * (1 - step / STEPS) / np.sqrt(squares) * gradient
        p = _unit(p) if unit else p
    return p.astype(np.float32)


def _unit(p: Float64) -> Float64:
    return p / (np.linalg.norm(p) or 1.0)


# Derivatives of the mean loss of the positives by the scores z of positives and x of negatives, which count w times.


def _softmax(z: Float64, x: Float64, w: Float64, _: Parameters) -> tuple[Float64, Float64]:
    most = max(z.max(), x.max(initial=-np.inf))
    own, others = np.exp(z - most), w * np.exp(x - most)
    totals = own + others.sum()
    return (own / totals - 1) / len(z), others * np.mean(1 / totals)


def _bsl(z: Float64, x: Float64, w: Float64, parameters: Parameters) -> tuple[Float64, Float64]:
    others = w * np.exp(x - x.max(initial=-np.inf))
    return np.full(len(z), -1 / len(z)), parameters["negative_weight"] * others / (others.sum() or 1.0)


def _bpr(z: Float64, x: Float64, w: Float64, _: Parameters) -> tuple[Float64, Float64]:
    return _by_pairs(_sigmoid(x - z[:, None]), w)


def _pairwise_hinge(z: Float64, x: Float64, w: Float64, parameters: Parameters) -> tuple[Float64, Float64]:
    return _by_pairs((x - z[:, None] + parameters["margin"] > 0).astype(np.float64), w)


def _logistic(z: Float64, x: Float64, w: Float64, parameters: Parameters) -> tuple[Float64, Float64]:
    return -_sigmoid(-z) / len(z), parameters["negative_weight"] * _shares(w) * _sigmoid(x)


def _ccl(z: Float64, x: Float64, w: Float64, parameters: Parameters) -> tuple[Float64, Float64]:
    theirs = parameters["negative_weight"] * _shares(w) * (x > parameters["margin"])
    return np.full(len(z), -1 / len(z)), theirs


SLOPES: dict[str, _Slopes] = {
    "softmax": _softmax,
    "bsl": _bsl,
    "bpr": _bpr,
    "pairwise-hinge": _pairwise_hinge,
    "logistic": _logistic,
    "ccl": _ccl,
}


def _by_pairs(slopes: Float64, w: Float64) -> tuple[Float64, Float64]:
    weighted = slopes * _shares(w) / len(slopes)
    return -weighted.sum(axis=1), weighted.sum(axis=0)


def _shares(w: Float64) -> Float64:
    shares: Float64 = w / (w.sum() or 1.0)
    return shares


def _sigmoid(x: Float64) -> Float64:
    values: Float64 = 0.5 + 0.5 * np.tanh(0.5 * x)  # which cannot overflow
    return values
