"""Conditions on a table of attributes are those on each row of it."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcfast.data.attributes import Attributes, write_attributes
from mcfast.data.conditions import Coded, hold
from mcfast.data.ids import Ids

words = st.sampled_from(["", "a", "b", "comedy", "ß"])
numbers = st.sampled_from([-2.5, 0.0, 1.0, 3.0, 1e9])
bounds = st.fixed_dictionaries({}, optional={"min": numbers, "max": numbers}).filter(bool)
COLUMNS = {
    "word": (pa.string(), words, st.one_of(words, st.lists(words, min_size=1))),
    "number": (pa.float64(), numbers, st.one_of(numbers, st.lists(numbers, min_size=1), bounds)),
    "words": (pa.list_(pa.string()), st.lists(words, max_size=3), st.one_of(words, st.lists(words, min_size=1))),
    "numbers": (pa.list_(pa.float64()), st.lists(numbers, max_size=3), st.one_of(numbers, bounds)),
}


@settings(max_examples=100)
@given(data=st.data())
def test_rows_that_hold_conditions(data):
    n = data.draw(st.integers(0, 30), "n")
    table = pa.table(
        {
            name: pa.array(data.draw(st.lists(st.none() | values, min_size=n, max_size=n), name), kind)
            for name, (kind, values, _) in COLUMNS.items()
        }
    )
    coded, rows = Coded(table), table.to_pylist()
    for _ in range(3):
        names = data.draw(st.lists(st.sampled_from(list(COLUMNS)), unique=True, max_size=3), "names")
        conditions = {name: data.draw(COLUMNS[name][2], f"wanted of {name}") for name in names}
        expected = [hold({name: v for name, v in row.items() if v is not None}, conditions) for row in rows]
        assert coded.mask(conditions).tolist() == expected


def test_parts_of_a_longer_table():
    whole = pa.table({"words": [["a"], ["b", "c"], None, [], ["c"]], "word": ["a", "b", None, "c", "a"]})
    coded = Coded(whole.slice(1))
    assert coded.mask({"words": "c"}).tolist() == [True, False, False, True]
    assert coded.mask({"word": ["a", "b"]}).tolist() == [True, False, False, True]
    assert Coded(pa.table({"word": pa.array(["a", "b", "a"]).dictionary_encode()})).mask({"word": "a"}).tolist() == [
        True,
        False,
        True,
    ]


def test_ids_that_are_known(tmp_path):
    write_attributes(pa.table({"id": [7, 3, 9], "kind": ["x", "y", "x"]}), tmp_path / "table")
    attributes = Attributes(tmp_path / "table")
    for known, expected in (([3, 7, 5], [False, True, False]), ([9, 7], [True, True])):
        assert attributes.matching({"kind": "x"}, Ids(known)).tolist() == expected
    assert attributes.matching({"kind": "x"}, Ids(["7"])).tolist() == [False]


@pytest.mark.parametrize("wanted", ["a", {"min": "a"}, [1, "a"]])
def test_values_that_do_not_compare(wanted):
    with pytest.raises(ValueError, match=r"filter: got .*expected values that compare with int64"):
        Coded(pa.table({"year": [1999, 2000]})).mask({"year": wanted})
