"""Every ranking loss against NumPy in float64, on every instruction set, and the trainer's promises."""

import numpy as np
import pytest

import oracle_ranking as oracle
from mcfast import _core

LOSSES = oracle.LOSSES
MARGIN, WEIGHT = 0.3, 1.7
N_USERS, N_ITEMS, FACTORS = 24, 19, 21


def trainer_of(users, items, n_users=N_USERS, n_items=N_ITEMS, **options):
    usual = {
        "factors": FACTORS, "loss": "softmax", "margin": MARGIN, "negative_weight": WEIGHT, "cosine": False,
        "temperature": 1.0, "learn_temperature": False, "l2": (0.0, 0.0), "dropout": 0.0, "subsampling": 0.0,
        "hide_known": False, "negatives": [("all", 1)], "given": None, "pool": 50, "exponent": 0.75, "logq": 0.0,
        "corrected": False, "optimizer": "adagrad", "batch": 4096, "user_terms": None, "item_terms": None,
        "id_dropout": 0.0, "seed": 3, "threads": 1,
    }  # fmt: skip
    return _core.RankingTrainer(users, items, n_users, n_items, **usual | options)


def exported(trainer):
    """The vectors of users and items as they stand, with their padding."""
    sides = []
    for export, n in ((trainer.export_users, trainer.n_users), (trainer.export_items, trainer.n_items)):
        rows, biases = np.empty((n, trainer.width), np.float32), np.empty(n, np.float32)
        export(rows, biases, 1)
        assert not biases.any()
        sides.append(rows)
    return sides


def some_pairs(seed=0, n=90, n_users=N_USERS, n_items=N_ITEMS):
    """Distinct pairs; every user and item has one."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(n_users * n_items)[:n]
    more = np.arange(max(n_users, n_items))
    pairs = np.unique(np.concatenate([pairs, (more % n_users) * n_items + more % n_items]))
    return (pairs // n_items).astype(np.int32), (pairs % n_items).astype(np.int32)


def spread(rows, seed):
    """Vectors of the given shape long enough that losses bend."""
    return np.random.default_rng(seed).standard_normal(rows).astype(np.float32)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("cosine", [False, True], ids=["ip", "cosine"])
def test_gradients_of_the_oracle(loss, cosine):
    rng = np.random.default_rng(5)
    user, positive, negatives = rng.standard_normal(4), rng.standard_normal(4), rng.standard_normal((6, 4))
    corrections, temperature = rng.standard_normal(6), 0.7
    flat = np.concatenate([user, positive, negatives.ravel(), [np.log(temperature)]])

    def loss_of(x):
        return oracle.pair_loss(
            x[:4], x[4:8], x[8:-1].reshape(6, 4), loss, cosine, np.exp(x[-1]), corrections, MARGIN, WEIGHT
        )

    _, a, b, c, t = loss_of(flat)
    found, h = np.concatenate([a, b, c.ravel(), [t]]), 1e-6
    slopes = [(loss_of(flat + h * e)[0] - loss_of(flat - h * e)[0]) / (2 * h) for e in np.eye(len(flat))]
    np.testing.assert_allclose(found, slopes, rtol=1e-6, atol=1e-8)


def check(loss, cosine, **options):
    users, items = some_pairs()
    pairs = list(zip(users.tolist(), items.tolist(), strict=True))
    temperature = options.pop("temperature", 0.4 if cosine else 2.0)
    trainer = trainer_of(users, items, loss=loss, cosine=cosine, temperature=temperature, **options)
    starts = [np.zeros((n, trainer.width), np.float32) for n in (N_USERS, N_ITEMS)]
    for start, seed in zip(starts, (1, 2), strict=True):
        start[:, :FACTORS] = spread((len(start), FACTORS), seed)
        if cosine:
            start /= np.linalg.norm(start, axis=1, keepdims=True)
    trainer.import_users(np.arange(N_USERS, dtype=np.int32), starts[0])
    trainer.import_items(np.arange(N_ITEMS, dtype=np.int32), starts[1])
    optimizer = options.get("optimizer", "adagrad")
    expected = [oracle.Rows(start[:, :FACTORS], cosine, optimizer) for start in starts]
    mask = None
    if options.get("hide_known"):
        mask = {user: {i for u, i in pairs if u == user} for user in range(N_USERS)}
    for epoch in range(1, 4):
        found = trainer.epoch(epoch, 0.1, 1, None)
        value, _ = oracle.epoch_of_one_step(
            pairs, *expected, loss, 0.1, temperature, options.get("l2", (0.0,))[0], mask, margin=MARGIN, weight=WEIGHT
        )
        assert found == pytest.approx(value, rel=1e-4)
    for rows, side in zip(exported(trainer), expected, strict=True):
        np.testing.assert_allclose(rows[:, :FACTORS], side.rows, atol=2e-4)
        assert not rows[:, FACTORS:].any()
        if cosine:
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.fixture(params=_core.build_info()["isa_available"])
def _isa(request):
    chosen = _core.build_info()["isa"]
    _core.set_isa(request.param)
    yield
    _core.set_isa(chosen)


@pytest.mark.usefixtures("_isa")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("cosine", [False, True], ids=["ip", "cosine"])
@pytest.mark.parametrize("options", [{}, {"optimizer": "adam"}, {"hide_known": True, "l2": (0.05, 0.05)}])
def test_steps_are_those_of_numpy(loss, cosine, options):
    check(loss, cosine, **options)


@pytest.mark.parametrize("cosine", [False, True])
def test_a_learnt_temperature_steps_along_its_gradient(cosine):
    users, items = some_pairs()
    trainer = trainer_of(users, items, cosine=cosine, temperature=0.5, learn_temperature=True)
    sides = [oracle.Rows(rows[:, :FACTORS], cosine, "adagrad") for rows in exported(trainer)]
    squares, temperature = 0.0, 0.5
    for epoch in range(1, 6):
        _, slope = oracle.epoch_of_one_step(list(zip(users, items, strict=True)), *sides, "softmax", 0.3, temperature)
        squares += slope**2
        trainer.epoch(epoch, 0.3, 1, None)
        temperature *= np.exp(-0.1 * 0.3 * slope / np.sqrt(squares))
        assert trainer.temperature == pytest.approx(temperature, rel=1e-4)
    assert trainer.temperature != 0.5


@pytest.mark.parametrize("cosine", [False, True])
def test_dropout_is_unbiased_and_trains(cosine):
    users, items = some_pairs()
    losses = {}
    for dropout in (0.0, 0.3):
        trainer = trainer_of(users, items, cosine=cosine, temperature=0.2 if cosine else 1.0, dropout=dropout)
        losses[dropout] = [trainer.epoch(e, 0.1, 1, None) for e in range(1, 40)]
    assert losses[0.3][-1] < losses[0.3][0] - 0.1
    assert losses[0.3][-1] > losses[0.0][-1]


MIXES = [
    [("uniform", 100)],
    [("popularity", 64), ("in-batch", 33)],
    [("hard", 40), ("uniform", 60)],
    [("all", 1)],
]


@pytest.mark.parametrize("negatives", MIXES, ids=str)
@pytest.mark.parametrize("loss", ["softmax", "ccl"])
@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_threads_do_not_change_a_bit(negatives, loss, optimizer):
    users, items = some_pairs(n=5000, n_users=300, n_items=200)
    sides, losses = [], []
    for threads in (1, 2, 3, 7):
        trainer = trainer_of(
            users, items, 300, 200, negatives=negatives, loss=loss, cosine=True, optimizer=optimizer, dropout=0.2,
            learn_temperature=True, subsampling=0.004, logq=0.5, batch=1500, threads=threads,
        )  # fmt: skip
        losses.append([trainer.epoch(e, 0.1, threads, None) for e in (1, 2)])
        sides.append([x.tobytes() for x in exported(trainer)])
    assert sides == [sides[0]] * 4
    assert losses == [losses[0]] * 4


@pytest.mark.parametrize("loss", LOSSES)
def test_a_positive_may_be_left_without_negatives(loss):
    """The only item is the positive: it is no negative of itself."""
    rows = np.zeros(1, np.int32)
    trainer = trainer_of(rows, rows, 1, 1, loss=loss, negatives=[("uniform", 3)])
    start = [x[0, :FACTORS].astype(np.float64) for x in exported(trainer)]
    z = start[0] @ start[1]
    alone = {
        "softmax": 0.0,
        "bsl": -z,
        "bpr": 0.0,
        "pairwise-hinge": 0.0,
        "logistic": np.logaddexp(0, -z),
        "ccl": 1 - z,
    }
    assert trainer.epoch(1, 0.1, 1, None) == pytest.approx(alone[loss], abs=1e-6)
    gains = exported(trainer)[0][0] @ exported(trainer)[1][0] - z
    assert gains > 0.1 if loss in ("bsl", "logistic", "ccl") else gains == pytest.approx(0, abs=1e-6)


def test_the_seed_decides():
    users, items = some_pairs()

    def rows(seed):
        trainer = trainer_of(users, items, negatives=[("uniform", 8)], seed=seed)
        trainer.epoch(1, 0.1, 1, None)
        return exported(trainer)[0]

    np.testing.assert_array_equal(rows(1), rows(1))
    assert (rows(1) != rows(2)).any()


def test_a_state_can_be_gone_back_to():
    users, items = some_pairs()
    trainer = trainer_of(users, items, optimizer="adam", learn_temperature=True, negatives=[("uniform", 16)])
    trainer.epoch(1, 0.1, 1, None)
    trainer.checkpoint(1)
    first = trainer.epoch(2, 0.1, 1, None), [x.tobytes() for x in exported(trainer)], trainer.temperature
    trainer.restore(1)
    assert (trainer.epoch(2, 0.1, 1, None), [x.tobytes() for x in exported(trainer)], trainer.temperature) == first


def test_a_step_that_is_too_long_is_told():
    users, items = some_pairs()
    trainer = trainer_of(users, items)
    assert np.isnan(trainer.epoch(1, 1e38, 1, None))
