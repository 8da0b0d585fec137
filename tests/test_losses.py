"""Every loss and every option of `fit` against NumPy in float64, and what they are for."""

import numpy as np
import pytest

import mcfast
import oracle
from mcfast import _core

LOSSES = {name: getattr(oracle, name) for name in _core.losses}


def scores_for(loss, rng, n):
    kind = _core.losses[loss]
    if kind == "ratings":
        return rng.normal(3, 2, n).astype(np.float32)
    if kind == "labels":
        return rng.choice([0, 0.25, 1], n).astype(np.float32)
    return rng.poisson(2, n).astype(np.float32) if kind == "counts" else rng.choice([-1, 1], n).astype(np.float32)


def trainer_of(users, items, scores, loss, weights=None, l2=(0.05, 0.02, 0.01), l1=0.0, by_row=False, bound=False):
    return _core.Trainer(
        users, items, scores, weights, int(users.max()) + 1, int(items.max()) + 1,
        5, True, loss, l2, (l1, l1), by_row, bound, 3, (0, 0), 1,
    )  # fmt: skip


def sides(trainer, scale):
    """Return the state of a trainer in its own units: users and items as Sides."""
    found = []
    for export, n in ((trainer.export_users, trainer.n_users), (trainer.export_items, trainer.n_items)):
        factors, biases = np.empty((n, trainer.width), np.float32), np.empty(n, np.float32)
        export(factors, biases, 1)
        found.append(oracle.Side(factors[:, :5] / np.sqrt(scale), biases / scale))
    return found


def check(loss, *, weighted=False, by_row=False, **options):
    """Epochs over pairs that share no row: their order does not matter."""
    rng = np.random.default_rng(1)
    n = 57
    users, items = rng.permutation(n).astype(np.int32), rng.permutation(n).astype(np.int32)
    scores = scores_for(loss, rng, n)
    weights = rng.uniform(0.5, 2, n).astype(np.float32) if weighted else None
    trainer = trainer_of(users, items, scores, loss, weights, by_row=by_row, **options)
    ratings = _core.losses[loss] == "ratings"
    mean, scale = trainer.mean, trainer.scale
    unit = scale if loss == "absolute" else scale**2
    expected_users, expected_items = sides(trainer, scale)
    weight = np.ones(n) if weights is None else weights.astype(np.float64)
    used = (scores - mean) / scale if ratings else scores
    triples = list(zip(users, items, used, weight, strict=True))
    bounds = {"l1": options.get("l1", 0), "nonnegative": options.get("bound", False)}
    for epoch in range(1, 4):
        found = trainer.epoch(epoch, 0.1, 1, None)
        total = oracle.sgd_epoch(
            triples, expected_users, expected_items, 0.1, options.get("l2", (0.05, 0.02, 0.01)),
            LOSSES[loss], 0 if ratings else mean, **bounds,
        )  # fmt: skip
        assert found == pytest.approx(unit * total / weight.sum(), rel=1e-4)
    for side, expected in zip(sides(trainer, scale), (expected_users, expected_items), strict=True):
        np.testing.assert_allclose(side.factors, expected.factors, atol=2e-5)
        np.testing.assert_allclose(side.biases, expected.biases, atol=2e-5)
    z = [u @ v + b + c for u, v, b, c in zip(
        expected_users.factors[users], expected_items.factors[items],
        expected_users.biases[users], expected_items.biases[items], strict=True,
    )]  # fmt: skip
    now = sum(LOSSES[loss](y, x + (0 if ratings else mean))[0] for y, x in zip(used, z, strict=True))
    assert trainer.loss(users, items, scores, 1) == pytest.approx(unit * now, rel=1e-4)


@pytest.mark.parametrize("isa", _core.build_info()["isa_available"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weighted": True},
        {"by_row": True},  # one triple a row: nothing to share
        {"l1": 0.02},
        {"bound": True},
        {"l1": 0.03, "bound": True, "weighted": True, "l2": (0.0, 0.3, 0.2)},
    ],
)
def test_epochs_are_those_of_numpy(isa, loss, options):
    chosen = _core.build_info()["isa"]
    _core.set_isa(isa)
    try:
        check(loss, **options)
    finally:
        _core.set_isa(chosen)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_the_oracle(loss):
    function, h = LOSSES[loss], 1e-6
    for score in np.unique(scores_for(loss, np.random.default_rng(0), 20).astype(np.float64)):
        for z in np.arange(-3.03, 3, 0.117):
            slope = (function(score, z + h)[0] - function(score, z - h)[0]) / (2 * h)
            assert function(score, z)[1] == pytest.approx(-slope, rel=1e-6, abs=1e-8)


def planted(rng, n_users=200, n_items=150, n=12_000):
    pairs = rng.permutation(n_users * n_items)[:n]
    users, items = pairs // n_items, pairs % n_items
    a, b = rng.standard_normal((n_users, 3)), rng.standard_normal((n_items, 3))
    return users, items, np.einsum("nk,nk->n", a[users], b[items])


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_labels_are_told_apart(loss):
    users, items, margin = planted(np.random.default_rng(0))
    model = mcfast.fit((users[2000:], items[2000:], margin[2000:] > 0), loss=loss, factors=8, regularization=0.01)
    threshold = {"logistic": 0.5, "hinge": 0}[loss]
    right = (model.predict(users[:2000], items[:2000]) > threshold) == (margin[:2000] > 0)
    assert right.mean() > 0.8
    if loss == "logistic":
        assert model.mean == pytest.approx(np.log(np.mean(margin[2000:] > 0) / np.mean(margin[2000:] <= 0)), abs=1e-3)


def test_labels_of_hinge_may_be_0_or_minus_1():
    users, items, margin = planted(np.random.default_rng(0))
    one = mcfast.fit((users, items, margin > 0), loss="hinge", factors=4, epochs=2)
    other = mcfast.fit((users, items, np.sign(margin)), loss="hinge", factors=4, epochs=2)
    np.testing.assert_array_equal(one.user_factors, other.user_factors)


@pytest.mark.parametrize("seed", range(3))
def test_poisson_finds_the_mean(seed):
    rng = np.random.default_rng(seed)
    users, items, logs = planted(rng)
    logs = np.clip(0.5 * logs, -3, 3)
    options = {"factors": 8, "regularization": 0.02, "learning_rate": 0.05, "epochs": 40}
    model = mcfast.fit((users, items, rng.poisson(np.exp(logs))), loss="poisson", **options)
    assert np.corrcoef(np.log(model.predict(users, items)), logs)[0, 1] > 0.85


def test_absolute_and_huber_loss_bear_outliers():
    rng = np.random.default_rng(0)
    users, items, clean = planted(rng)
    scores = clean + 100 * (rng.random(len(clean)) < 0.02)
    error = {}
    for loss in ("squared", "absolute", "huber"):
        model = mcfast.fit((users, items, scores), loss=loss, factors=8, regularization=0.02)
        error[loss] = np.median(np.abs(model.predict(users, items) - clean))
    assert error["absolute"] < 0.7 * error["squared"]


def test_validation_of_labels_is_by_their_loss():
    users, items, margin = planted(np.random.default_rng(0))
    model = mcfast.fit((users, items, margin > 0), loss="logistic", factors=4, validation=0.2, epochs=5)
    assert set(model.metrics) == {"validation_loss"}
    assert 0 < model.metrics["validation_loss"] < np.log(2)


def test_weights_move_the_mean_and_stay_with_their_triples():
    users, items = np.divmod(np.arange(100 * 30), 30)
    scores, weights = np.where(users < 50, 5, 1), np.where(users < 50, 1.5, 0.5)
    options = {"factors": 1, "epochs": 5, "user_regularization": 9, "item_regularization": 9}
    triples = mcfast.Triples.from_arrays(users, items, scores)
    model = mcfast.fit(triples, weights=weights, **options)
    assert model.mean == pytest.approx(4)
    again = mcfast.fit(triples.with_weights(weights), **options)
    np.testing.assert_array_equal(again.item_biases, model.item_biases)
    mcfast.fit(triples, weights=weights, validation=0.2, epochs=2, factors=2)  # weights follow the split


def test_nonnegative_factors_and_exact_zeros():
    users, items, scores = planted(np.random.default_rng(0))
    model = mcfast.fit((users, items, scores), factors=8, nonnegative=True)
    assert model.user_factors.min() >= 0
    assert model.item_factors.min() >= 0
    assert model.user_factors.max() > 0
    sparse = mcfast.fit((users, items, scores), factors=16, l1_regularization=0.05)
    assert (sparse.item_factors == 0).mean() > 0.05
    assert not (mcfast.fit((users, items, scores), factors=16).item_factors == 0).any()


def test_a_strength_of_its_own_for_each_kind():
    users, items, scores = planted(np.random.default_rng(0))
    same = mcfast.fit((users, items, scores), factors=4, epochs=3, regularization=0.05)
    spelt = mcfast.fit(
        (users, items, scores), factors=4, epochs=3, regularization=9, user_regularization=0.05,
        item_regularization=0.05, bias_regularization=0.05,
    )  # fmt: skip
    np.testing.assert_array_equal(same.item_factors, spelt.item_factors)
    held = mcfast.fit((users, items, scores), factors=4, epochs=3, bias_regularization=5)
    assert np.abs(held.user_biases).mean() < 0.5 * np.abs(same.user_biases).mean()


def test_regularization_by_row_is_shared_by_its_triples():
    """On a grid where every row has n triples, n times the strength by row is the strength by rating."""
    users, items = np.divmod(np.arange(144), 12)
    scores = np.random.default_rng(0).standard_normal(144)
    options = {"factors": 3, "epochs": 4, "biases": False, "loss": "squared"}
    by_row = mcfast.fit((users, items, scores), regularize="row", regularization=12 * 0.05, **options)
    by_rating = mcfast.fit((users, items, scores), regularization=0.05, **options)
    np.testing.assert_allclose(by_row.user_factors, by_rating.user_factors, atol=1e-4)


@pytest.mark.parametrize(
    ("scores", "options", "words"),
    [
        ([0, 2], {"loss": "logistic"}, r"scores: got 0 to 2, expected 0\.\.1 with loss='logistic'"),
        ([-1, 2], {"loss": "poisson"}, "scores: got -1 to 2, expected numbers >= 0"),
        ([0.5, 1], {"loss": "hinge"}, "scores: got 0.5 to 1, expected -1 and 1, or 0 and 1"),
        ([1, 0], {"loss": "logistic", "validation": ([1], [2], [3.0])}, "validation scores: got 3 to 3"),
        ([1, 2], {"weights": [1, 0]}, "weights: got 0, expected numbers > 0"),
        ([1, 2], {"weights": [1]}, r"weights: got shape \(1,\)"),
        ([1, 2], {"weights": [1, np.nan]}, "weights: got nan"),
        ([1, 2], {"regularize": "column"}, "regularize: got 'column'"),
        ([1, 2], {"l1_regularization": -1}, "l1_regularization: got -1"),
        ([1, 2], {"bias_regularization": -1}, "bias_regularization: got -1"),
        ([1, 2], {"nonnegative": 1}, r"nonnegative: got 1 \(int\)"),
    ],
)
def test_fit_refuses(scores, options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        mcfast.fit(([1, 2], [1, 2], scores), **options)
