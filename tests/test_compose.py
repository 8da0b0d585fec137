"""Composed rows and their gradients, on every instruction set of this machine."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import oracle
from mcfast import _core


@pytest.fixture(autouse=True, scope="module", params=_core.build_info()["isa_available"])
def isa(request):
    before = _core.build_info()["isa"]
    _core.set_isa(request.param)
    yield
    _core.set_isa(before)


@st.composite
def problems(draw):
    """Terms, a table of parameters, and rows to compose of them, some more than once."""
    random = np.random.default_rng(draw(st.integers(0, 2**32), "seed"))
    n_ids, n_values = draw(st.integers(1, 8)), draw(st.integers(0, 9))
    width = draw(st.sampled_from([16, 48, 64, 80]))
    n_terms = random.integers(0, 1 + min(n_values, 5), n_ids)
    parameters = [np.r_[i, n_ids + 1 + random.integers(0, max(n_values, 1), k)] for i, k in enumerate(n_terms)]
    indptr = np.r_[0, np.cumsum(n_terms + 1)].astype(np.int64)
    coefficients = random.normal(size=indptr[-1]).astype(np.float32)
    table = random.normal(size=(n_ids + 1 + n_values, width))
    rows = random.integers(0, n_ids, draw(st.integers(1, 12))).astype(np.int32)
    dropped = random.integers(0, 2, len(rows)).astype(np.uint8) if draw(st.booleans(), "dropped") else None
    unit = draw(st.booleans(), "unit")
    terms = (indptr, np.concatenate(parameters).astype(np.int32), coefficients, n_ids)
    units = draw(st.sampled_from([0, 0, 16, 32, 80]), "units")
    if units:
        tower = random.normal(size=(2 * units + 1 + -(-units // width), width)) / np.sqrt(width)
        table = np.concatenate([table, tower])
    return terms, table, rows, dropped, (unit, units), random


@given(problems(), st.sampled_from([1, 2, 3]))
def test_rows_are_the_oracles(problem, threads):
    terms, table, rows, dropped, shape, _ = problem
    expected = oracle.compose(*terms, table, rows, dropped, *shape)
    got = _core.compose_rows_f64(*terms, table, rows, dropped, *shape, threads)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    single = _core.compose_rows(*terms, table.astype(np.float32), rows, dropped, *shape, threads)
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-4)


@given(problems())
def test_gradients_agree_with_differences(problem):
    terms, table, rows, dropped, shape, random = problem
    unit, units = shape
    if unit and np.linalg.norm(oracle.compose(*terms, table, rows, dropped, False, units), axis=1).min() < 0.3:
        table = table + 2  # far from zero, where the direction changes fast
    if units:  # and no unit where it changes fast
        inputs = oracle.tower(table, units, oracle.compose(*terms, table, rows, dropped, False))[1]
        assume(np.abs(inputs).min() > 1e-3)
    d_block = random.normal(size=(len(rows), table.shape[1]))
    touched, gradients = _core.compose_gradients_f64(*terms, table, rows, dropped, *shape, d_block)
    assert len(set(touched.tolist())) == len(touched)
    for parameter in range(len(table)):
        direction = random.normal(size=table.shape[1])
        step = np.zeros_like(table)
        step[parameter] = 1e-5 * direction
        sides = [(d_block * oracle.compose(*terms, table + x, rows, dropped, *shape)).sum() for x in (step, -step)]
        difference = (sides[0] - sides[1]) / 2e-5
        slope = sum(gradients[touched == parameter] @ direction)
        scale = np.abs(gradients).sum() + 1
        assert slope == pytest.approx(difference, rel=1e-6, abs=1e-9 * scale)
    of_floats, singles = _core.compose_gradients(
        *terms, table.astype(np.float32), rows, dropped, *shape, d_block.astype(np.float32)
    )
    assert of_floats.tolist() == touched.tolist()
    np.testing.assert_allclose(singles, gradients, rtol=1e-3, atol=1e-3)


def test_parameters_come_as_they_are_first_touched():
    indptr = np.array([0, 2, 3, 5])
    parameters, coefficients = np.array([0, 5, 1, 2, 4], np.int32), np.ones(5, np.float32)
    table, d_block = np.ones((6, 16), np.float32), np.ones((3, 16), np.float32)
    rows, dropped = np.array([2, 0, 2], np.int32), np.array([0, 1, 0], np.uint8)
    touched, gradients = _core.compose_gradients(
        indptr, parameters, coefficients, 3, table, rows, dropped, False, 0, d_block
    )
    assert touched.tolist() == [2, 4, 3, 5]
    assert gradients[:, 0].tolist() == [2, 2, 1, 1]


def test_a_row_that_adds_up_to_nothing():
    table = np.zeros((2, 16))
    terms = np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.float32), 1
    rows = np.zeros(1, np.int32)
    assert not _core.compose_rows_f64(*terms, table, rows, None, True, 0, 1).any()
    assert not _core.compose_gradients_f64(*terms, table, rows, None, True, 0, np.ones((1, 16)))[1].any()


def test_threads_do_not_matter():
    random = np.random.default_rng(0)
    indptr = np.arange(0, 3 * 5001, 3)
    parameters, coefficients = random.integers(0, 700, 15000).astype(np.int32), np.ones(15000, np.float32)
    table = random.normal(size=(701, 32)).astype(np.float32)
    rows = random.integers(0, 5000, 5000).astype(np.int32)
    one, *others = (
        _core.compose_rows(indptr, parameters, coefficients, 700, table, rows, None, True, 0, threads)
        for threads in (1, 2, 3, 7)
    )
    assert all(other.tobytes() == one.tobytes() for other in others)
