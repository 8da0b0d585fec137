"""Predictions on the scale of the data: links, bounds, and that recommendations and recalls follow."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcfast
from mcfast.scale import LINKS, Scale

GOLDEN = Path(__file__).parent / "golden"


def data(rng, n_users=60, n_items=40, n=1500):
    pairs = rng.permutation(n_users * n_items)[:n]
    users, items = pairs // n_items, pairs % n_items
    a, b = rng.standard_normal((n_users, 2)), rng.standard_normal((n_items, 2))
    return users, items, np.einsum("nk,nk->n", a[users], b[items])


@pytest.fixture(params=["logistic", "poisson", "squared, clipped", "poisson, clipped"])
def trained(request):
    """A model, and its raw sums as a function of rows."""
    rng = np.random.default_rng(0)
    users, items, z = data(rng)
    loss, clipped = request.param.split(",")[0], "clipped" in request.param
    scores = {"logistic": z > 0, "poisson": rng.poisson(np.exp(np.clip(z, -2, 2))), "squared": z}[loss]
    clip = {False: False, True: (0.5, 1.5)}[clipped]
    model = mcfast.fit((users, items, scores), loss=loss, factors=4, epochs=8, clip=clip)

    def expected(users, items):
        rows = model.users.rows(users, "users"), model.items.rows(items, "items")
        sums = model.mean + model.user_biases[rows[0]] + model.item_biases[rows[1]].astype(np.float64)
        sums = sums + np.einsum("nk,nk->n", model.user_factors[rows[0]], model.item_factors[rows[1]], dtype=np.float64)
        scores = {"logistic": 1 / (1 + np.exp(-sums)), "poisson": np.exp(sums), "squared": sums}[loss]
        return sums, np.clip(scores, *clip) if clipped else scores

    return model, expected, (users, items, scores)


def test_predictions_are_on_the_scale_of_the_data(trained):
    model, expected, (users, items, scores) = trained
    _, want = expected(users, items)
    np.testing.assert_allclose(model.predict(users, items), want, rtol=1e-5, atol=1e-6)
    block = model.predict_block(users[:5], items[:7])
    np.testing.assert_array_equal(block[2], model.predict(users[2], items[:7]))
    measured = mcfast.evaluate(model, (users, items, scores), k=5)
    assert measured["rmse"] == pytest.approx(np.sqrt(np.mean((want - scores) ** 2)), rel=1e-4)


def test_recommendations_are_ordered_by_the_sum_and_scored_as_predicted(trained, tmp_path):
    model, expected, _ = trained
    users = model.users.values[:6]
    found = model.recommend(users, k=30)
    for user, ids, scores, n in zip(users, *found, strict=True):
        assert np.all(scores[n:] == -np.inf)
        sums, want = expected(np.full(n, user), ids[:n])
        assert np.all(np.diff(sums) <= 1e-6)
        np.testing.assert_allclose(scores[:n], want, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model")
    again = mcfast.load(tmp_path / "model")
    assert again.scale == model.scale
    np.testing.assert_array_equal(again.recommend(users, k=30).scores, found.scores)
    mcfast.publish(again, tmp_path / "serving")
    with mcfast.open(tmp_path / "serving") as recaller:
        recalled = recaller.recall_many(users, k=30)
        np.testing.assert_array_equal(recalled.ids, found.ids)
        np.testing.assert_allclose(recalled.scores, found.scores, rtol=1e-5, atol=1e-6)
        by_vector = recaller.recall_vectors(model.user_factors[:1], k=3)
    rows = model.items.rows(by_vector.ids[0], "items")
    inner = model.item_factors[rows] @ model.user_factors[0] + model.item_biases[rows]
    np.testing.assert_allclose(by_vector.scores[0], inner, rtol=1e-5, atol=1e-6)


def test_clipping_changes_nothing_else():
    users, items, scores = data(np.random.default_rng(1))
    options = {"factors": 4, "epochs": 6}
    free = mcfast.fit((users, items, scores), **options)
    clipped = mcfast.fit((users, items, scores), clip=True, **options)
    low, high = np.float32(scores).min(), np.float32(scores).max()
    assert clipped.scale.clip == (low, high)
    assert clipped.parameters["clip"] == [low, high]
    assert free.scale == Scale()
    np.testing.assert_array_equal(clipped.item_factors, free.item_factors)
    np.testing.assert_array_equal(clipped.recommend(range(9), k=20).ids, free.recommend(range(9), k=20).ids)
    np.testing.assert_array_equal(clipped.predict(users, items), np.clip(free.predict(users, items), low, high))
    unknown = mcfast.fit((users, items, scores), clip=(5, 6), **options).predict(-1, -1, unknown="mean")
    assert unknown == 5


def test_validation_is_of_clipped_predictions():
    users, items, scores = data(np.random.default_rng(2))
    held_out = users[:300], items[:300], scores[:300]
    options = {"factors": 4, "epochs": 6, "refit": False, "patience": None, "clip": (-0.1, 0.1)}
    model = mcfast.fit((users[300:], items[300:], scores[300:]), validation=held_out, **options)
    measured = mcfast.evaluate(model, held_out, k=1)["rmse"]
    assert model.metrics["validation_rmse"] == pytest.approx(measured, rel=1e-6)


def test_hinge_tells_labels_by_the_sign_and_estimates_no_score():
    users, items, z = data(np.random.default_rng(3))
    model = mcfast.fit((users, items, z > 0), loss="hinge", factors=4, regularization=0.01, clip=True)
    assert model.scale == Scale("identity", (-1.0, 1.0))
    assert ((model.predict(users, items) > 0) == (z > 0)).mean() > 0.8
    assert "rmse" not in mcfast.evaluate(model, (users, items, z > 0), k=5)


@pytest.mark.parametrize("link", LINKS)
def test_folding_in_takes_scores_of_the_data(link):
    """Of many scores near what a vector predicts, about that vector comes out."""
    rng = np.random.default_rng(4)
    factors, vector = rng.standard_normal((400, 3)) / 2, np.array([1.0, -0.5, 0.25])
    model = mcfast.Model.from_factors(np.zeros((1, 3)), factors, link=link)
    p = Scale(link).scores(factors @ vector).astype(np.float64)
    scores = {"identity": p, "logit": rng.random(400) < p, "log": rng.poisson(np.abs(p))}[link]
    found = model.fold_in(range(400), scores).vector
    assert found @ vector > 0.9 * np.linalg.norm(found) * np.linalg.norm(vector)


@given(st.sampled_from(LINKS), st.lists(st.floats(-30, 30), min_size=2, max_size=9))
def test_scores_rise_with_their_sums(link, sums):
    sums = np.sort(np.array([*sums, -np.inf]))
    for clip in (None, (0.25, 2.0)):
        scores = Scale(link, clip).scores(sums)
        assert scores[0] == -np.inf
        assert np.all(np.diff(scores[1:]) >= 0)
        assert clip is None or (scores[1:].min() >= 0.25 and scores[1:].max() <= 2)


@pytest.mark.parametrize("link", ["logit", "log"])
def test_single_scores_speak_for_finite_sums(link):
    sums = Scale(link).sums(np.array([-1.0, 0, 0.5, 1, np.nan]))
    assert np.all(np.diff(sums[:4]) >= 0)
    assert np.isfinite(sums[:4]).all()
    assert np.isnan(sums[4])  # not told


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        (1, r"clip: got 1 \(int\), expected True, False or \(low, high\)"),
        ((1,), r"clip: got \(1,\)"),
        ((2, 1), r"clip\[1\]: got 1.0, expected a finite number >= 2"),
        ((np.nan, 1), r"clip\[0\]: got nan"),
        (("a", 1), r"clip\[0\]: got 'a'"),
    ],
)
def test_bounds_are_refused(clip, words):
    with pytest.raises((TypeError, ValueError), match=words):
        mcfast.fit(([1, 2], [1, 2], [1, 2]), clip=clip)


def test_golden_files_of_format_2(tmp_path):
    model = mcfast.load(GOLDEN / "model-2")
    assert model.scale == Scale("log", (0.5, 20.0))
    np.testing.assert_allclose(model.predict("bob", [-5, 7]), [np.exp(2.3125), np.exp(2.1875)], rtol=1e-6)
    shutil.copytree(GOLDEN / "serving-2", tmp_path / "serving")
    with mcfast.open(tmp_path / "serving") as recaller:
        found = recaller.recall("bob", 3)
    assert found.ids.tolist() == [-5, 7, 0]
    np.testing.assert_allclose(found.scores, np.clip(np.exp([2.3125, 2.1875, 1.9375]), 0.5, 20), rtol=1e-6)
