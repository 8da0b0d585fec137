"""The Gaussian process of `tune` against its definition in plain NumPy."""

import numpy as np
import pytest

from mcfast.surrogate import LENGTHS, NOISE, Surrogate


def smooth(x):
    return 0.8 + 0.1 * np.sin(2 * x[:, 0]) * np.cos(x[:, 1])


@pytest.fixture
def told():
    rng = np.random.default_rng(0)
    points = rng.uniform(-2, 2, (60, 2))
    return points, smooth(points)


def plain(points, errors, asked, length, noise):
    """Mean and deviation of the posterior, as textbooks give them, and the log likelihood."""

    def kernel(a, b):
        r = np.sqrt(5) * np.linalg.norm(a[:, None] - b, axis=-1) / length
        return (1 + r + r**2 / 3) * np.exp(-r)

    y = (errors - errors.mean()) / errors.std()
    covariance = kernel(points, points) + noise * np.eye(len(points))
    near = kernel(asked, points) @ np.linalg.inv(covariance)
    variance = 1 - np.einsum("mn,mn->m", near, kernel(asked, points))
    fit = -y @ np.linalg.inv(covariance) @ y / 2 - np.linalg.slogdet(covariance)[1] / 2
    return errors.mean() + errors.std() * near @ y, errors.std() * np.sqrt(variance), fit


def likeliest(points, errors, asked):
    options = [(length, noise) for length in LENGTHS for noise in NOISE]
    return max((plain(points, errors, asked, *option) for option in options), key=lambda found: found[2])


def test_what_is_expected_is_the_posterior_mean(told):
    asked = np.random.default_rng(1).uniform(-2, 2, (20, 2))
    mean, *_ = likeliest(*told, asked)
    expected = Surrogate(*told).expected(asked)
    np.testing.assert_allclose(expected, mean, atol=1e-6)
    np.testing.assert_allclose(expected, smooth(asked), atol=0.02)


def test_improvement_is_what_draws_of_the_posterior_improve_on_average(told):
    rng = np.random.default_rng(2)
    asked = rng.uniform(-3, 3, (12, 2))
    mean, deviation, _ = likeliest(*told, asked)
    best = 0.75
    draws = mean[:, None] + deviation[:, None] * rng.standard_normal((12, 200_000))
    expected = np.maximum(best - draws, 0).mean(1)
    np.testing.assert_allclose(Surrogate(*told).improvement(asked, best), expected, rtol=0.05, atol=2e-5)


def test_what_was_told_promises_less(told):
    surrogate = Surrogate(*told)
    asked = np.array([[3.0, 3.0], [3.1, 3.0], [-9.0, 9.0]])
    before, expected = surrogate.improvement(asked, 0.75), surrogate.expected(asked)
    surrogate.tell(asked[0])
    after = surrogate.improvement(asked, 0.75)
    assert after[0] < 0.1 * before[0]
    assert after[1] < before[1]
    assert after[2] == pytest.approx(before[2], rel=0.05)
    np.testing.assert_allclose(surrogate.expected(asked), expected, atol=1e-6)


def test_errors_that_are_all_the_same_are_no_trouble():
    surrogate = Surrogate(np.arange(6.0).reshape(3, 2), np.full(3, 0.9))
    np.testing.assert_allclose(surrogate.expected(np.zeros((1, 2))), 0.9)
