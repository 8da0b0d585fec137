"""Splits: both parts together are the whole, under one vocabulary, and each rule picks what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcfast import Triples

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=40, unique=True)


def timed(pairs, times=None):
    users, items = zip(*pairs, strict=True)
    return Triples.from_arrays(users, items, np.arange(len(pairs)), times)


def check_partition(whole, train, test):
    places = np.concatenate([train.scores, test.scores])  # a triple's score is its place
    assert sorted(places) == whole.scores.tolist()
    for part in (train, test):
        assert part.user_ids is whole.user_ids
        assert part.item_ids is whole.item_ids
        assert part.users.tolist() == whole.users[part.scores.astype(int)].tolist()


@given(PAIRS, st.floats(0, 1), st.integers(0, 3))
def test_random(pairs, fraction, seed):
    whole = timed(pairs)
    train, test = whole.split_random(fraction, seed=seed)
    check_partition(whole, train, test)
    order = np.random.default_rng(seed).permutation(len(pairs))
    n_test = round(fraction * len(pairs))
    assert train.scores.tolist() == order[: len(pairs) - n_test].tolist()
    assert test.scores.tolist() == order[len(pairs) - n_test :].tolist()


@given(PAIRS, st.floats(0, 1), st.data())
def test_temporal_fraction(pairs, fraction, data):
    times = data.draw(st.lists(st.integers(-3, 3), min_size=len(pairs), max_size=len(pairs)))
    whole = timed(pairs, times)
    train, test = whole.split_temporal(fraction)
    check_partition(whole, train, test)
    by_time = sorted(range(len(pairs)), key=lambda place: (times[place], place))
    n_test = round(fraction * len(pairs))
    assert test.scores.tolist() == sorted(by_time[len(pairs) - n_test :])
    assert train.scores.tolist() == sorted(by_time[: len(pairs) - n_test])


@given(PAIRS, st.integers(-4, 4), st.data())
def test_temporal_after(pairs, after, data):
    times = data.draw(st.lists(st.integers(-3, 3), min_size=len(pairs), max_size=len(pairs)))
    whole = timed(pairs, times)
    train, test = whole.split_temporal(after=after)
    check_partition(whole, train, test)
    assert test.scores.tolist() == [place for place, time in enumerate(times) if time > after]


@given(PAIRS, st.integers(1, 3), st.data())
def test_leave_last(pairs, n, data):
    times = data.draw(st.lists(st.integers(-3, 3), min_size=len(pairs), max_size=len(pairs)))
    whole = timed(pairs, times)
    train, test = whole.split_leave_last(n)
    check_partition(whole, train, test)
    expected = []
    for user in range(6):
        mine = sorted((times[place], place) for place, (owner, _) in enumerate(pairs) if owner == user)
        if len(mine) > n:
            expected += [place for _, place in mine[-n:]]
    assert test.scores.tolist() == sorted(expected)


@pytest.mark.parametrize("side", ["users", "items"])
@given(pairs=PAIRS, fraction=st.floats(0, 1), seed=st.integers(0, 3))
def test_cold(side, pairs, fraction, seed):
    whole = timed(pairs)
    train, test = getattr(whole, f"split_cold_{side}")(fraction, seed=seed)
    check_partition(whole, train, test)
    warm, cold = (set(getattr(part, side).tolist()) for part in (train, test))
    assert not warm & cold
    assert len(cold) == round(fraction * len(warm | cold))
    for part in (train, test):
        assert (np.diff(part.scores) > 0).all()
    assert getattr(whole, f"split_cold_{side}")(fraction, seed=seed)[1].scores.tolist() == test.scores.tolist()


def test_the_seed_draws_the_cold_items():
    whole = timed([(0, item) for item in range(30)])
    drawn = {tuple(whole.split_cold_items(seed=seed)[1].items) for seed in range(5)}
    assert len(drawn) == 5
    assert {len(items) for items in drawn} == {6}


def test_defaults_are_a_tenth_and_one():
    whole = timed([(0, item) for item in range(30)], range(30))
    assert len(whole.split_random()[1]) == len(whole.split_temporal()[1]) == 3
    assert whole.split_leave_last()[1].scores.tolist() == [29]


@pytest.mark.parametrize(
    ("split", "error", "text"),
    [
        (lambda t: t.split_random(1.5), ValueError, "fraction: got 1.5"),
        (lambda t: t.split_random(-0.1), ValueError, "fraction: got -0.1"),
        (lambda t: t.split_random(True), TypeError, "fraction: got True"),
        (lambda t: t.split_cold_items(1.5), ValueError, "fraction: got 1.5"),
        (lambda t: t.split_cold_users(seed=-1), ValueError, "seed: got -1"),
        (lambda t: t.split_random(seed=-1), ValueError, "seed: got -1"),
        (lambda t: t.split_temporal(0.1), ValueError, "triples: got triples without times"),
        (lambda t: t.split_temporal(after=3), ValueError, "triples: got triples without times"),
        (lambda t: t.split_leave_last(), ValueError, "triples: got triples without times"),
    ],
)
def test_wrong_arguments(split, error, text):
    with pytest.raises(error, match=text):
        split(timed([(0, 0), (0, 1)]))


@pytest.mark.parametrize(
    ("split", "error", "text"),
    [
        (lambda t: t.split_temporal(0.1, after=3), ValueError, "fraction, after: got both"),
        (lambda t: t.split_temporal(after=0.5), TypeError, "after: got 0.5"),
        (lambda t: t.split_leave_last(0), ValueError, "n: got 0"),
    ],
)
def test_wrong_arguments_with_times(split, error, text):
    with pytest.raises(error, match=text):
        split(timed([(0, 0), (0, 1)], [1, 2]))
