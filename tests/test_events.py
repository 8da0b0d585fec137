"""score_events: points of what happened between a user and an item, from long and wide logs."""

from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from mcfast import score_events

POINTS = {"exposure": 0, "click": 1, "like": 1, "collect": 1, "share": 1}
ACTIONS = [*POINTS, "hate"]
EVENT = st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.sampled_from(ACTIONS), st.integers(-5, 5))


def long_log(events):
    return pd.DataFrame(events, columns=["user", "item", "action", "at"])


def listed(triples):
    columns = triples.to_arrow().to_pydict()
    columns.setdefault("time", [0] * len(triples))
    return list(zip(*(columns[name] for name in ("user", "item", "score", "time")), strict=True))


@given(st.lists(EVENT, max_size=40), st.booleans(), st.sampled_from([1, 2, 7]))
def test_long_logs_match_the_oracle(events, own_points, threads):
    points = (
        {"hate": -2.0, "click": 0.1, "share": 0.2, "like": 0.7, "exposure": 0.05, "collect": 3}
        if own_points
        else POINTS
    )
    ignore = [] if own_points else ["hate"]
    expected = oracle.score_log(events, points, ignore)
    options = {"event": "action", "points": points if own_points else None, "ignore": ignore, "time": "at"}
    if not expected:
        with pytest.raises(ValueError, match="no events"):
            score_events(long_log(events), **options)
        return
    triples = score_events(long_log(events), **options, threads=threads)
    assert listed(triples) == expected
    assert triples.n_duplicates == 0
    assert set(triples.user_ids.values) == {user for user, _, _, _ in expected}
    assert set(triples.item_ids.values) == {item for _, item, _, _ in expected}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), *[st.booleans()] * 3), min_size=1, max_size=30))
def test_a_wide_log_is_a_long_one_laid_out_otherwise(rows):
    named = {"is_click": "click", "is_like": "like", "is_forward": "share"}
    wide = pd.DataFrame(rows, columns=["user", "item", *named])
    events = []
    for place, (user, item, *flags) in enumerate(rows):
        happened = [action for action, flag in zip(named.values(), flags, strict=True) if flag]
        events += [(user, item, action, place) for action in ["exposure", *happened]]
    expected = listed(score_events(long_log(events), event="action"))
    assert listed(score_events(wide, actions=named)) == expected
    assert listed(score_events(wide.astype({"is_click": int, "is_like": float}), actions=named)) == expected


def test_a_user_can_show_all_interest():
    events = [("u", "i", action, 0) for action in [*POINTS, "click", "click"]]
    assert score_events(long_log(events), event="action").scores.tolist() == [4]


def test_an_action_counts_without_an_exposure():
    assert score_events(long_log([("u", "i", "like", 0)]), event="action").scores.tolist() == [1]


def test_two_columns_can_tell_of_one_action():
    wide = pd.DataFrame({"user": [1, 1], "item": [1, 2], "tap": [1, 0], "press": [1, 0]})
    assert score_events(wide, actions={"tap": "click", "press": "click"}).scores.tolist() == [1, 0]


def test_columns_named_after_their_actions():
    wide = pl.DataFrame({"uid": ["a", "b"], "iid": [1, 1], "click": [True, False], "like": [True, False]})
    triples = score_events(wide, user="uid", item="iid", actions=["click", "like"])
    assert listed(triples) == [("a", 1, 2, 0), ("b", 1, 0, 0)]


def test_ignored_columns_are_not_read():
    wide = pd.DataFrame({"user": [1], "item": [1], "click": [1]})
    assert score_events(wide, actions=["click", "hate"], ignore="hate").scores.tolist() == [1]


def test_points_of_an_exposure_in_a_wide_log():
    wide = pd.DataFrame({"user": [1, 1], "item": [1, 2], "buy": [1, 0]})
    assert score_events(wide, actions=["buy"], points={"exposure": 0.5, "buy": 2}).scores.tolist() == [2.5, 0.5]
    assert score_events(wide, actions=["buy"], points={"buy": 2}).scores.tolist() == [2, 0]


def test_actions_may_be_numbers():
    log = pd.DataFrame({"user": [1, 1], "item": [1, 1], "e": [10, 20]})
    assert score_events(log, event="e", points={10: 1, 20: 2}).scores.tolist() == [3]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files(tmp_path, suffix):
    log = pa.Table.from_pandas(long_log([("u", 1, "click", 5), ("u", 1, "exposure", 4), ("v", 1, "exposure", 3)]))
    path = tmp_path / f"log.{suffix}"
    log.to_pandas().to_csv(path, index=False) if suffix == "csv" else pq.write_table(log, path)
    triples = score_events(path, event="action", time="at")
    assert listed(triples) == [("u", 1, 1, 5), ("v", 1, 0, 3)]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, ValueError, "event, actions: got neither, expected one of them"),
        ({"event": "action", "actions": ["click"]}, ValueError, "event, actions: got both"),
        ({"event": "action"}, ValueError, "column 'action': got the actions 'hate', expected those .*'click', 'like'"),
        (
            {"event": "what"},
            ValueError,
            "got 'what', expected one of the columns of .*: 'user', 'item', 'action', 'at'",
        ),
        ({"event": "action", "ignore": ["hate", "click"]}, ValueError, "source: got no events"),
        ({"event": "action", "points": {"hate": np.nan, "click": 1}}, ValueError, r"points\['hate'\]: got nan"),
        ({"event": "action", "points": {"hate": "1"}}, TypeError, r"points\['hate'\]: got '1'"),
        ({"actions": ["is_hate"]}, ValueError, "actions: got the actions 'is_hate'"),
        ({"actions": {"at": "click"}}, ValueError, "column 'at': got 2 in row 0, expected 0 or 1"),
        ({"actions": {"action": "click"}}, TypeError, "column 'action': got values of .*string"),
        ({"actions": "click"}, TypeError, "actions: got 'click' .str., expected a mapping"),
    ],
)
def test_wrong_arguments(options, error, text):
    with pytest.raises(error, match=text):
        score_events(long_log([("u", "i", "hate", 2), ("u", "i", "click", 2)]), **options)


def test_real_exposures(data_folder):
    actions = {"is_click": "click", "is_like": "like", "is_follow": "collect", "is_forward": "share"}
    path = data_folder / "kuairand-pure" / "events-2022-04-25.parquet"
    triples = score_events(path, user="user_id", item="video_id", actions=actions, time="time_ms")
    frame = pd.read_parquet(path).groupby(["user_id", "video_id"], sort=False)
    expected = frame[list(actions)].max().sum(axis=1)
    assert triples.scores.tolist() == expected.tolist()
    assert triples.times.tolist() == frame["time_ms"].max().tolist()
    pairs = zip(triples.user_ids.take(triples.users), triples.item_ids.take(triples.items), strict=True)
    assert list(pairs) == expected.index.tolist()


def test_every_combination_of_actions():
    flags = pd.DataFrame(list(product([0, 1], repeat=4)), columns=["click", "like", "collect", "share"])
    wide = flags.assign(user=1, item=range(16))
    assert score_events(wide, actions=list(flags)).scores.tolist() == flags.sum(axis=1).tolist()
