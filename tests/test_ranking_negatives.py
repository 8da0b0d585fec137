"""Where negatives come from, and what a correction for it recovers."""

import numpy as np
import pytest

from mcfast import _core
from test_ranking_losses import N_USERS, exported, some_pairs, trainer_of

EMPTY = np.zeros(0, np.int32)


def chi_square(counts, probabilities):
    """How far counts lie from what is expected, in standard deviations of a chi-square variable."""
    assert not counts[probabilities == 0].any()
    expected = counts.sum() * probabilities[probabilities > 0]
    freedom = len(expected) - 1
    return (((counts[probabilities > 0] - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom)


def draws(trainer, tiles=400, batch=EMPTY, first=0, epoch=1):
    return np.concatenate([trainer.negatives(epoch, tile, batch, first)[0] for tile in range(tiles)])


def popular_pairs():
    """Pairs of items whose counts are 0, 1, 2, ..."""
    items = np.repeat(np.arange(60), np.arange(60)).astype(np.int32)
    return np.arange(len(items), dtype=np.int32) % 60, items


@pytest.mark.parametrize("exponent", [None, 0.0, 0.75, 1.0])
def test_draws_follow_their_distribution(exponent):
    users, items = popular_pairs()
    source = [("uniform", 500)] if exponent is None else [("popularity", 500)]
    trainer = trainer_of(users, items, 60, 60, negatives=source, exponent=exponent or 0.0)
    counts = np.bincount(draws(trainer), minlength=60)
    weights = np.ones(60) if not exponent else np.arange(60) ** exponent
    assert abs(chi_square(counts, weights / weights.sum())) < 4
    assert chi_square(counts, np.roll(np.linspace(1, 2, 60) / 90, 7)) > 100  # it can tell


def test_pairs_of_draws_are_independent():
    trainer = trainer_of(*some_pairs(n_items=8, n=80), N_USERS, 8, negatives=[("uniform", 2)])
    pairs = [tuple(trainer.negatives(1, tile, EMPTY, 0)[0]) for tile in range(20_000)]
    counts = np.zeros((8, 8))
    for a, b in pairs:
        counts[a, b] += 1
    expected = np.triu(np.full((8, 8), 2 / 64)) - np.eye(8) / 64  # they come sorted
    assert abs(chi_square(counts.ravel(), expected.ravel())) < 4


def test_every_tile_epoch_and_seed_has_negatives_of_its_own():
    users, items = some_pairs()
    trainer, other = (trainer_of(users, items, negatives=[("uniform", 50)], seed=seed) for seed in (1, 2))
    found = [trainer.negatives(*at, EMPTY, 0)[0].tobytes() for at in ((1, 0), (1, 1), (2, 0), (2, 1))]
    assert len({*found, other.negatives(1, 0, EMPTY, 0)[0].tobytes()}) == 5
    assert trainer.negatives(1, 0, EMPTY, 0)[0].tobytes() == found[0]


def test_in_batch_negatives_are_the_next_positives_of_the_step():
    trainer = trainer_of(*some_pairs(), negatives=[("in-batch", 4)])
    batch = np.array([9, 3, 5, 3, 8, 1], np.int32)
    assert trainer.negatives(1, 0, batch, 3)[0].tolist() == sorted([3, 8, 1, 9])


def test_mixtures_are_corrected_for_all_they_are_made_of():
    users, items = popular_pairs()
    trainer = trainer_of(users, items, 60, 60, negatives=[("uniform", 30), ("popularity", 60)], logq=0.5)
    popular = np.arange(60) ** 0.75
    probability = (1 / 60 + 2 * popular / popular.sum()) / 3
    drawn, corrections = trainer.negatives(1, 0, EMPTY, 0)
    np.testing.assert_allclose(corrections, 0.5 * np.log(90 * probability[drawn]), rtol=1e-5)


def test_hard_negatives_are_the_best_scored_unseen():
    """One user with one positive: what is hard for it moves away from it, nothing else does."""
    users, items = np.array([0], np.int32), np.array([3], np.int32)
    trainer = trainer_of(users, items, 1, 30, negatives=[("hard", 5)], pool=2000)
    rng = np.random.default_rng(0)
    before = rng.standard_normal((30, trainer.width)).astype(np.float32)
    user = rng.standard_normal((1, trainer.width)).astype(np.float32)
    trainer.import_users(np.zeros(1, np.int32), user)
    trainer.import_items(np.arange(30, dtype=np.int32), before)
    trainer.epoch(1, 0.01, 1, None)
    moved = np.flatnonzero((exported(trainer)[1] != before).any(axis=1))
    order = np.argsort(-(before @ user[0]))
    assert set(moved) == {3, *[item for item in order if item != 3][:5]}


def test_hard_negatives_may_be_given():
    users, items = np.array([0, 1], np.int32), np.array([3, 4], np.int32)
    given = np.array([0, 0], np.int32), np.array([7, 8], np.int32)
    trainer = trainer_of(users[:1], items[:1], 2, 30, negatives=[("hard", 40)], given=given)
    before = exported(trainer)[1]
    trainer.epoch(1, 0.01, 1, None)
    assert set(np.flatnonzero((exported(trainer)[1] != before).any(axis=1))) == {3, 7, 8}


def test_subsampling_leaves_out_popular_positives():
    """Of an item with half of all positives, a share of sqrt(0.02 / 0.5) stays."""
    n = 20_000
    users = np.arange(n, dtype=np.int32)
    items = np.where(users % 2 == 0, 0, 1 + users % 1000).astype(np.int32)
    trainer = trainer_of(users, items, n, 1001, factors=1, negatives=[("uniform", 1)], subsampling=0.02)
    before = exported(trainer)[0]
    trainer.epoch(1, 0.01, 1, None)
    met = (exported(trainer)[0] != before).any(axis=1)
    assert met[1::2].mean() > 0.99
    assert met[0::2].mean() == pytest.approx(np.sqrt(0.02 / 0.5), abs=0.02)


@pytest.fixture(scope="module")
def planted():
    """Pairs drawn from known probabilities P(item | user), and log P less its mean."""
    rng = np.random.default_rng(1)
    n_users, n_items, n = 12, 20, 120_000
    logs = rng.standard_normal((n_users, 3)) @ rng.standard_normal((3, n_items)) * 0.5 + rng.normal(0, 0.7, n_items)
    probabilities = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    users = rng.integers(0, n_users, n)
    items = (rng.random(n)[:, None] > probabilities.cumsum(axis=1)[users][:, :-1]).sum(axis=1)
    return users.astype(np.int32), items.astype(np.int32), np.log(probabilities)


def centred(x):
    return x - x.mean(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("logq", "corrected", "negatives"),
    [
        (1.0, False, [("popularity", 12)]),
        (1.0, True, [("popularity", 12)]),
        (1.0, False, [("uniform", 8), ("popularity", 8)]),
        (0.0, False, [("popularity", 48)]),
    ],
)
def test_scores_become_logarithms_of_probabilities(planted, logq, corrected, negatives):
    users, items, logs = planted
    trainer = trainer_of(
        users, items, 12, 20, factors=16, temperature=0.5, negatives=negatives, logq=logq, corrected=corrected,
        batch=2048, threads=_core.available_threads(),
    )  # fmt: skip
    for epoch in range(1, 9):
        trainer.epoch(epoch, 0.3 * (1 - (epoch - 1) / 8), _core.available_threads(), None)
    user_rows, item_rows = exported(trainer)
    found = centred(user_rows @ item_rows.T / 0.5)
    expected = logs
    if logq == 0:  # preference over what is drawn
        expected = logs - 0.75 * np.log(np.bincount(items))
    error = np.sqrt(np.mean((found - centred(expected)) ** 2))
    assert error < 0.1
    assert np.sqrt(np.mean(centred(expected) ** 2)) > 0.5


def test_draws_of_a_mixture_follow_what_their_correction_assumes():
    users, items = popular_pairs()
    trainer = trainer_of(users, items, 60, 60, negatives=[("uniform", 100), ("popularity", 200)])
    popular = np.arange(60) ** 0.75
    probability = (1 / 60 + 2 * popular / popular.sum()) / 3
    assert chi_square(np.bincount(draws(trainer), minlength=60), probability) < 4


@pytest.mark.parametrize("cosine", [False, True], ids=["ip", "cosine"])
def test_all_items_as_negatives_give_the_loss_of_the_full_softmax(cosine):
    users, items = some_pairs()
    trainer = trainer_of(users, items, cosine=cosine, temperature=0.4)
    user_rows, item_rows = exported(trainer)
    scores = user_rows.astype(np.float64) @ item_rows.T / 0.4
    expected = np.log(np.exp(scores).sum(axis=1))[users] - scores[users, items]
    assert trainer.epoch(1, 0.1, 1, None) == pytest.approx(expected.mean(), rel=1e-5)


def test_all_items_make_the_full_softmax(planted):
    users, items, logs = planted
    trainer = trainer_of(users, items, 12, 20, factors=16)
    for epoch in range(1, 9):
        loss = trainer.epoch(epoch, 0.3 * (1 - (epoch - 1) / 8), 1, None)
    assert loss == pytest.approx(-logs[users, items].mean(), abs=0.01)  # nothing can be better than the entropy
