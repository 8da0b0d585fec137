"""Tables: what every backend does the same."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mcfast import store
from mcfast.errors import CorruptError, UnknownIdError
from mcfast.store import keys
from table_problems import same, values

BACKENDS = sorted(store.BACKENDS)
CHANGEABLE = [name for name in BACKENDS if name not in store.FOLDERS]
LONG = "ä" * 10_000
IDS = [0, 1, -1, 2**63 - 1, -(2**63), "1", "", "-1", "naïve ✓ 用户", "a\0b", "s" * 510, "s" * 511, LONG, LONG + "x"]


def named(request, backend):
    """Return the name of a backend, whose server is there."""
    if backend == "redis":
        request.getfixturevalue("redis_url")
    return backend


@pytest.fixture(params=BACKENDS)
def backend(request):
    return named(request, request.param)


@pytest.fixture(params=CHANGEABLE)
def changeable(request):
    return named(request, request.param)


@pytest.fixture(
    params=[f"{name}-build" for name in BACKENDS]
    + [f"{name}-{how}" for name in CHANGEABLE for how in ("put_many", "replace_all")]
)
def filled(request, path):
    """A function that makes a table of values."""
    name, how = request.param.split("-")
    with filling(named(request, name), how, path) as fill:
        yield fill


@contextlib.contextmanager
def filling(name, how, path):
    with contextlib.ExitStack() as stack:

        def fill(ids, *values, precision="float32"):
            if how == "build":
                return stack.enter_context(store.build(name, path, ids, *values, precision=precision))
            table = stack.enter_context(store.open(name, path, precision=precision))
            getattr(table, how)(ids, *values)
            return table

        yield fill


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table"


@pytest.fixture
def table(changeable, path):
    with store.open(changeable, path) as table:
        yield table


def one(vector):
    """Return a row of three numbers."""
    return np.full((1, 3), vector, np.float32)


# --- what every backend does ------------------------------------------------------------------------------------------


def test_every_kind_of_id_gets_its_own_value(filled):
    given = values(len(IDS))
    with filled(IDS, *given) as table:
        assert len(table) == len(IDS)
        assert table.width == 3
        for i, id in enumerate(IDS):
            value = table.get(id)
            assert same(value, *given, i)
            assert (value.vector.dtype, value.seen.dtype) == (np.float32, np.int32)
        many = table.get_many([*IDS, 5, "5", LONG + "y"])
        assert many.found.tolist() == [True] * len(IDS) + [False] * 3
        assert np.array_equal(many.vectors[:-3], given[0])
        assert np.array_equal(many.biases[:-3], given[1])
        assert np.array_equal(many.seen_indptr, [*given[2][0], *[len(given[2][1])] * 3])
        assert np.array_equal(many.seen_rows, given[2][1])
        assert not many.vectors[-3:].any()
        assert not many.biases[-3:].any()
        assert {a.dtype.name for a in many[:2]} == {"float32"}
        assert [a.dtype.name for a in many[2:]] == ["int64", "int32", "bool"]


def test_vectors_may_be_rounded_to_float16(filled):
    vectors, biases, seen = values(len(IDS), 5)
    rounded = vectors.astype(np.float16).astype(np.float32)
    with filled(IDS, vectors, biases, seen, precision="float16") as table:
        assert all(same(table.get(id), rounded, biases, seen, i) for i, id in enumerate(IDS))
        many = table.get_many(IDS)
        assert np.array_equal(many.vectors, rounded)
        assert many.vectors.dtype == np.float32
        assert table.width == 5


def test_what_float16_cannot_hold_is_refused(backend, path):
    with pytest.raises(ValueError, match="vectors: got a number of size 70000, expected numbers of size 65,504"):
        store.build(backend, path, [1], [[7e4]], precision="float16")


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_iterate_shows_everything_once(filled, batch):
    given = values(len(IDS))
    table = filled(IDS, *given)
    seen = []
    for ids, many in table.iterate(batch):
        assert len(ids) <= batch
        assert many.found.all()
        for j, id in enumerate(ids):
            i = next(i for i, other in enumerate(IDS) if type(other) is type(id) and other == id)
            rows = many.seen_rows[many.seen_indptr[j] : many.seen_indptr[j + 1]]
            assert same(store.Value(many.vectors[j], many.biases[j], rows), *given, i)
            seen.append((type(id), id))
    assert len(seen) == len(IDS)
    assert set(seen) == {(type(id), id) for id in IDS}


def test_an_empty_table(table):
    assert len(table) == 0
    assert table.width is None
    assert list(table.iterate()) == []
    assert table.get_many([1, "1"]).vectors.shape == (2, 0)
    assert table.get_many([]).vectors.shape == (0, 0)
    table.put_many([], np.zeros((0, 3)))
    table.put_many([7], one(1))
    assert table.get_many([]).vectors.shape == (0, 3)
    assert table.get_many([8]).vectors.shape == (1, 3)
    table.replace_all([], np.zeros((0, 3)))
    assert len(table) == 0


def test_an_empty_table_that_was_built(backend, path):
    with store.build(backend, path, [], np.zeros((0, 3))) as table:
        assert len(table) == 0
        assert table.width is None
        assert list(table.iterate()) == []
        for ids in ([], [1, "1", LONG], [7, 8], ["7", "8"]):
            assert table.get_many(ids).vectors.shape == (len(ids), 0)
            assert not table.get_many(ids).found.any()


@pytest.mark.parametrize("id", [5, -5, 99, "5", "", LONG])
def test_an_unknown_id_raises(filled, id):
    table = filled([50, "50"], np.ones((2, 3)))
    with pytest.raises(UnknownIdError, match=r"^id: got .*, expected an id that the table holds"):
        table.get(id)


def test_the_last_of_several_values_stands(filled):
    table = filled([1, "1", 1, "1", 1], np.arange(15).reshape(5, 3))
    assert len(table) == 2
    assert table.get(1).vector.tolist() == [12, 13, 14]
    assert table.get("1").vector.tolist() == [9, 10, 11]


def test_the_last_of_several_values_of_integers_stands(filled):
    table = filled([7, -1, 7, 0, -1], np.arange(15).reshape(5, 3))
    assert table.get_many([-1, 0, 7]).vectors[:, 0].tolist() == [12, 9, 6]
    assert len(table) == 3


def test_a_new_value_takes_the_place_of_the_old(table):
    table.put_many([1], one(3))
    table.put_many([1], one(7))
    assert table.get(1).vector.tolist() == [7, 7, 7]


def test_delete(table):
    table.put_many(IDS, *values(len(IDS)))
    table.delete(LONG)
    table.delete(LONG)
    table.delete_many([1, "nobody", -77, LONG + "x"])
    table.delete_many([])
    assert len(table) == len(IDS) - 3
    assert not table.get_many([LONG, 1, LONG + "x"]).found.any()
    assert table.get("1").vector.shape == (3,)


def test_replace_all_may_change_the_width(table):
    table.put_many(IDS, *values(len(IDS)))
    table.replace_all(["1", "new"], np.ones((2, 5)))
    assert len(table) == 2
    assert table.width == 5
    assert not table.get_many([1]).found.any()
    table.put_many([1], np.ones((1, 5)))


@pytest.mark.parametrize(
    "ids",
    [
        np.array([3, 1, 2]),
        np.array([3, 1, 2], np.int8),
        np.array([3, 1, 2], np.uint64),
        np.array([30, 0, 10, 0, 20, 0])[::2] // 10,
        np.array([3, 1, 2], object),
        [np.int32(3), 1, np.uint8(2)],
        (3, 1, 2),
        pd.Series([3, 1, 2]),
        pl.Series([3, 1, 2]),
        pa.array([3, 1, 2]),
        pa.chunked_array([[3], [1, 2]]),
        iter([3, 1, 2]),
    ],
)
def test_ids_come_in_many_forms(ids):
    with store.open("memory") as table:
        table.put_many(ids, np.arange(9).reshape(3, 3))
        assert table.get_many([1, 2, 3]).vectors[:, 0].tolist() == [3, 6, 0]


@pytest.mark.parametrize(
    "ids", [np.array(["a", "b"]), pd.Series(["a", "b"]), pl.Series(["a", "b"]), pa.array(["a", "b"])]
)
def test_strings_come_in_many_forms(ids):
    with store.open("memory") as table:
        table.put_many(ids, np.arange(6).reshape(2, 3))
        assert table.get("b").vector.tolist() == [3, 4, 5]
        assert table.get(np.str_("a")).vector.tolist() == [0, 1, 2]


def test_other_numbers_and_memory_are_converted(filled):
    table = filled(np.arange(4), np.arange(24.0).reshape(4, 6)[:, ::2], [1, 2, 3, 4], ([0, 0, 1, 1, 3], [9, 8, 7]))
    value = table.get(3)
    assert value.vector.tolist() == [18, 20, 22]
    assert value.bias == 4
    assert value.seen.tolist() == [8, 7]
    with pytest.raises(ValueError, match="read-only"):
        value.vector[0] = 1


@pytest.mark.parametrize(
    ("error", "words", "arguments"),
    [
        (TypeError, r"ids: got 1\.5 \(float\), expected an integer of 64 bits or a string", ([1.5], one(1))),
        (TypeError, r"ids: got True \(bool\)", ([True], one(1))),
        (TypeError, r"ids: got None", ([None], one(1))),
        (TypeError, r"ids: got b'a' \(bytes\)", ([b"a"], one(1))),
        (TypeError, r"ids: got 1\.0 \(float\)", (np.array([1.0]), one(1))),
        (TypeError, r"ids: got True", (np.array([True]), one(1))),
        (TypeError, r"ids: got 'a' \(str\), expected a sequence of ids", ("a", one(1))),
        (TypeError, r"ids: got 3 \(int\), expected a sequence of ids", (3, one(1))),
        (ValueError, r"ids: got 9223372036854775808, expected an integer of 64 bits", ([2**63], one(1))),
        (ValueError, r"ids: got 18446744073709551615", (np.array([2**64 - 1], np.uint64), one(1))),
        (ValueError, r"ids: got '\\ud800', which is no Unicode text", (["\ud800"], one(1))),
        (ValueError, r"ids: got shape \(1, 1\)", (np.array([[1]]), one(1))),
        (ValueError, r"vectors: got nan at \[0, 1\]", ([1], [[0, np.nan, 0]])),
        (ValueError, r"vectors: got shape \(2, 3\)", ([1], np.ones((2, 3)))),
        (ValueError, r"vectors: got 4 columns, expected 3, as the table holds", ([1], np.ones((1, 4)))),
        (ValueError, r"columns of vectors: got 0", ([1], np.ones((1, 0)))),
        (ValueError, r"biases: got shape \(2,\)", ([1], one(1), [1, 2])),
        (ValueError, r"biases: got inf", ([1], one(1), [np.inf])),
        (ValueError, r"seen: got shapes \(1,\) and \(0,\), expected \(2,\)", ([1], one(1), None, ([0], []))),
        (ValueError, r"seen indptr: got other offsets", ([1], one(1), None, ([0, 2], [1]))),
        (ValueError, r"seen rows: got -1\.\.-1", ([1], one(1), None, ([0, 1], [-1]))),
        (TypeError, r"seen rows: got values of dtype float64", ([1], one(1), None, ([0, 1], [1.0]))),
    ],
)
def test_bad_values_are_refused_and_nothing_is_written(table, error, words, arguments):
    table.put_many([50], one(1))
    with pytest.raises(error, match="^" + words):
        table.put_many(*arguments)
    assert len(table) == 1


def test_bad_ids_are_refused_where_one_is_asked(table):
    for id, error in [
        (1.0, TypeError),
        (None, TypeError),
        (True, TypeError),
        (2**63, ValueError),
        ("\udfff", ValueError),
    ]:
        with pytest.raises(error, match=r"^id: got"):
            table.get(id)
        with pytest.raises(error, match=r"^id: got"):
            table.delete(id)


def test_a_table_that_was_built_is_read_only(backend, path):
    with store.build(backend, path, [1], one(1)) as table:
        assert table.readonly
        for change in [
            lambda: table.put_many([2], one(2)),
            lambda: table.delete(1),
            lambda: table.delete_many([1]),
            lambda: table.replace_all([2], one(2)),
        ]:
            with pytest.raises(ValueError, match="read-only"):
                change()
        assert len(table) == 1


def test_a_closed_table_says_so(filled):
    table = filled([1], one(1))
    table.close()
    for use in [lambda: table.get(1), lambda: table.get_many([1]), lambda: len(table), lambda: list(table.iterate())]:
        with pytest.raises(ValueError, match="the table is closed"):
            use()
    table.close()


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match=r"backend: got 'sqlite', expected one of 'file', 'lmdb', 'memory', 'redis'"):
        store.open("sqlite")


def test_a_hash_that_meets_another_id_is_never_answered(table, monkeypatch):
    table.put_many([LONG], one(1))
    monkeypatch.setattr(keys.hashlib, "sha256", lambda _, real=keys.hashlib.sha256: real(LONG.encode()))
    assert table.get(LONG).vector.tolist() == [1, 1, 1]
    with pytest.raises(CorruptError, match="another id"):
        table.get(LONG + "x")
    with pytest.raises(CorruptError, match="another id"):
        table.get_many([LONG + "x"])
