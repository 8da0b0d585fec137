"""The bytes of a record: they come back as they were, and nothing else passes for them."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcfast.errors import CorruptError, FormatError, NewerFormatError
from mcfast.store import record
from table_problems import same, values


def encoded(vectors, biases, seen, long=None):
    """Return records as bytes."""
    indptr, rows = seen
    return [bytes(r) for r in record.encode_many(vectors, biases, np.asarray(indptr, np.int64), rows, long or {})]


def test_the_layout_of_a_record():
    [data] = encoded(np.float32([[1, -2]]), np.float32([0.5]), ([0, 3], np.int32([7, 8, 9])), {0: b"hello"})
    assert data == struct.pack("<HHIIf2f3i5s3x", 1, 2, 3, 5, 0.5, 1, -2, 7, 8, 9, b"hello")


def test_the_layout_of_a_record_in_float16():
    [data] = encoded(np.float16([[1, -2, 0.5]]), np.float32([0.5]), ([0, 1], np.int32([7])), {0: b"hello"})
    assert data == struct.pack("<HHIIf3e2xi5s3x", 2, 3, 1, 5, 0.5, 1, -2, 0.5, 7, b"hello")


@given(n=st.integers(2, 6), width=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_records_of_both_precisions_are_read_together(n, width, seed):
    vectors, biases, seen = values(n, width, seed)
    halves = vectors.astype(np.float16)
    long = {0: b"somebody"}
    mixed = [*encoded(halves, biases, seen, long)[: n // 2], *encoded(vectors, biases, seen, long)[n // 2 :]]
    expected = np.concatenate([halves[: n // 2].astype(np.float32), vectors[n // 2 :]])
    many = record.decode_many(mixed, 0, long)
    assert np.array_equal(many.vectors, expected)
    assert many.vectors.dtype == np.float32
    assert np.array_equal(many.seen_rows, seen[1])
    assert np.array_equal(many.seen_indptr, seen[0])
    for i, data in enumerate(mixed):
        value = record.decode(data, long.get(i, b""))
        assert same(value, expected, biases, seen, i)
        assert not value.vector.flags.writeable
        for bad in (data[:-4], data + b"\0\0\0\0"):
            with pytest.raises(CorruptError):
                record.decode(bad, long.get(i, b""))
            with pytest.raises(CorruptError):
                record.decode_many([mixed[-1], bad], 0, {})


@given(n=st.integers(1, 6), width=st.integers(1, 9), seed=st.integers(0, 99), text=st.binary(min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_records_come_back_as_they_were(n, width, seed, text):
    given = values(n, width, seed)
    long = {n - 1: text}
    records = encoded(*given, long)
    assert all(len(data) % 4 == 0 for data in records)
    for i, data in enumerate(records):
        assert same(record.decode(data, long.get(i, b"")), *given, i)
    gaps = [None, *records[:1], None, *records[1:], None]
    many = record.decode_many(gaps, 0, {len(gaps) - 2 - 2 * (n == 1): text})
    present = many.found
    assert present.tolist() == [data is not None for data in gaps]
    assert np.array_equal(many.vectors[present], given[0])
    assert np.array_equal(many.biases[present], given[1])
    assert np.array_equal(np.diff(many.seen_indptr)[present], np.diff(given[2][0]))
    assert np.array_equal(many.seen_rows, given[2][1])


@given(cut=st.integers(0, 200), seed=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_a_record_cut_short_or_lengthened_is_corrupt(cut, seed):
    records = encoded(*values(2, 5, seed), {0: b"someone"})
    cut %= len(records[0])
    for bad in (records[0][:cut], records[0] + b"\0\0\0\0", records[0] + b"\0"):
        with pytest.raises(CorruptError):
            record.decode(bad, b"someone")
        with pytest.raises(CorruptError):
            record.decode_many([records[1], bad], 0, {1: b"someone"})
        with pytest.raises(CorruptError):
            record.decode_many([bad, records[1]], 0, {0: b"someone"})


@given(data=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_no_record_raise_and_nothing_else(data):
    for read in (
        lambda: record.decode(data, b""),
        lambda: record.decode_many([data], 0, {}),
        lambda: record.width_of(data),
    ):
        with contextlib.suppress(FormatError):
            read()


def test_records_of_different_widths_are_corrupt():
    records = encoded(*values(1, 3)) + encoded(*values(1, 4))
    with pytest.raises(CorruptError):
        record.decode_many(records, 0, {})


def test_a_record_of_a_newer_format_says_so():
    [data] = encoded(*values(1))
    newer = struct.pack("<H", 3) + data[2:]
    with pytest.raises(NewerFormatError, match="format 3"):
        record.decode(newer, b"")
    with pytest.raises(NewerFormatError, match="format 3"):
        record.decode_many([newer], 0, {})
