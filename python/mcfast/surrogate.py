"""A Gaussian process: what settings that were not tried promise, by those that were."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

LENGTHS = (1.0, 2.0, 4.0, 8.0)  # over which errors are alike; the likeliest one is taken
NOISE = (1e-4, 1e-2)  # variance of what no smooth function explains, the errors having variance 1; likewise
ROOT5 = math.sqrt(5)

Float64 = npt.NDArray[np.float64]


class Surrogate:
    """A smooth function through errors, and how sure it is (Gaussian process regression, Matérn 5/2 kernel).

    Parameters
    ----------
    points : numpy.ndarray
        (n, d): settings, in coordinates that matter about equally.
    errors : numpy.ndarray
        (n,) finite numbers.
    """

    def __init__(self, points: Float64, errors: Float64) -> None:
        self._points = points
        self._mean, self._spread = float(errors.mean()), float(errors.std()) or 1.0
        self._values = (errors - self._mean) / self._spread
        options = [(length, noise) for length in LENGTHS for noise in NOISE]
        self._length, self._noise = max(options, key=lambda option: self._likelihood(*option))
        self._inverse = np.linalg.inv(self._cholesky(self._length, self._noise))

    def tell(self, point: Float64) -> None:
        """Add a point as if what is expected there had come true: whatever is near promises less from now on."""
        expected = (self.expected(point[None])[0] - self._mean) / self._spread
        self._points, self._values = np.vstack([self._points, point]), np.append(self._values, expected)
        self._inverse = np.linalg.inv(self._cholesky(self._length, self._noise))

    def expected(self, asked: Float64) -> Float64:
        """Return the errors expected at the rows of `asked`."""
        errors: Float64 = self._mean + self._spread * self._posterior(asked)[0]
        return errors

    def improvement(self, asked: Float64, best: float) -> Float64:
        """Return by how much each row of `asked` is expected to improve on an error, none being less than 0."""
        mean, deviation = self._posterior(asked)
        gain = (best - self._mean) / self._spread - mean
        z = gain / deviation
        density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        below = np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in z])
        improvement: Float64 = self._spread * (gain * below + deviation * density)
        return improvement

    def _posterior(self, asked: Float64) -> tuple[Float64, Float64]:
        near = _matern(asked, self._points, self._length)
        half = self._inverse @ near.T
        mean = half.T @ (self._inverse @ self._values)
        return mean, np.sqrt(np.maximum(1 - (half * half).sum(0), 1e-12))

    def _likelihood(self, length: float, noise: float) -> float:
        """Return the logarithm of the likelihood, up to a constant."""
        factor = self._cholesky(length, noise)
        half = np.linalg.solve(factor, self._values)
        return float(-half @ half / 2 - np.log(np.diag(factor)).sum())

    def _cholesky(self, length: float, noise: float) -> Float64:
        n = len(self._points)
        kernel = _matern(self._points, self._points, length) + noise * np.eye(n)
        return np.linalg.cholesky(kernel).astype(np.float64)


def _matern(a: Float64, b: Float64, length: float) -> Float64:
    distance = ROOT5 / length * np.sqrt(((a[:, None] - b) ** 2).sum(-1))
    kernel: Float64 = (1 + distance + distance * distance / 3) * np.exp(-distance)
    return kernel
