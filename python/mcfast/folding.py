"""Fold-in: the vector of a user or an item that the model was not trained with, out of a few scores.

Users of a model of ranking are folded in by its own loss (`folding_steps`), all else by ridge regression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .folding_steps import descend, is_ranking, positives, tower

if TYPE_CHECKING:
    from .model import Model

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int32]

REGULARIZATION = 0.05  # of a model that does not know its own
LIKED = 1.0  # what a score that was not told lies above that of the average user


class Folded(NamedTuple):
    """A vector and a bias in the space of a model.

    Attributes
    ----------
    vector : numpy.ndarray
        (K,) float32.
    bias : float
    """

    vector: Float32
    bias: float


def fold_user(model: Model, items: Rows, scores: Float64 | None) -> Folded | None:
    """Return the user that fits scores of items, given by row, with the items as they are; see `Model.fold_in`.

    None if there is no positive, under a ranking loss.
    """
    if is_ranking(model.parameters):
        return _ranked_user(model, items, scores)
    sums = None if scores is None else model.scale.sums(scores)
    residuals = above_average(sums, model.mean + model.item_biases[items].astype(np.float64))
    return _ridge(model, model.item_factors[items], residuals)


def fold_item(model: Model, users: Rows, scores: Float64) -> Folded:
    """Return the item that fits scores of users, given by row; as `fold_user`."""
    residuals = model.scale.sums(scores) - model.mean - model.user_biases[users]
    return _ridge(model, model.user_factors[users], residuals)


def above_average(scores: Float64 | None, averages: Float64) -> Float64:
    """Return how far scores lie above the averages of their items; NaN, or None for all, is a score not told."""
    if scores is None:
        return np.full(len(averages), LIKED)
    return np.where(np.isnan(scores), LIKED, scores - averages)


def regularization(parameters: dict[str, object]) -> float:
    """Return the strength that a model was trained with."""
    value = parameters.get("regularization", REGULARIZATION)
    return float(value) if isinstance(value, int | float) else REGULARIZATION


def is_unit(parameters: dict[str, object]) -> bool:
    """Say whether the vectors of a model lie on the unit sphere."""
    return parameters.get("similarity") == "cosine"


def ridge(
    factors: Float32,
    residuals: Float64,
    regularization: float,
    *,
    biased: bool,
    unit: bool = False,
    start: Folded | None = None,
    learned: Float32 | None = None,
) -> Folded:
    """Solve for a vector p and a bias b by ridge regression, in closed form.

    Without `start`, of all p and b the ones that minimise the sum over n residuals r of
    ``(r - b - <p, q>)^2 + regularization (|p|^2 + b^2)``. With it, r are further scores of somebody whose solution
    `start` is, out of scores of the vectors `learned`: then what comes out fits the old and the new scores together.
    The old ones are not needed for that: around its minimum, a sum of squares is known by its vectors alone.

    Parameters
    ----------
    factors : numpy.ndarray
        (n, K) float32: the vectors q.
    residuals : numpy.ndarray
        (n,) float64.
    regularization : float
        Strength, for each score.
    biased : bool
        Whether there is a bias; otherwise it stays what it was at the start.
    unit : bool, default False
        Whether the vector is brought to the unit sphere at the end.
    start : Folded, optional
        The solution so far.
    learned : numpy.ndarray, optional
        (m, K) float32: the vectors it was learned from.

    Returns
    -------
    Folded
    """
    features = _with_ones(factors, biased)
    origin = np.zeros(features.shape[1])
    bias, m = 0.0, 0
    if start is not None and learned is not None and len(learned):
        m = len(learned)
        origin[: len(start.vector)] = start.vector
        if biased:
            origin[-1] = start.bias
        else:
            bias = start.bias
            residuals = residuals - bias
        old = _with_ones(learned, biased)
        features, residuals = np.vstack([old, features]), np.append(old @ origin, residuals)
    # As least squares over more rows, which also has an answer where nothing is regularized.
    n = len(features)
    penalty = np.sqrt(regularization * n) * np.eye(features.shape[1])
    rows, targets = np.vstack([features, penalty]), np.append(residuals, penalty @ origin * (m / n))
    solution = np.linalg.lstsq(rows, targets, rcond=None)[0]
    k = factors.shape[1]
    if unit:
        solution[:k] /= np.linalg.norm(solution[:k]) or 1.0
    return Folded(solution[:k].astype(np.float32), float(solution[-1]) if biased else bias)


def _ranked_user(model: Model, items: Rows, scores: Float64 | None) -> Folded | None:
    parameters = model.parameters
    taken = latest(items[positives(parameters, scores, len(items))])
    if not len(taken):
        return None
    encoder = model.user_encoder
    if encoder is not None and encoder.sums_histories:
        history, k = encoder.history, model.factors
        return Folded(tower(history[0, :k], history[1 + taken[: parameters["history"]], :k], encoder.unit), 0.0)
    negatives = model.negatives.without(taken)
    factors = model.item_factors
    return Folded(descend(parameters, factors[taken], factors[negatives.rows], negatives), 0.0)


def latest(items: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return distinct items, the last one first."""
    return np.array(list(dict.fromkeys(items[::-1].tolist())), items.dtype)


def _ridge(model: Model, factors: Float32, residuals: Float64) -> Folded:
    strength, unit = regularization(model.parameters), is_unit(model.parameters)
    return ridge(factors, residuals, strength, biased=_biased(model), unit=unit)


def _with_ones(factors: Float32, biased: bool) -> Float64:
    features = factors.astype(np.float64)
    return np.column_stack([features, np.ones(len(features))]) if biased else features


def _biased(model: Model) -> bool:
    return bool(model.user_biases.any() or model.item_biases.any())
