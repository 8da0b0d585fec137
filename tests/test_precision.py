"""Vectors rounded to float16: exact answers about the rounded ones, near those about the others, in less memory."""

import numpy as np
import pytest

import oracle
from changing_problems import CHANGING
from mcfast import recall
from mcfast.recall.filters import EVERYTHING

N, DIMENSION = 4000, 24


def numbers(n, seed, dimension=DIMENSION):
    random = np.random.default_rng(seed)
    values = random.standard_normal((n, dimension)) * np.exp(random.standard_normal((n, 1)))
    values[::50] *= 1e-6  # float16 has few digits there, or none
    return values.astype(np.float32)


def rounded(vectors, metric):
    """Return what the items are, by the definition."""
    rows = oracle.unit(vectors) if metric == "cosine" else vectors
    return rows.astype(np.float16).astype(np.float32)


def truth(vectors, queries, metric):
    own = oracle.unit(queries) if metric == "cosine" else queries
    return oracle.recall_scores(rounded(vectors, metric), own, "l2" if metric == "l2" else "ip")


@pytest.mark.parametrize("metric", recall.METRICS)
@pytest.mark.parametrize("backend", CHANGING)
def test_answers_are_exact_about_the_rounded_vectors(backend, metric, tmp_path):
    vectors, queries = numbers(N, 1), numbers(20, 2)
    index = recall.build(backend, vectors[:3900], metric, precision="float16")
    index.add(vectors[3900:])
    index.replace([0, 1], vectors[[1, 0]])
    index.remove([7, 3990])
    vectors[[0, 1]] = vectors[[1, 0]]
    there = np.ones(N, bool)
    there[[7, 3990]] = False
    scores = truth(vectors, queries, metric)
    index.save(tmp_path / "index")
    for one in (index, recall.load(tmp_path / "index")):
        found = one.search_checked(queries, 30, EVERYTHING, 2, exact=True)
        rows, best = oracle.nearest(scores, 30, None, there)
        np.testing.assert_array_equal(found[0], rows)
        np.testing.assert_array_equal(found[1], best)
        assert recall.measure(one, queries, 10) > 0.9
        assert one.rows.dtype == np.float32
        np.testing.assert_array_equal(one.rows[there, :DIMENSION], rounded(vectors, metric)[there])


@pytest.mark.parametrize("metric", ["ip", "cosine"])
def test_scores_are_within_the_stated_tolerance(metric):
    vectors, queries = numbers(N, 3), numbers(20, 4)
    plain = recall.build("exact", vectors, metric).search(queries, N, threads=1)
    half = recall.build("exact", vectors, metric, precision="float16").search(queries, N, threads=1)
    by_row = [np.zeros((20, N)), np.zeros((20, N))]
    for scores, (rows, found) in zip(by_row, (plain, half), strict=True):
        np.put_along_axis(scores, rows, found, 1)
    sizes = (
        np.ones((20, N)) if metric == "cosine" else np.outer(*(np.linalg.norm(v, axis=1) for v in (queries, vectors)))
    )
    queries = oracle.unit(queries) if metric == "cosine" else queries
    least = np.abs(queries).sum(axis=1)[:, None] * 2.0**-25
    assert (np.abs(by_row[0] - by_row[1]) <= 1.001 * (sizes * 2.0**-11 + least)).all()


@pytest.mark.parametrize("backend", CHANGING)
def test_memory(backend):
    vectors, queries = numbers(30_000, 5, 64), numbers(200, 6, 64)
    own = {} if backend == "exact" else {"queries": queries}
    plain, half = (recall.build(backend, vectors, precision=name, **own).memory for name in ("float32", "float16"))
    assert plain <= 1.35 * vectors.nbytes
    assert half <= 0.85 * vectors.nbytes


@pytest.mark.parametrize("backend", CHANGING)
def test_bad_precision(backend):
    with pytest.raises(ValueError, match="precision: got 'int8', expected one of 'float32', 'float16'"):
        recall.build(backend, np.eye(2), precision="int8")
    with pytest.raises(ValueError, match=r"vectors: got a number of size 70000, .*65,504"):
        recall.build(backend, [[1, 70_000]], precision="float16")
