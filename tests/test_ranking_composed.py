"""Ranking losses over vectors that are sums of parameters, against NumPy in float64, and the trainer's promises."""

import numpy as np
import pytest

import oracle_ranking as oracle
from mcfast import _core
from test_ranking_losses import FACTORS, LOSSES, MARGIN, WEIGHT, exported, some_pairs, trainer_of

N_USERS, N_ITEMS = 8, 7
WIDTH = 32  # of rows of FACTORS
PAIRS = [(0, 1), (0, 2), (0, 5), (1, 1), (2, 6), (3, 3), (4, 0), (5, 4), (6, 2), (7, 6), (7, 0), (7, 1)]


def terms_of(n, n_values, seed, histories=None, n_items=0, power=0.5, units=0):
    """Random attributes of n rows, after their ids and the default one; histories; and a tower."""
    rng = np.random.default_rng(seed)
    rows, starts, coefficients, ends = [], [], [], [0]
    for row in range(n):
        own = [row, *(n + 1 + rng.permutation(n_values)[: rng.integers(0, 4)])]
        past = [] if histories is None else [n + 1 + n_values + item for item in histories[row]]
        starts.append(ends[-1] + len(own))
        coefficients += [1.0, *rng.normal(size=len(own) - 1)] + [max(len(past), 1) ** -power] * len(past)
        rows += own + past
        ends.append(len(rows))
    first_item = n + 1 + n_values
    return (
        np.array(ends), np.array(rows, np.int32), np.array(coefficients, np.float32),
        first_item + n_items + (2 * units + 1 + -(-units // WIDTH) if units else 0), n,
        None if histories is None else np.array(starts), first_item, power, units,
    )  # fmt: skip


def histories_of(pairs, n_users):
    return [[i for u, i in pairs if u == user] for user in range(n_users)]


def longer(histories, n_items):
    """Histories with up to two items more than the positives."""
    return [sorted({*items, user % n_items, (user + 3) % n_items}) for user, items in enumerate(histories)]


KINDS = {
    "attributes": (terms_of(N_USERS, 5, 1), terms_of(N_ITEMS, 4, 2)),
    "history": (
        terms_of(N_USERS, 3, 1, longer(histories_of(PAIRS, N_USERS), N_ITEMS), N_ITEMS),
        terms_of(N_ITEMS, 0, 2),
    ),
    "mean history": (
        terms_of(N_USERS, 0, 1, histories_of(PAIRS, N_USERS), N_ITEMS, 1.0),
        terms_of(N_ITEMS, 3, 2),
    ),
    "towers": (
        terms_of(N_USERS, 3, 1, longer(histories_of(PAIRS, N_USERS), N_ITEMS), N_ITEMS, units=48),
        terms_of(N_ITEMS, 4, 2, units=16),
    ),
}


def some_tables(terms, rng):
    """Random parameters as the trainer has them: without anything where rows are padded."""
    tables = [rng.normal(size=(side[3], WIDTH)) for side in terms]
    for table, side in zip(tables, terms, strict=True):
        biases = -(-side[8] // WIDTH)
        table[: len(table) - biases, FACTORS:] = 0
        if side[8]:
            table[len(table) - biases - 1 - 2 * side[8] :] *= 0.3
    return tables


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("cosine", [False, True], ids=["ip", "cosine"])
def test_gradients_of_the_oracle(loss, cosine, kind):
    terms, rng = KINDS[kind], np.random.default_rng(3)
    tables = some_tables(terms, rng)

    def objective(at):
        return oracle.composed_step(PAIRS, at, terms, loss, cosine, 0.7, 0.1, MARGIN, WEIGHT)

    slopes = objective(tables)[2]
    for side in (0, 1):
        for _ in range(4):
            along = rng.normal(size=tables[side].shape)
            ends = []
            for h in (1e-6, -1e-6):
                moved = list(tables)
                moved[side] = tables[side] + h * along
                ends.append(objective(moved)[1])
            assert (slopes[side] * along).sum() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("cosine", [False, True], ids=["ip", "cosine"])
@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_steps_are_those_of_numpy(loss, cosine, kind, optimizer):
    terms, temperature, l2 = KINDS[kind], 0.4 if cosine else 2.0, 0.05
    users, items = (np.array(side, np.int32) for side in zip(*PAIRS, strict=True))
    trainer = trainer_of(
        users, items, N_USERS, N_ITEMS, loss=loss, cosine=cosine, temperature=temperature, l2=(l2, l2),
        optimizer=optimizer, user_terms=terms[0], item_terms=terms[1],
    )  # fmt: skip
    rng = np.random.default_rng(4)
    tables = [table.astype(np.float32) for table in some_tables(terms, rng)]
    for table, into in zip(tables, (trainer.import_users, trainer.import_items), strict=True):
        into(np.arange(len(table), dtype=np.int32), table)
    sides = [oracle.Rows(table, False, optimizer, FACTORS) for table in tables]
    for epoch in range(1, 4):
        total, _, slopes = oracle.composed_step(
            PAIRS, [side.rows for side in sides], terms, loss, cosine, temperature, l2, MARGIN, WEIGHT
        )
        assert trainer.epoch(epoch, 0.1, 1, None) == pytest.approx(total / len(PAIRS), rel=1e-4)
        met = [oracle.parts(terms[0], *pair) for pair in PAIRS], [oracle.parts(terms[1], i) for i in range(N_ITEMS)]
        for made, of in zip(met, terms, strict=True):
            made.append([(p, 1) for p in oracle.tower_rows(of, WIDTH)])
        for side, slope, made in zip(sides, slopes, met, strict=True):
            for row in {p for sum_of in made for p, _ in sum_of}:
                side.step(row, slope[row], 0.1)
    for found, side in zip((trainer.user_parameters(), trainer.item_parameters()), sides, strict=True):
        np.testing.assert_allclose(found, side.rows, atol=1e-3)
    for found, side, made in zip(exported(trainer), sides, terms, strict=True):
        whole = [oracle.composed(made, side.rows, oracle.parts(made, row))[0] for row in range(len(made[0]) - 1)]
        expected = np.array([x / np.linalg.norm(x) if cosine else x for x in whole])
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("negatives", [[("uniform", 90)], [("hard", 40), ("popularity", 60)]], ids=str)
@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
@pytest.mark.parametrize("cosine", [False, True], ids=["ip", "cosine"])
def test_threads_do_not_change_a_bit(negatives, optimizer, cosine):
    users, items = some_pairs(n=5000, n_users=300, n_items=200)
    histories = histories_of(list(zip(users.tolist(), items.tolist(), strict=True)), 300)
    terms = terms_of(300, 20, 1, histories, 200, units=16), terms_of(200, 10, 2, units=32)
    ways = []
    for threads in (1, 2, 3, 7):
        trainer = trainer_of(
            users, items, 300, 200, negatives=negatives, cosine=cosine, optimizer=optimizer, dropout=0.2, l2=(0.1, 0.1),
            learn_temperature=True, batch=1500, threads=threads, user_terms=terms[0], item_terms=terms[1],
            id_dropout=0.3,
        )  # fmt: skip
        losses = [trainer.epoch(e, 0.1, threads, None) for e in (1, 2)]
        tables = trainer.user_parameters(), trainer.item_parameters(), *exported(trainer)
        ways.append((losses, [table.tobytes() for table in tables]))
    assert ways == [ways[0]] * 4


def test_ids_are_dropped_for_the_default_one():
    """A dropped id does not move; the default one moves in its place."""
    users, items = (np.array(side, np.int32) for side in zip(*PAIRS, strict=True))
    for share in (0.0, 0.5, 1.0):
        trainer = trainer_of(
            users, items, N_USERS, N_ITEMS, user_terms=terms_of(N_USERS, 0, 1), id_dropout=share, item_terms=None
        )
        before = trainer.user_parameters()
        trainer.epoch(1, 0.1, 1, None)
        moved = (trainer.user_parameters() != before).any(axis=1)
        assert moved[N_USERS] == (share > 0)
        assert moved[:N_USERS].all() == (share == 0)
        assert moved[:N_USERS].any() == (share < 1)
        assert trainer.item_parameters() is None


def test_parameters_without_positives_are_zero():
    users, items = np.array([0, 1], np.int32), np.array([0, 1], np.int32)
    rows = np.array([0, 4, 1, 4, 3, 5], np.int32)
    terms = np.array([0, 2, 4, 6]), rows, np.ones(6, np.float32), 6, 3, None, 0, 1.0, 0
    trainer = trainer_of(users, items, 3, 2, user_terms=terms)
    assert trainer.user_parameters().any(axis=1).tolist() == [True, True, False, True, True, False]


def test_a_tower_starts_as_nothing():
    users, items = (np.array(side, np.int32) for side in zip(*PAIRS, strict=True))
    found = []
    for units in (0, 32):
        terms = terms_of(N_USERS, 3, 1, units=units), terms_of(N_ITEMS, 4, 2, units=units)
        trainer = trainer_of(users, items, N_USERS, N_ITEMS, user_terms=terms[0], item_terms=terms[1])
        found.append([vectors.tobytes() for vectors in exported(trainer)])
        trainer.epoch(1, 0.1, 1, None)
    assert found[0] == found[1]
    weights = trainer.user_parameters()[-67:]  # 32 and 32 rows, those of outputs' and of units' biases
    assert weights[:65].any(axis=1).all()


def test_a_state_can_be_gone_back_to():
    terms = KINDS["history"]
    users, items = (np.array(side, np.int32) for side in zip(*PAIRS, strict=True))
    trainer = trainer_of(users, items, N_USERS, N_ITEMS, user_terms=terms[0], item_terms=terms[1], id_dropout=0.2)
    trainer.checkpoint(1)
    first = trainer.epoch(1, 0.1, 1, None), trainer.user_parameters().tobytes()
    trainer.restore(1)
    assert (trainer.epoch(1, 0.1, 1, None), trainer.user_parameters().tobytes()) == first


def test_every_instruction_set_composes():
    terms, found = KINDS["history"], []
    users, items = (np.array(side, np.int32) for side in zip(*PAIRS, strict=True))
    chosen = _core.build_info()["isa"]
    for isa in _core.build_info()["isa_available"]:
        _core.set_isa(isa)
        trainer = trainer_of(users, items, N_USERS, N_ITEMS, user_terms=terms[0], item_terms=terms[1], cosine=True)
        trainer.epoch(1, 0.1, 1, None)
        found.append(trainer.user_parameters())
    _core.set_isa(chosen)
    for one in found[1:]:
        np.testing.assert_allclose(one, found[0], atol=1e-4)
