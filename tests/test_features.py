"""Attributes as a model takes them: encoded by the vocabulary of the training data, and back from a file."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcfast import Ids
from mcfast.data.features import Features

IDS = Ids(["a", "b", "c", "d"])
TABLE = {
    "id": ["b", "x", "a", "c"],
    "genres": [["drama"], ["horror"], ["drama", "war"], []],
    "author": [7, 8, 7, None],
    "length": [90.0, 1000.0, 110.0, None],
}


def rows_of(encoded):
    return [
        dict(zip(encoded.values[first:last].tolist(), encoded.shares[first:last].tolist(), strict=True))
        for first, last in zip(encoded.indptr[:-1], encoded.indptr[1:], strict=True)
    ]


def test_values_and_numbers():
    features, encoded = Features.of(TABLE, IDS)
    assert [(column.name, column.known.values.tolist()) for column in features.values] == [
        ("genres", ["drama", "war"]),  # not horror, which only an unknown id has
        ("author", [7]),
    ]
    assert [(column.name, column.mean, column.deviation) for column in features.numbers] == [("length", 100, 10)]
    assert (features.n_values, features.n_numbers) == (3, 1)
    assert rows_of(encoded) == [{0: 0.25, 1: 0.25, 2: 0.5}, {0: 0.5, 2: 0.5}, {}, {}]
    assert encoded.numbers.tolist() == [[1], [-1], [0], [0]]
    assert encoded.numbers.dtype == encoded.shares.dtype == np.float32


def test_new_tables_are_encoded_by_the_old_vocabulary():
    features, _ = Features.of(TABLE, IDS)
    new = {
        "length": [10_000, 100],
        "more": ["is ignored", ""],
        "genres": [["war", "comedy"], ["comedy"]],
        "author": [8, 7],
        "id": [2, 1],
    }
    encoded = features.encode({"id": new.pop("id"), **new}, Ids([1, 2, 3]))
    assert rows_of(encoded) == [{2: 1}, {1: 1}, {}]
    assert encoded.numbers.tolist() == [[0], [5], [0]]  # no further than five deviations


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_strings_of_any_kind(kind):
    table = pa.table({"id": pa.array(["a", "b", "c"]), "x": pa.array(["v", None, "w"]).cast(kind)})
    features, encoded = Features.of(table, IDS)
    assert features.values[0].known.values.tolist() == ["v", "w"]
    assert rows_of(encoded) == [{0: 1}, {}, {1: 1}, {}]


def test_pandas_bools_dates_and_categories(tmp_path):
    days = [datetime.date(2024, 1, 1), datetime.date(2024, 1, 3)]
    frame = pd.DataFrame(
        {"id": ["a", "b"], "new": [True, False], "day": pd.to_datetime(days), "kind": pd.Categorical(["k", "l"])}
    )
    features, encoded = Features.of(frame, IDS)
    assert [column.name for column in features.values] == ["new", "kind"]
    assert features.values[0].known.values.tolist() == [1, 0]
    np.testing.assert_allclose(encoded.numbers[:2], [[-1], [1]])
    frame.to_csv(tmp_path / "table.csv", index=False)
    _, again = Features.of(tmp_path / "table.csv", IDS)
    for got, expected in zip(again, encoded, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_kinds_that_are_said():
    table = {"id": ["a", "b"], "year": [1990, 2000], "code": [1.0, 2.0], "text": ["long", "longer"]}
    kinds = {"year": "numbers", "code": "values", "text": "ignore"}
    features, encoded = Features.of(table, IDS, kinds=kinds)
    assert [column.name for column in features.values] == ["code"]
    assert features.values[0].known.values.tolist() == [1, 2]
    assert encoded.numbers[:2].tolist() == [[-1], [1]]


def test_a_column_that_says_nothing():
    table = {"id": ["a", "b"], "same": [3.5, 3.5], "none": pa.nulls(2), "no number": pa.nulls(2, pa.float64())}
    features, encoded = Features.of(table, IDS)
    assert encoded.numbers.tolist() == [[0, 0]] * 4
    assert rows_of(encoded) == [{}] * 4
    assert not any(features.terms(encoded, 4).parameters[1:] > 4)


def test_terms():
    features, encoded = Features.of(TABLE, IDS)
    terms = features.terms(encoded, 4)
    rows = [
        list(zip(terms.parameters[first:last].tolist(), terms.coefficients[first:last].tolist(), strict=True))
        for first, last in zip(terms.indptr[:-1], terms.indptr[1:], strict=True)
    ]
    # 0..3 ids, 4 the default id, 5..7 values, 8 the number
    assert rows == [
        [(0, 1), (5, 0.25), (6, 0.25), (7, 0.5), (8, 1)],
        [(1, 1), (5, 0.5), (7, 0.5), (8, -1)],
        [(2, 1)],
        [(3, 1)],
    ]
    assert (terms.n_parameters, terms.default_id) == (9, 4)
    new = features.terms(encoded, 4, np.full(4, 4, np.int32))
    assert new.parameters[new.indptr[:-1]].tolist() == [4] * 4
    np.testing.assert_array_equal(
        np.delete(new.parameters, new.indptr[:-1]), np.delete(terms.parameters, terms.indptr[:-1])
    )


@given(st.data())
def test_a_file_keeps_what_is_learnt(data):
    values = data.draw(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=4, max_size=4))
    lists = data.draw(st.lists(st.lists(st.integers(-3, 3), max_size=3), min_size=4, max_size=4))
    numbers = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4))
    table = pa.table({"id": IDS.values.tolist(), "v": values, "n": numbers, "l": pa.array(lists, pa.list_(pa.int64()))})
    features, encoded = Features.of(table, IDS)
    back = Features.from_arrays("item", features.fields(), features.arrays("item"))
    for got, expected in zip(back.encode(table, IDS), encoded, strict=True):
        np.testing.assert_array_equal(got, expected)
    sums = np.array([encoded.shares[i:j].sum() for i, j in zip(encoded.indptr[:-1], encoded.indptr[1:], strict=True)])
    has = np.array([value is not None or len(own) > 0 for value, own in zip(values, lists, strict=True)])
    np.testing.assert_allclose(sums, has, atol=1e-6)


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        ({"id": ["a"], "x": [b"bytes"]}, {}, "'x' of features: got values of type binary, expected strings, integers"),
        ({"id": ["a"], "x": [0.5]}, {"kinds": {"x": "values"}}, "'x' of features: got numbers that are not whole"),
        ({"id": ["a"], "x": ["y"]}, {"kinds": {"x": "numbers"}}, "'x' of features: got values of type string"),
        (
            {"id": ["a"], "x": ["y"]},
            {"kinds": {"y": "values"}},
            "kinds of features: got 'y', expected an attribute",
        ),
        ({"id": ["a"], "x": ["y"]}, {"kinds": {"x": "text"}}, "kinds of features: got 'text', expected one of"),
        ({"id": ["a", "a"], "x": ["y", "z"]}, {}, "ids of features: got a again in row 1"),
        ({"id": [1], "x": ["y"]}, {}, "ids of features: got integers, expected strings"),
    ],
)
def test_wrong_tables(table, options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        Features.of(table, IDS, **options)


def test_wrong_new_tables():
    features, _ = Features.of(TABLE, IDS)
    with pytest.raises(ValueError, match="new: got 'id', 'genres', expected a column 'author'"):
        features.encode({"id": ["q"], "genres": [["drama"]]}, Ids(["q"]), "new")
    with pytest.raises(TypeError, match="'author' of new: got strings, expected integers"):
        features.encode({**TABLE, "author": ["7"] * 4}, IDS, "new")
