"""Ids and rows: every kind of column gives the same numbers, by first appearance."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from mcfast import Ids, UnknownIdError, _core
from mcfast.data.ids import encode

INT64 = st.integers(-(2**63), 2**63 - 1)
INTEGERS = st.one_of(
    st.lists(st.integers(-3, 30), max_size=200),
    st.lists(st.one_of(st.integers(0, 3), st.sampled_from([-(2**63), 2**63 - 1, 2**62]), INT64), max_size=60),
)
STRINGS = st.lists(st.one_of(st.text(max_size=3), st.sampled_from(["", "é", "日本", "a\x00b", "a"])), max_size=60)
THREADS = st.sampled_from([1, 2, 7])


def cut(values, cuts):
    """Cut a list into consecutive pieces, some of them empty."""
    places = [0, *sorted(min(place, len(values)) for place in cuts), len(values)]
    return [values[a:b] for a, b in pairwise(places)]


def check(values, given, threads=1):
    rows, ids = encode(given, "users", threads)
    expected_rows, expected_ids = oracle.encode(values)
    assert rows.dtype == np.int32
    assert rows.tolist() == expected_rows
    assert ids.values.tolist() == expected_ids
    assert all(type(value) in (int, str) for value in ids.values.tolist())
    assert not ids.values.flags.writeable


@given(INTEGERS, st.lists(st.integers(0, 60), max_size=5), THREADS)
def test_integers_in_chunks_match_a_dict(values, cuts, threads):
    check(values, pa.chunked_array(cut(values, cuts), pa.int64()), threads)
    check(values, np.array(values, np.int64), threads)


@given(STRINGS, st.lists(st.integers(0, 60), max_size=5), THREADS, st.sampled_from([pa.string(), pa.large_string()]))
def test_strings_in_chunks_match_a_dict(values, cuts, threads, kind):
    chunked = pa.chunked_array(cut(values, cuts), kind)
    check(values, chunked, threads)
    check(values, chunked.dictionary_encode(), threads)
    check(values, values, threads)


def test_many_integers_over_a_wide_range_match_a_dict():
    rng = np.random.default_rng(0)
    for high in (5000, 2**40):  # a table of ids, and a hash that grows
        values = rng.integers(-high, high, 20_000)
        for threads in (1, 2, 7):
            check(values.tolist(), values, threads)


INTEGER_FORMS = {
    "list": list,
    "tuple": tuple,
    "objects": lambda v: np.array(v, object),
    "NumPy scalars": lambda v: [np.int16(x) for x in v],
    "not contiguous": lambda v: np.array([v, v]).T[:, 0],
    "not native": lambda v: np.array(v, ">i4"),
    "pandas": pd.Series,
    "pandas index": pd.Index,
    "pandas nullable": lambda v: pd.Series(v, dtype="Int32"),
    "pandas categorical": lambda v: pd.Series(v).astype("category"),
    "polars": pl.Series,
    "arrow": pa.array,
    "arrow dictionary": lambda v: pa.array(v).dictionary_encode(),
    **{
        f"NumPy {kind}": (lambda v, kind=kind: np.array(v, kind)) for kind in ("i1", "i2", "i4", "i8", "u1", "u4", "u8")
    },
    **{f"arrow {kind}": (lambda v, kind=kind: pa.array(v, kind)) for kind in ("int8", "uint16", "int32", "uint64")},
}
STRING_FORMS = {
    "list": list,
    "NumPy": np.array,
    "NumPy StringDType": lambda v: np.array(v, np.dtypes.StringDType()),
    "NumPy scalars": lambda v: [np.str_(x) for x in v],
    "objects": lambda v: np.array(v, object),
    "pandas": pd.Series,
    "pandas objects": lambda v: pd.Series(v, dtype=object),
    "pandas string": lambda v: pd.Series(v, dtype="string"),
    "pandas categorical": lambda v: pd.Series(v, dtype="category"),
    "polars": pl.Series,
    "polars categorical": lambda v: pl.Series(v, dtype=pl.Categorical),
    "arrow": pa.array,
    "arrow view": lambda v: pa.array(v, pa.string_view()),
    "arrow dictionary": lambda v: pa.array(v).dictionary_encode(),
}


@pytest.mark.parametrize("form", INTEGER_FORMS.values(), ids=INTEGER_FORMS)
def test_every_form_of_integers(form):
    check([7, 3, 7, 100, 3], form([7, 3, 7, 100, 3]))


@pytest.mark.parametrize("form", STRING_FORMS.values(), ids=STRING_FORMS)
def test_every_form_of_strings(form):
    check(["ü", "a", "ü", "", "a"], form(["ü", "a", "ü", "", "a"]))


def test_arrays_need_no_arrow():
    program = """
import sys
sys.modules["pyarrow"] = None
import numpy as np
from mcfast import Triples
triples = Triples.from_arrays(np.array(["b", "a", "b"]), [3, 4, 3], [1, 2, 3.5], np.array([1, 2, 3]))
assert triples.user_ids.rows(["a", "b"]).tolist() == [1, 0]
assert triples.scores.tolist() == [3.5, 2]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_dictionaries_with_unused_and_repeated_values():
    given = pa.DictionaryArray.from_arrays(pa.array([3, 0, 2, 3]), pa.array(["b", "never", "b", "a"]))
    check(["a", "b", "b", "a"], given)


@pytest.mark.parametrize(
    "empty", [[], np.array([], np.int32), pa.chunked_array([], pa.string()), pa.array([]), pd.Series([], dtype=str)]
)
def test_no_ids(empty):
    rows, ids = encode(empty)
    assert len(rows) == len(ids) == 0


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        (np.array([1.0, 2.0]), TypeError, "users: got values of dtype float64.*missing values into floats"),
        (pd.Series([1, None]), TypeError, "missing values into floats"),
        (pa.array([1.5]), TypeError, "values of type double"),
        ([1, 2.0], TypeError, r"2\.0 \(float\) in row 1.*missing values into floats"),
        (["a", 1], TypeError, r"1 \(int\) in row 1, expected only integers or only strings"),
        ([True, False], TypeError, "bool"),
        (np.array([True]), TypeError, "values of dtype bool"),
        (pa.array([True]), TypeError, "values of type bool"),
        ([b"a"], TypeError, "bytes"),
        (np.array([b"a"]), TypeError, "dtype |S1"),
        (np.array(["2020-01-01"], "M8[D]"), TypeError, "datetime64"),
        ([1, None], ValueError, r"a missing id \(None\) in row 1"),
        (["a", float("nan")], ValueError, r"a missing id \(nan\) in row 1"),
        ([1, pd.NA], ValueError, r"a missing id \(<NA>\) in row 1"),
        (pd.Series(["a", None, "b"]), ValueError, "users: got a missing value.* in row 1"),
        (pd.Series([1, pd.NA], dtype="Int64"), ValueError, r"a missing value \(null\) in row 1"),
        (pd.Series(["a", None], dtype="category"), ValueError, r"a missing value \(null\) in row 1"),
        (pa.chunked_array([[1], [2, None]]), ValueError, r"a missing value \(null\) in row 2"),
        (pl.Series(["a", None]), ValueError, "in row 1"),
        (np.array([1, 2**63], np.uint64), ValueError, r"9223372036854775808 in row 1, expected integers below 2\^63"),
        (np.array([2**63], ">u8"), ValueError, "9223372036854775808 in row 0"),
        (pa.array([2**63], pa.uint64()), ValueError, "9223372036854775808 in row 0"),
        ([1, 2**63], ValueError, "9223372036854775808 in row 1"),
        (np.zeros((2, 2), int), ValueError, r"shape \(2, 2\), expected one dimension"),
        ("abc", TypeError, "expected an array of integers or strings"),
        (5, TypeError, "expected an array of integers or strings"),
        (None, TypeError, "expected an array of integers or strings"),
    ],
)
def test_what_can_be_no_ids(values, error, text):
    with pytest.raises(error, match=text) as caught:
        encode(values, "users")
    assert str(caught.value).startswith("users: got ")


def test_ids_must_be_distinct():
    with pytest.raises(ValueError, match="ids: got 7 again in row 2, expected distinct ids"):
        Ids([7, 8, 7])


@given(st.one_of(st.sets(INT64, max_size=40), st.sets(st.text(max_size=3), max_size=40)), st.data())
def test_rows_and_take_are_inverse(known, data):
    known = list(known)
    ids = Ids(known)
    rows = data.draw(st.lists(st.integers(-1, len(known) - 1), max_size=30))
    asked = [known[row] for row in rows if row >= 0]
    assert ids.take(ids.rows(asked)).tolist() == asked
    nothing = -1 if ids.is_integer else None
    assert ids.take(rows).tolist() == [known[row] if row >= 0 else nothing for row in rows]


def test_take_keeps_the_shape():
    assert Ids([5, 6]).take([[1, -1], [0, 1]]).tolist() == [[6, -1], [5, 6]]
    assert Ids(["a"]).take([[0], [-1]]).tolist() == [["a"], [None]]


@given(st.sets(INT64, min_size=1, max_size=20), st.lists(INT64, max_size=20))
def test_unknown_integers_are_skipped_or_named(known, asked):
    known = list(known)
    ids = Ids(known)
    expected = [known.index(value) if value in known else -1 for value in asked]
    rows = ids.rows(asked, "items", unknown="skip")
    assert rows.dtype == np.int32
    assert rows.tolist() == expected
    if -1 in expected:
        with pytest.raises(UnknownIdError, match="items: got unknown ids"):
            ids.rows(asked, "items")


def test_one_id_is_an_array_of_one():
    assert Ids([5, 6]).rows(6).tolist() == [1]
    assert Ids([5, 6]).rows(np.int8(5)).tolist() == [0]
    assert Ids(["a", "bc"]).rows("bc").tolist() == [1]


def test_unknown_ids_are_named_up_to_three():
    with pytest.raises(UnknownIdError, match=r"users: got unknown ids 1, 2, 3 and 1 more, expected .* the 1 known"):
        Ids([5]).rows([1, 2, 1, 5, 3, 4], "users")
    with pytest.raises(UnknownIdError, match="unknown ids 'x', expected"):
        Ids(["a"]).rows(["x"])


def test_ids_of_the_other_kind():
    with pytest.raises(TypeError, match="got strings, expected integers, as the ids are"):
        Ids([1]).rows(["1"], unknown="skip")
    with pytest.raises(TypeError, match="got integers, expected strings, as the ids are"):
        Ids(["1"]).rows([1], unknown="skip")
    with pytest.raises(TypeError, match="users: got strings, expected integers"):
        Ids([1]).rows(["1"], "users")
    with pytest.raises(TypeError, match="missing values into floats"):
        Ids([1]).rows(np.array([1.0]), unknown="skip")
    assert Ids(["1"]).rows([]).tolist() == []


@pytest.mark.parametrize(("old", "new"), [([5, 6], [7, 6, 8]), (["a", "b"], ["c", "b", ""]), ([], ["x"]), ([1], [])])
def test_union_appends_what_is_new(old, new):
    both, rows = Ids(old).union(Ids(new))
    assert both.values.tolist() == list(dict.fromkeys([*old, *new]))
    assert both.take(rows).tolist() == new


def test_no_union_of_integers_and_strings():
    with pytest.raises(TypeError, match="strings to be added to integers"):
        Ids([1]).union(Ids(["a"]))


@pytest.mark.parametrize("values", [[3, -1, 2**63 - 1], ["é", "", "日本", "\ud800"], []])
def test_arrays_round_trip(values):
    ids = Ids(values)
    arrays = ids.arrays("user")
    assert all(array.dtype in (np.int64, np.uint8) for array in arrays.values())
    again = Ids.from_arrays("user", {**arrays, "other": np.zeros(3)})
    assert again == ids
    assert again.values.tolist() == values


def test_equality_and_repr():
    assert Ids([1, 2]) == Ids(np.array([1, 2], np.uint8))
    assert Ids([1, 2]) != Ids([2, 1])
    assert Ids([1]) != Ids(["1"])
    assert Ids([1]) != [1]
    assert repr(Ids(["a", "b", "c", "d"])) == "Ids(['a', 'b', 'c', ...], n=4)"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=60), THREADS)
def test_first_of_pair_and_items_of_users_match_plain_loops(pairs, threads):
    users = np.array([user for user, _ in pairs], np.int32)
    items = np.array([item for _, item in pairs], np.int32)
    n_repeated, first = _core.first_of_pair(users, items, 6, 5, threads)
    assert n_repeated == len(pairs) - len(set(pairs))
    assert first.tolist() == ([pairs.index(pair) for pair in pairs] if n_repeated else [])
    indptr, rows = _core.items_of_users(users, items, 6, threads)
    expected = [sorted({item for user, item in pairs if user == row}) for row in range(6)]
    assert [rows[a:b].tolist() for a, b in pairwise(indptr)] == expected


@pytest.mark.parametrize("n_items", [300, 5_000_000, 2**31 - 1])
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_items_of_users_in_many_buckets(n_items, threads):
    """More triples than fit one bucket; rows of items of one, two and three digits of the sort."""
    rng = np.random.default_rng(2)
    users = np.minimum(rng.geometric(1e-3, 300_000), 4000).astype(np.int32)
    items = rng.integers(0, n_items, len(users)).astype(np.int32)
    items[::7] = items[:10].max()  # pairs that are repeated
    indptr, rows = _core.items_of_users(users, items, 4002, threads)
    pairs = np.unique(users.astype(np.int64) << 32 | items)
    np.testing.assert_array_equal(rows, pairs & 2**32 - 1)
    np.testing.assert_array_equal(np.diff(indptr), np.bincount(pairs >> 32, minlength=4002))


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_first_of_pair_in_many_buckets(threads):
    rng = np.random.default_rng(3)
    users, items = rng.integers(0, 4000, 300_000).astype(np.int32), rng.integers(0, 500, 300_000).astype(np.int32)
    _, where, which = np.unique(users * 500 + items, return_index=True, return_inverse=True)
    n_repeated, first = _core.first_of_pair(users, items, 4000, 500, threads)
    assert n_repeated == len(users) - len(where)
    np.testing.assert_array_equal(first, where[which])


def test_first_of_pair_over_many_users():
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, 5000, 20_000).astype(np.int32), rng.integers(0, 3, 20_000).astype(np.int32)
    place = {}
    expected = [place.setdefault(pair, i) for i, pair in enumerate(zip(users.tolist(), items.tolist(), strict=True))]
    for threads in (1, 2, 7):
        n_repeated, first = _core.first_of_pair(users, items, 5000, 3, threads)
        assert first.tolist() == expected
        assert n_repeated == len(expected) - len(place)
