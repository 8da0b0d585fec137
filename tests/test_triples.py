"""Triples: from arrays and sparse matrices, duplicates, selection, and everything that fit takes for them."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import mcfast
import oracle
from mcfast import Triples
from mcfast.data.triples import as_triples

SCORES = st.integers(-40, 40).map(lambda n: n / 8)


def listed(triples):
    """The triples as rows of ids."""
    columns = triples.to_arrow().to_pydict()
    columns.setdefault("time", [0] * len(triples))
    return list(zip(*(columns[name] for name in ("user", "item", "score", "time")), strict=True))


def test_ids_outside_rows_inside():
    triples = Triples.from_arrays([7, -7, 7], ["b", "a", "a"], [1, 2.5, 0], [3, 1, 2])
    assert (triples.users.tolist(), triples.items.tolist()) == ([0, 1, 0], [0, 1, 1])
    assert [array.dtype for array in (triples.users, triples.items, triples.scores, triples.times)] == [
        np.int32,
        np.int32,
        np.float32,
        np.int64,
    ]
    assert (triples.n_users, triples.n_items, len(triples), triples.n_duplicates) == (2, 2, 3, 0)
    assert listed(triples) == [(7, "b", 1, 3), (-7, "a", 2.5, 1), (7, "a", 0, 2)]


@pytest.mark.parametrize(
    "scores",
    [
        [1, 2],
        (1.0, 2.0),
        np.array([1, 2], np.float64),
        np.array([1, 2], np.uint8),
        np.array([[1, 0], [2, 0]], np.float32)[:, 0],
        pd.Series([1, 2], dtype="Int16"),
        pd.Series([1.0, 2.0]),
        pl.Series([1, 2]),
        pa.chunked_array([[1.0], [2.0]]),
        pa.array([1, 2], pa.float16()),
    ],
)
def test_every_form_of_scores(scores):
    triples = Triples.from_arrays([0, 1], [0, 1], scores)
    assert triples.scores.dtype == np.float32
    assert triples.scores.tolist() == [1, 2]


@pytest.mark.parametrize(
    "times",
    [
        [3, 86400],
        np.array([3, 86400], np.uint64),
        [3.0, 86400.0],
        np.array([3, 86400], "M8[s]"),
        pd.Series(np.array([3, 86400], "M8[s]")),
        pl.Series([3, 86400]),
        pa.chunked_array([[3], [86400]], pa.timestamp("s", "UTC")),
        pa.array([3, 86400], pa.int32()),
    ],
)
def test_every_form_of_times(times):
    triples = Triples.from_arrays([0, 1], [0, 1], [0, 0], times)
    assert triples.times.dtype == np.int64
    assert triples.times.tolist() == [3, 86400]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([1, 2], [1], [1, 2]), ValueError, "users, items, scores: got 2 users, 1 items, 2 scores"),
        (([1], [1], [1], [1, 2]), ValueError, "users, items, scores, times: got 1 users, .* 2 times"),
        (([], [], []), ValueError, "no rows, expected at least one"),
        (([1], [1], ["x"]), TypeError, "scores: got values of dtype <U1"),
        (([1], [1], pa.array(["x"])), TypeError, "scores: got values of type string, 'x' the first"),
        (([1, 1], [1, 2], [1, np.nan]), ValueError, r"scores: got nan at \[1\]"),
        (([1, 1], [1, 2], [1, np.inf]), ValueError, r"scores: got inf at \[1\]"),
        (([1], [1], [1e300]), ValueError, r"scores: got 1e\+300 at \[0\]"),
        (([1, 1], [1, 2], pa.array([1, None])), ValueError, r"scores: got a missing value \(null\) in row 1"),
        (([1], [1], [[1]]), ValueError, r"scores: got shape \(1, 1\)"),
        (([1.5], [1], [1]), TypeError, "users: got 1.5"),
        (([1], [1.5], [1]), TypeError, "items: got 1.5"),
        (([1], [1], [1], [0.5]), ValueError, "times: got 0.5 in row 0"),
        (([1], [1], [1], [2.0**63]), ValueError, "times: got 9.2.* in row 0"),
        (([1], [1], [1], [np.nan]), ValueError, "times: got nan in row 0"),
        (([1], [1], [1], np.array(["NaT"], "M8[s]")), ValueError, "times: got a missing value .* in row 0"),
        (([1], [1], [1], ["2020"]), TypeError, "times: got values of dtype <U4"),
        (([1], [1], [1], [True]), TypeError, "times: got values of dtype bool"),
    ],
)
def test_wrong_columns(arguments, error, text):
    with pytest.raises(error, match=text):
        Triples.from_arrays(*arguments)


@pytest.mark.parametrize("mode", ["last", "mean", "sum"])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from("abc"), SCORES, st.integers(-2, 2)), min_size=1, max_size=40
    ),
    timed=st.booleans(),
    threads=st.sampled_from([1, 2, 7]),
)
def test_duplicates_match_the_oracle(mode, rows, timed, threads):
    users, items, scores, times = zip(*rows, strict=True)
    given_times = times if timed else None
    triples = Triples.from_arrays(users, items, scores, given_times, duplicates=mode, threads=threads)
    rows = [(user, item, score, time if timed else None) for user, item, score, time in rows]
    expected = oracle.merge_duplicates(rows, mode)
    assert listed(triples) == expected
    assert triples.n_duplicates == len(rows) - len(expected)


def test_a_duplicate_can_be_an_error():
    with pytest.raises(
        ValueError, match=r"duplicates: got 2 repeated pairs, the first one in row 2 \(user a, item 5\)"
    ):
        Triples.from_arrays(["a", "b", "a", "a"], [5, 5, 5, 5], [1, 2, 3, 4], duplicates="error")
    assert Triples.from_arrays([1, 1], [1, 2], [1, 2], duplicates="error").n_duplicates == 0
    with pytest.raises(ValueError, match="duplicates: got 'first', expected one of 'last', 'mean', 'sum', 'error'"):
        Triples.from_arrays([1], [1], [1], duplicates="first")


def test_a_sum_beyond_float32_is_an_error():
    with pytest.raises(ValueError, match=r"scores: got 6.*e\+38 at"):
        Triples.from_arrays([1, 1], [1, 1], [3e38, 3e38], duplicates="sum")


@pytest.mark.parametrize(
    "form", [sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix, sp.csc_matrix, sp.coo_matrix]
)
def test_from_sparse_keeps_the_shape_and_stored_zeros(form):
    m = form((np.array([1.0, 0.0, 3.0]), (np.array([0, 2, 2]), np.array([1, 0, 1]))), shape=(4, 2))
    triples = Triples.from_sparse(m, rows="users")
    assert sorted(listed(triples)) == [(0, 1, 1, 0), (2, 0, 0, 0), (2, 1, 3, 0)]
    assert (triples.n_users, triples.n_items) == (4, 2)
    assert triples.user_ids.values.tolist() == [0, 1, 2, 3]
    turned = Triples.from_sparse(m, rows="items", user_ids=["x", "y"], item_ids=[10, 20, 30, 40])
    assert sorted(listed(turned)) == [("x", 30, 0, 0), ("y", 10, 1, 0), ("y", 30, 3, 0)]
    assert (turned.n_users, turned.n_items) == (2, 4)


def test_from_sparse_merges_what_coo_repeats():
    m = sp.coo_array((np.array([1.0, 2.0]), (np.array([0, 0]), np.array([0, 0]))), shape=(1, 1))
    assert Triples.from_sparse(m, rows="users").scores.tolist() == [2]
    assert Triples.from_sparse(m, rows="users", duplicates="sum").scores.tolist() == [3]


@pytest.mark.parametrize(
    ("m", "options", "error", "text"),
    [
        (np.eye(2), {"rows": "users"}, TypeError, "m: got ndarray, expected a SciPy sparse"),
        (sp.eye_array(2), {}, TypeError, "rows"),
        (sp.eye_array(2), {"rows": "user"}, ValueError, "rows: got 'user', expected one of 'users', 'items'"),
        (sp.coo_array((2, 2)), {"rows": "users"}, ValueError, "no rows"),
        (sp.eye_array(2), {"rows": "users", "user_ids": [1]}, ValueError, "user_ids: got 1 ids, .*expected 2 distinct"),
        (sp.eye_array(2), {"rows": "users", "item_ids": [1, 1]}, ValueError, "item_ids: got 2 ids, 1 of them distinct"),
        (sp.coo_array((2**31, 1)), {"rows": "users"}, ValueError, "m: got shape .2147483648, 1., expected at most"),
        (sp.eye_array(2) * np.nan, {"rows": "users"}, ValueError, "m: got nan"),
    ],
)
def test_wrong_sparse_matrices(m, options, error, text):
    with pytest.raises(error, match=text):
        Triples.from_sparse(m, **options)


def test_select_keeps_vocabularies():
    triples = Triples.from_arrays([1, 2, 3], ["a", "b", "c"], [1, 2, 3], [4, 5, 6])
    for which in (triples.scores > 1, [1, 2], slice(1, None)):
        chosen = triples.select(which)
        assert listed(chosen) == [(2, "b", 2, 5), (3, "c", 3, 6)]
        assert (chosen.n_users, chosen.user_ids) == (3, triples.user_ids)
    assert len(triples.select(slice(0))) == 0
    assert len(triples.select([])) == 0


def test_concatenate_extends_vocabularies():
    a = Triples.from_arrays([1, 2], ["x", "y"], [1, 2], [0, 0])
    b = Triples.from_arrays([3, 1], ["y", "z"], [3, 4])
    both = a.concatenate(b)
    assert listed(both) == [(1, "x", 1, 0), (2, "y", 2, 0), (3, "y", 3, 0), (1, "z", 4, 0)]
    assert both.times is None
    assert a.concatenate(a).times.tolist() == [0, 0, 0, 0]


def test_repr_tells_what_is_there():
    triples = Triples.from_arrays([1, 2, 1], [5, 6, 5], [1, 0.5, 4], [1, 1, 1])
    assert repr(triples) == (
        "Triples(2 scores of 2 users and 2 items, density 0.5, scores 0.5 to 4, with times, 1 duplicates merged)"
    )
    assert repr(triples.select(slice(0))) == "Triples(0 scores of 2 users and 2 items, with times)"


FRAME = {"user": ["a", "b"], "item": [1, 2], "score": [3.0, 4.5]}
ROWS = [("a", 1, 3, 0), ("b", 2, 4.5, 0)]


@pytest.mark.parametrize(
    "data",
    [
        Triples.from_arrays(*FRAME.values()),
        tuple(FRAME.values()),
        pd.DataFrame(FRAME),
        pd.DataFrame({**FRAME, "other": [datetime.date.today(), None]}),
        pl.DataFrame(FRAME),
        pl.LazyFrame(FRAME),
        pa.table(FRAME),
        pa.RecordBatch.from_pydict(FRAME),
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_stands_for_triples(data):
    assert listed(as_triples(data)) == ROWS


def test_times_are_taken_where_they_are():
    assert as_triples((*FRAME.values(), [7, 8])).times.tolist() == [7, 8]
    assert as_triples(pd.DataFrame({**FRAME, "time": [7, 8]})).times.tolist() == [7, 8]
    assert as_triples(np.array([[1, 2, 3, 4]])).times.tolist() == [4]
    assert as_triples(pd.DataFrame(FRAME)).times is None


def test_arrays_of_rows():
    assert listed(as_triples(np.array([[1, 2, 3.5], [-4, 2, 0]]))) == [(1, 2, 3.5, 0), (-4, 2, 0, 0)]
    assert listed(as_triples(np.array([[1, 2, 3]], np.uint8))) == [(1, 2, 3, 0)]
    assert listed(as_triples(np.array([(1, "x", 2)], [("user", "i4"), ("item", "U1"), ("score", "f8")])))


def test_paths(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,score\na,1,3\nb,2,4.5\n")
    assert listed(as_triples(tmp_path / "a.csv")) == ROWS
    assert listed(as_triples(str(tmp_path / "a.csv"), threads=1)) == ROWS


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (sp.eye_array(2), TypeError, "triples: got .*expected Triples.from_sparse"),
        (sp.eye_array(2).tocsr(), TypeError, "triples: got csr_array, expected Triples.from_sparse"),
        (5, TypeError, "triples: got int, expected Triples, a tuple"),
        (None, TypeError, "triples: got NoneType"),
        ([1, 2, 3], TypeError, "triples: got list, expected Triples, a tuple"),
        (([1], [2]), ValueError, "triples: got a tuple of 2"),
        (np.zeros((2, 2)), ValueError, r"triples: got an array of shape \(2, 2\)"),
        (np.array([[1.5, 2, 3]]), ValueError, "users: got 1.5 in row 0, expected whole numbers"),
        (np.array([[1, np.nan, 3]]), ValueError, "items: got nan in row 0"),
        (
            pd.DataFrame({"user": [1], "score": [2]}),
            ValueError,
            "item: got 'item', expected one of the columns of the table: 'user', 'score'",
        ),
        (pd.DataFrame({"user": [1.0], "item": [1], "score": [2]}), TypeError, "users of triples: got values of dtype"),
        ("no/such.csv", FileNotFoundError, "no/such.csv: does not exist"),
    ],
)
def test_what_cannot_stand_for_triples(data, error, text):
    with pytest.raises(error, match=text):
        as_triples(data)


def test_weights_follow_their_triples_and_are_merged_as_scores_are():
    columns = [1, 1, 2, 1], ["a", "b", "a", "a"], [1, 2, 3, 5]
    weights = [1, 2, 4, 3]
    for duplicates, score, weight in (("last", 5, 3), ("mean", 3, 2), ("sum", 6, 4)):
        triples = Triples.from_arrays(*columns, weights=weights, duplicates=duplicates)
        assert triples.scores.tolist() == [score, 2, 3]
        assert triples.weights.tolist() == [weight, 2, 4]
    assert triples.to_arrow().column_names == ["user", "item", "score", "weight"]
    again = mcfast.read_triples(triples.to_arrow(), weight="weight")
    np.testing.assert_array_equal(again.weights, triples.weights)
    for bad in ([1, 2, 3, 0], [1, 2, 3, np.nan], [1, 2, 3]):
        with pytest.raises(ValueError, match="weights"):
            Triples.from_arrays(*columns, weights=bad)
