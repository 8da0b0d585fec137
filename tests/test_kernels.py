"""The compiled core on every instruction set of this machine against the oracle."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from mcfast import _core
from mcfast.bits import packed

ISAS = _core.build_info()["isa_available"]
FACTORS = [1, 2, 3, 15, 16, 17, 32, 33, 64, 100, 128, 130, 200, 1024]
every_isa = pytest.mark.parametrize("isa", ISAS)


@contextmanager
def using(isa):
    before = _core.build_info()["isa"]
    _core.set_isa(isa)
    try:
        yield
    finally:
        _core.set_isa(before)


def padded(rows):
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % _core.row_alignment))).astype(np.float32)


def spread(random, *shape):
    """Numbers whose magnitudes differ so much that another order of a sum has other bits."""
    return (random.standard_normal(shape) * 10.0 ** random.integers(-6, 6, shape)).astype(np.float32)


# --- predictions --------------------------------------------------------------------------------------------------


@every_isa
@pytest.mark.parametrize("factors", FACTORS)
def test_predictions_have_the_bits_of_the_oracle(isa, factors):
    random = np.random.default_rng(factors)
    users, items = padded(spread(random, 9, factors)), padded(spread(random, 7, factors))
    user_offsets, item_offsets = random.standard_normal(9), spread(random, 7)
    expected = oracle.predictions(users, items, user_offsets, item_offsets)
    user_rows, item_rows = (x.ravel().astype(np.int32) for x in np.indices((9, 7)))
    with using(isa):
        for threads in (1, 3):
            block = _core.predict_block(users, items, user_offsets, item_offsets, threads)
            pairs = _core.predict_pairs(users, items, user_offsets, item_offsets, user_rows, item_rows, threads)
            assert block.tobytes() == pairs.tobytes() == expected.tobytes()


# --- exact search -------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_exact_search_under_filters_is_the_oracle(data):
    n, n_queries, factors = (data.draw(st.integers(1, most), name) for most, name in ((300, "n"), (5, "q"), (20, "f")))
    k = data.draw(st.one_of(st.integers(1, 20), st.just(n), st.just(n + 3)), "k")
    random = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    norms = 10.0 ** random.uniform(-20, data.draw(st.sampled_from([-19, 0, 15]), "largest"), (n, 1))
    items, queries = padded(norms * random.standard_normal((n, factors))), padded(random.random((n_queries, factors)))
    items[random.random(n) < 0.2] = items[0]
    items[random.random(n) < 0.1] = 0
    offsets = data.draw(st.sampled_from([None, random.standard_normal(n).astype(np.float32)]), "offsets")
    allow = data.draw(st.sampled_from([None, (random.random(n) < 0.5).astype(np.uint8)]), "allow")
    excluded = [np.flatnonzero(random.random(n) < share) for share in random.random(n_queries)]
    indptr = np.cumsum([0] + [len(rows) for rows in excluded])
    rows_out = np.concatenate(excluded).astype(np.int32)
    scores = oracle.recall_scores(items, queries, "ip", offsets)
    expected_rows, expected_scores = oracle.nearest(scores, k, excluded, allow)
    bits = None if allow is None else packed(allow)
    for isa in ISAS:
        with using(isa):
            index = _core.Exact(items, offsets, 1)
            rows, values, counts = index.search(queries, k, indptr, rows_out, bits, 2)
        np.testing.assert_array_equal(rows, expected_rows)
        assert values.tobytes() == expected_scores.tobytes()
        np.testing.assert_array_equal(counts, np.sum(expected_rows >= 0, axis=1))


# --- training -----------------------------------------------------------------------------------------------------


def exported(trainer):
    sides = []
    for export, n in ((trainer.export_users, trainer.n_users), (trainer.export_items, trainer.n_items)):
        factors, biases = np.empty((n, trainer.width), np.float32), np.empty(n, np.float32)
        export(factors, biases, 1)
        sides.append((factors, biases))
    return sides


@every_isa
@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("factors", FACTORS)
def test_an_epoch_is_the_oracles(isa, biases, factors):
    # Users share no item, so that their order, which is the trainer's own, does not matter.
    random = np.random.default_rng(factors)
    users = np.repeat(np.arange(5), 20).astype(np.int32)
    items = (users * 4 + random.integers(0, 4, 100)).astype(np.int32)
    scores = (random.integers(1, 11, 100) / 2).astype(np.float32)
    with using(isa):
        l2 = (0.05, 0.03, 0.02)
        trainer = _core.Trainer(
            users, items, scores, None, 5, 20, factors, biases, "squared", l2, (0, 0), False, False, 3, (1, 1), 1
        )
        before = exported(trainer)
        loss = trainer.epoch(1, 0.1, 1, None)
    assert (trainer.mean, trainer.blocks) == (pytest.approx(scores.mean() if biases else 0), (1, 1))
    assert trainer.scale == pytest.approx(scores.std())

    # The trainer works in units of the standard deviation; what it exports is in the units of the scores.
    unit = trainer.scale
    sides = [oracle.Side(f[:, :factors] / np.sqrt(unit), b / unit) for f, b in before]
    triples = zip(users, items, (scores.astype(float) - trainer.mean) / unit, np.ones(100), strict=True)
    expected = oracle.sgd_epoch(triples, *sides, 0.1, l2, biases=biases)
    assert loss == pytest.approx(expected / 100 * unit**2, rel=1e-5)
    for side, (got_factors, got_biases) in zip(sides, exported(trainer), strict=True):
        np.testing.assert_allclose(got_factors[:, :factors], side.factors * np.sqrt(unit), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got_biases, side.biases * unit, rtol=1e-4, atol=1e-5)
        assert not got_factors[:, factors:].any()


# --- ranking measures ---------------------------------------------------------------------------------------------


@given(data=st.data())
def test_ranking_measures_are_the_oracles(data):
    n_users, length, n_items = (data.draw(st.integers(1, most)) for most in (6, 12, 20))
    cuts = sorted(data.draw(st.sets(st.integers(1, 15), min_size=1), "cuts"))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    ranked = np.full((n_users, length), -1, np.int64)
    relevant = []
    for user in range(n_users):
        real = random.permutation(n_items)[: random.integers(0, length + 1)]
        ranked[user, : len(real)] = real
        relevant.append(np.sort(random.permutation(n_items)[: random.integers(0, n_items + 1)]))
    unknown = random.integers(0, 3, n_users)  # relevant items that no list can hold
    got = _core.ranking_measures(
        ranked,
        np.cumsum([0] + [len(rows) for rows in relevant]),
        np.concatenate(relevant).astype(np.int32),
        np.array([len(rows) for rows in relevant]) + unknown,
        cuts,
        2,
    )
    assert got.shape == (n_users, len(cuts), len(_core.measures))
    for row, rows, more, measured in zip(ranked, relevant, unknown, got, strict=True):
        if len(rows) + more == 0:
            assert np.isnan(measured).all()
            continue
        expected = oracle.ranking_measures(row[row >= 0], [*rows, *range(-10, -10 + more)], cuts)
        for cut, at in zip(cuts, measured, strict=True):
            assert dict(zip(_core.measures, at, strict=True)) == pytest.approx(expected[cut])
