"""Fold-in under ranking losses: slopes, planted tastes, histories, and users of a served folder."""

from __future__ import annotations

import numpy as np
import pytest

import mcfast
from mcfast.folding_steps import SLOPES, Negatives, descend, tower

PARAMETERS = {"negative_weight": 1.3, "margin": 0.2}
N_ITEMS, GROUPS = 300, 6


def loss(name, z, x, w):
    """The mean loss of positives of scores z against negatives of scores x, each counted w times."""
    sums = (w * np.exp(x)).sum()
    mean = w / w.sum()
    return {
        "softmax": np.mean(-z + np.log(np.exp(z) + sums)),
        "bsl": np.mean(-z) + 1.3 * np.log(sums),
        "bpr": np.mean(np.log1p(np.exp(x - z[:, None])) @ mean),
        "pairwise-hinge": np.mean(np.maximum(0, 0.2 - z[:, None] + x) @ mean),
        "logistic": np.mean(np.log1p(np.exp(-z))) + 1.3 * mean @ np.log1p(np.exp(x)),
        "ccl": np.mean(1 - z) + 1.3 * mean @ np.maximum(0, x - 0.2),
    }[name]


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_are_derivatives(name):
    random = np.random.default_rng(1)
    z, x, w = random.standard_normal(4), random.standard_normal(9), random.random(9) * 3
    mine, theirs = SLOPES[name](z, x, w, PARAMETERS)
    step = 1e-6
    for i in range(len(z)):
        to = step * (np.arange(len(z)) == i)
        assert (loss(name, z + to, x, w) - loss(name, z - to, x, w)) / (2 * step) == pytest.approx(mine[i], abs=1e-7)
    for j in range(len(x)):
        to = step * (np.arange(len(x)) == j)
        assert (loss(name, z, x + to, w) - loss(name, z, x - to, w)) / (2 * step) == pytest.approx(theirs[j], abs=1e-7)


def test_every_ranking_loss_has_slopes():
    assert set(SLOPES) == set(mcfast._core.ranking_losses)


def test_negatives_count_as_often_as_training_draws_them():
    counts = np.array([4, 0, 1, 9])
    shares = {"negatives": {"uniform": 0.5, "popularity": 0.5}, "popularity_exponent": 0.5, "n_negatives": 12}
    found = Negatives.of(shares | {"logq": 1.0, "seed": 0}, counts)
    expected = 6 / 4 + 6 * np.array([2, 0, 1, 3]) / 6
    np.testing.assert_allclose(found.drawn, expected)
    np.testing.assert_allclose(found.corrections, np.log(expected))
    in_batch = Negatives.of(shares | {"negatives": {"in-batch": 1.0}, "logq": 0.0, "seed": 0}, counts)
    assert in_batch.rows.tolist() == [0, 2, 3]
    np.testing.assert_allclose(in_batch.drawn, 12 * np.array([4, 1, 9]) / 14)
    assert in_batch.without([2]).rows.tolist() == [0, 3]


def test_a_large_catalogue_is_sampled_the_same_way_each_time():
    counts = np.random.default_rng(0).integers(0, 50, 100_000)
    parameters = {
        "negatives": {"popularity": 1.0},
        "popularity_exponent": 1.0,
        "n_negatives": 64,
        "logq": 0.0,
        "seed": 3,
    }
    one, other = Negatives.of(parameters, counts), Negatives.of(parameters, counts)
    assert np.array_equal(one.rows, other.rows)
    assert (np.diff(one.rows) > 0).all()
    assert one.drawn.sum() == pytest.approx(64)
    drawn = np.average(counts[one.rows], weights=one.drawn)
    assert drawn == pytest.approx(np.average(counts, weights=counts), rel=0.03)


# --- planted tastes ---------------------------------------------------------------------------------------------------


def planted(n_users=240, seed=0):
    """Users who take 20 items, nine of ten out of their group's, the first of a group more often than the last."""
    random = np.random.default_rng(seed)
    group = np.arange(n_users) % GROUPS
    size = N_ITEMS // GROUPS
    weights = np.exp(-np.arange(size) / size)
    users, items = [], []
    for user in range(n_users):
        own = random.choice(size, 18, replace=False, p=weights / weights.sum()) * GROUPS + group[user]
        other = random.choice(N_ITEMS, 2, replace=False)
        taken = np.unique(np.concatenate([own, other]))
        users += [user] * len(taken)
        items += random.permutation(taken).tolist()
    return np.array(users), np.array(items)


def recall_at_20(scores, taken, held_out):
    scores = np.array(scores, np.float64)
    scores[taken] = -np.inf
    return np.isin(np.argsort(-scores)[:20], held_out).sum() / len(held_out)


HISTORY = {"loss": "softmax", "similarity": "cosine", "history": True}
MODELS = [
    {"loss": "softmax", "similarity": "cosine"},
    {"loss": "softmax", "negatives": "popularity", "logq": 1.0, "regularization": 0.003},
    {"loss": "bsl", "similarity": "cosine", "temperature": 0.15},
    {"loss": "bpr", "regularization": 0.003},
    {"loss": "pairwise-hinge", "similarity": "cosine"},
    {"loss": "logistic", "negatives": "uniform", "regularization": 0.003},
    {"loss": "ccl", "similarity": "cosine", "margin": 0.3, "negative_weight": 10.0},
    HISTORY,
    HISTORY | {"hidden": 16},  # not the sum of a history: in steps, as without one
]


def fitted(users, items, options):
    return mcfast.fit(
        (users, items, np.ones(len(users))), factors=16, epochs=25, n_negatives=64, threads=1, progress=False, **options
    )


@pytest.mark.parametrize("options", MODELS, ids=lambda options: "-".join(map(str, options.values())))
def test_folded_users_find_what_was_held_out_nearly_as_trained_ones_do(options):
    users, items = planted()
    last = np.ones(len(users), bool)
    for user in range(users[-1] + 1):
        last[np.flatnonzero(users == user)[-5:]] = False
    new = users % 6 == users // 6 % 6  # of all groups alike
    full = fitted(users[last], items[last], options)
    model = fitted(users[last & ~new], items[last & ~new], options)
    popular = np.zeros(N_ITEMS)
    np.add.at(popular, items[last & ~new], 1)
    measured = []
    for user in np.unique(users[new]):
        taken, held_out = items[(users == user) & last], items[(users == user) & ~last]
        taken = taken[np.isin(taken, model.items.values)]
        folded = model.fold_in(taken)
        assert folded.bias == 0
        if options.get("similarity") == "cosine":
            assert np.linalg.norm(folded.vector) == pytest.approx(1, abs=1e-5)
        of_model = np.full((2, N_ITEMS), -np.inf)
        of_model[0, model.items.values] = model.item_factors @ folded.vector
        of_model[1, full.items.values] = full.item_factors @ full.user_factors[full.users.rows([user])[0]]
        measured.append([recall_at_20(scores, taken, held_out) for scores in (*of_model, popular)])
    folded, trained, popularity = np.mean(measured, axis=0)
    assert folded > trained - 0.06
    assert folded > popularity + 0.2


@pytest.fixture(scope="module")
def model():
    return fitted(*planted(), MODELS[0])


def test_a_list_has_one_vector_whatever_its_order(model):
    items = model.items.values[[5, 9, 30]]
    one, other = model.fold_in(items), model.fold_in(items)
    assert np.array_equal(one.vector, other.vector)
    np.testing.assert_allclose(model.fold_in(items[::-1]).vector, one.vector, atol=1e-5)
    np.testing.assert_array_equal(model.fold_in([*items, items[2]]).vector, one.vector)


def test_scores_tell_which_items_are_positives(model):
    a, b, c = model.items.values[[5, 9, 30]]
    expected = model.fold_in([a, b]).vector
    np.testing.assert_array_equal(model.fold_in([a, c, b], [1.0, 0.0, 5.0]).vector, expected)
    with pytest.raises(ValueError, match="scores: got no positive, expected one at least"):
        model.fold_in([a], [0.0])


def test_steps_lower_the_loss(model):
    rows = np.array([5, 9, 30])
    q = model.item_factors.astype(np.float64)
    negatives = Negatives.of(model.parameters, model.seen.item_counts(model.n_items)).without(rows)

    def of(vector):
        z, x = (q[own] @ vector / model.parameters["temperature"] for own in (rows, negatives.rows))
        return loss("softmax", z, x, negatives.drawn)

    start = q[rows].mean(axis=0)
    found = descend(model.parameters, model.item_factors[rows], model.item_factors[negatives.rows], negatives)
    least = of(found.astype(np.float64))
    assert least < of(start / np.linalg.norm(start)) - 0.05
    random = np.random.default_rng(0)
    for _ in range(50):  # nor is there anything better nearby
        near = found + 0.1 * random.standard_normal(len(found))
        assert of(near / np.linalg.norm(near)) > least - 1e-3


def test_histories_fold_in_by_their_tower():
    model = fitted(*planted(), HISTORY)
    for items in ([3, 8, 120], [7]):
        expected = model.encode_users(history=[items])[0]
        np.testing.assert_allclose(model.fold_in(items).vector, expected, atol=1e-6)
    assert tower(np.zeros(2, np.float32), np.ones((4, 2), np.float32), False).tolist() == [2.0, 2.0]


# --- online -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [MODELS[0], HISTORY], ids=["steps", "history"])
def test_newcomers_of_a_served_folder_are_folded_in_as_the_model_does(root, options):
    model = fitted(*planted(), options)
    mcfast.publish(model, root)
    items = model.items.values[[5, 11, 17, 23]].tolist()
    with mcfast.open(root) as recaller:
        expected = model.fold_in(items).vector
        recaller.record(9999, items)
        np.testing.assert_allclose(recaller.fold_in(9999).vector, expected, atol=1e-5)
        found = recaller.recall(9999, 10)
        assert found.source == "folded"
        assert recaller.recall_items(items, 10).ids.tolist() == found.ids.tolist()
        assert recaller.fold_in(9998, items[:1], [0.0]) is None
        assert recaller.recall_items(items[:1], 5, scores=[0.0]).source == "popular"
        # A known user goes on from the published vector.
        row = 4
        new = model.items.values[np.setdiff1d(np.arange(model.n_items), model.seen.of_user(row))[0]]
        before = model.user_factors[row]
        moved = recaller.fold_in(model.users.values[row], [new]).vector
        assert np.linalg.norm(moved) == pytest.approx(1, abs=1e-5)
        liked = model.item_factors[model.items.rows([new])[0]]
        assert moved @ liked > before @ liked
        assert moved @ before > 0.6
    mcfast.publish(model, root)
    with mcfast.open(root) as recaller:  # and of the next version, out of what was recorded
        again = recaller.recall(9999, 10)
        assert again.source == "folded"
        assert again.ids.tolist() == found.ids.tolist()
