"""Bootstrap intervals of means over users."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def intervals(values: Doubles, level: float, resamples: int, seed: int) -> Doubles:
    """Return percentile intervals of means.

    Users are drawn with replacement, as many as there are, `resamples` times; the mean of each column is taken over the
    drawn users that have a value.

    Parameters
    ----------
    values : numpy.ndarray
        (n_users, n_columns); NaN where a user has no value.
    level : float
        How much of the resampled means an interval holds, in 0..1.
    resamples : int
        How often users are drawn.
    seed : int
        Of the draws, which are the same for all columns.

    Returns
    -------
    numpy.ndarray
        (2, n_columns): low and high; NaN without users.
    """
    n = len(values)
    if not n:
        return np.full((2, values.shape[1]), np.nan)
    there = ~np.isnan(values)
    filled, present = np.where(there, values, 0.0), there.astype(np.float64)
    random = np.random.default_rng(seed)
    means = np.full((resamples, values.shape[1]), np.nan)
    for r in range(resamples):
        times = np.bincount(random.integers(0, n, n), minlength=n).astype(np.float64)
        # Not by BLAS, whose sums depend on its threads.
        total, summed = (np.einsum("u,uc->c", times, of) for of in (present, filled))
        np.divide(summed, total, out=means[r], where=total > 0)
    tail = (1 - level) / 2
    out = np.full((2, values.shape[1]), np.nan)
    some = ~np.isnan(means).all(axis=0)
    out[:, some] = np.nanquantile(means[:, some], [tail, 1 - tail], axis=0)
    return out
