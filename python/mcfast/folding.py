"""Fold-in: the vector of a user or an item that the model was not trained with, out of a few scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .model import Model

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int32]

REGULARIZATION = 0.05  # of a model that does not know its own


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


def fold_user(model: Model, items: Rows, scores: Float64) -> Folded:
    """Return the user that fits scores of items, given by row, with the items as they are.

    Of all vectors p and biases b the ones that minimise the sum over the n scores y of
    ``(y - mean - b_i - b - <p, q_i>)^2 + regularization (|p|^2 + b^2)``: ridge regression, in closed form.
    """
    return _ridge(model.item_factors[items], scores - model.mean - model.item_biases[items], model)


def fold_item(model: Model, users: Rows, scores: Float64) -> Folded:
    """Return the item that fits scores of users, given by row; as `fold_user`."""
    return _ridge(model.user_factors[users], scores - model.mean - model.user_biases[users], model)


def _ridge(factors: Float32, residuals: Float64, model: Model) -> Folded:
    features = factors.astype(np.float64)
    biased = bool(model.user_biases.any() or model.item_biases.any())
    if biased:
        features = np.column_stack([features, np.ones(len(features))])
    strength = float(model.parameters.get("regularization", REGULARIZATION)) * len(features)
    # As least squares over more rows, which also has an answer where nothing is regularized.
    penalty = np.sqrt(strength) * np.eye(features.shape[1])
    solution = np.linalg.lstsq(
        np.vstack([features, penalty]), np.append(residuals, np.zeros(len(penalty))), rcond=None
    )[0]
    return Folded(solution[: model.factors].astype(np.float32), float(solution[-1]) if biased else 0.0)
