"""read_triples: every format gives the same triples, and a bad file says what is wrong with it."""

import bz2
import gzip

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from mcfast import FormatError, read_triples
from mcfast.data import tables

FRAME = pd.DataFrame(
    {
        "rating": [4.5, 0.0, -1.25],
        "movieId": ["é", "b", "é"],
        "note": ["x", None, "y"],
        "userId": [7, -7, 8],
        "at": [30, 10, 20],
    }
)
NAMES = {"user": "userId", "item": "movieId", "score": "rating", "time": "at"}
PLACES = {"user": 3, "item": 1, "score": 0, "time": 4}


def check(triples, n=3):
    expected = {"user": [7, -7, 8], "item": ["é", "b", "é"], "score": [4.5, 0.0, -1.25], "time": [30, 10, 20]}
    assert triples.to_arrow().to_pydict() == {name: values[:n] for name, values in expected.items()}


def write_csv(path, **options):
    FRAME.to_csv(path, index=False, **options)


WRITERS = {
    "a.csv": write_csv,
    "a.tsv": lambda path: write_csv(path, sep="\t"),
    "a.tsv.gz": lambda path: path.write_bytes(gzip.compress(FRAME.to_csv(index=False, sep="\t").encode())),
    "a.txt": lambda path: write_csv(path, lineterminator="\r\n"),
    "quoted.csv": lambda path: write_csv(path, quoting=1),
    "mark.csv": lambda path: write_csv(path, encoding="utf-8-sig"),
    "unended.csv": lambda path: path.write_bytes(FRAME.to_csv(index=False).encode().rstrip(b"\n")),
    "a.csv.gz": lambda path: path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode())),
    "a.csv.bz2": lambda path: path.write_bytes(bz2.compress(FRAME.to_csv(index=False).encode())),
    "a.parquet": FRAME.to_parquet,
    "categories.parquet": lambda path: FRAME.astype({"movieId": "category"}).to_parquet(path),
    "a.arrow": lambda path: pyarrow.feather.write_feather(FRAME, path, compression="uncompressed"),
    "a.feather": lambda path: pyarrow.feather.write_feather(FRAME, path),
}


@pytest.mark.parametrize("columns", [NAMES, PLACES], ids=["names", "places"])
@pytest.mark.parametrize(("name", "write"), WRITERS.items(), ids=WRITERS)
def test_files(tmp_path, name, write, columns):
    write(tmp_path / name)
    check(read_triples(tmp_path / name, **columns))
    check(read_triples(str(tmp_path / name), threads=1, **columns))


@pytest.mark.parametrize(
    "table",
    [
        FRAME,
        pl.from_pandas(FRAME),
        pl.from_pandas(FRAME).lazy(),
        pa.Table.from_pandas(FRAME),
        pa.RecordBatch.from_pandas(FRAME),
        np.array(
            list(FRAME.itertuples(index=False)),
            [("rating", "f8"), ("movieId", "U2"), ("note", "O"), ("userId", "i2"), ("at", "u4")],
        ),
    ],
    ids=lambda table: type(table).__name__,
)
def test_tables(table):
    check(read_triples(table, **NAMES))
    check(read_triples(table, **PLACES))


def test_arrays_of_rows_have_places():
    triples = read_triples(np.array([[1, 2, 5], [3, 2, 4]]))
    assert triples.to_arrow().to_pydict() == {"user": [1, 3], "item": [2, 2], "score": [5, 4]}
    assert read_triples(np.array([[1.0, 2.0, 4.5]])).to_arrow().to_pydict() == {
        "user": [1],
        "item": [2],
        "score": [4.5],
    }
    assert read_triples(np.array([[1, 2, 5], [3, 2, 4]]), user=1, item=0).user_ids.values.tolist() == [2]


@pytest.mark.parametrize(("separator", "ending"), [(",", "\n"), ("\t", "\n"), (";", "\r\n"), ("::", "\n"), ("::", "")])
def test_text_without_header(tmp_path, separator, ending):
    lines = [["7", "é", "4.5", "30"], ["-7", "b", "0", "10"], ["8", "é", "-1.25", "20"]]
    (tmp_path / "a.dat").write_bytes(
        (ending or "\n").join(separator.join(line) for line in lines).encode() + ending.encode()
    )
    check(read_triples(tmp_path / "a.dat", separator=separator, header=False, time=3))


@pytest.mark.parametrize("size", [1, 16, 40, 1000])
def test_text_in_pieces(tmp_path, monkeypatch, size):
    monkeypatch.setattr(tables, "_SEGMENT", size)
    write_csv(tmp_path / "a.csv")
    check(read_triples(tmp_path / "a.csv", **NAMES))


def test_a_column_of_ids_whose_kind_shows_late(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_SEGMENT", 4)
    (tmp_path / "a.csv").write_text("user,item,score\n1,1,1\n2,2,2\nx,3,3\n")
    assert read_triples(tmp_path / "a.csv").user_ids.values.tolist() == ["1", "2", "x"]


def test_rows_without_a_score_count_one(tmp_path):
    (tmp_path / "a.csv").write_text("user,item\na,1\nb,2\n")
    assert read_triples(tmp_path / "a.csv", score=None).scores.tolist() == [1, 1]


def test_one_column_in_two_roles(tmp_path):
    FRAME.to_parquet(tmp_path / "a.parquet")
    write_csv(tmp_path / "a.csv")
    for name in ("a.parquet", "a.csv"):
        triples = read_triples(tmp_path / name, user="userId", item="movieId", score="at", time="at")
        assert triples.scores.tolist() == triples.times.tolist() == [30, 10, 20]


def test_times_in_text_and_parquet(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,score,time\n1,1,1,1970-01-02 00:00:01\n")
    assert read_triples(tmp_path / "a.csv", time="time").times.tolist() == [86401]
    frame = pd.DataFrame({"user": [1], "item": [1], "score": [1], "time": np.array([5], "M8[ms]")})
    frame.to_parquet(tmp_path / "a.parquet")
    assert read_triples(tmp_path / "a.parquet", time="time").times.tolist() == [5]


def test_only_the_columns_that_are_needed_are_read(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"user,title,item,score\n1,\xff\xfe,2,3\n")  # the title is no UTF-8
    assert read_triples(tmp_path / "a.csv").scores.tolist() == [3]


def test_duplicates_are_passed_on(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,score\n1,1,1\n1,1,4\n")
    assert read_triples(tmp_path / "a.csv", duplicates="mean").scores.tolist() == [2.5]
    with pytest.raises(ValueError, match="1 repeated pairs"):
        read_triples(tmp_path / "a.csv", duplicates="error")


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [
        (
            "user,item,rating\n1,2,3\n",
            ValueError,
            "score: got 'score', expected one of the columns of .*a.csv: 'user', 'item', 'rating'",
        ),
        ("user,item,score\n1,2,3\n1,3,good\n", ValueError, "column 'score' of .*a.csv: got 'good', expected numbers"),
        ("user,item,score\n1,2,3\n1,3,\n", ValueError, r"column 'score': got a missing value \(null\) in row 1"),
        ("user,item,score\n1,2,3\n1,3,inf\n", ValueError, r"column 'score': got inf at \[1\]"),
        ("user,item,score\n1,2,3\n,3,1\n", ValueError, r"column 'user': got a missing value \(null\) in row 1"),
        ("user,item,score\n1.0,2,3\n", TypeError, "column 'user': got values of type double"),
        ("user,item,score\n1,2,3\n1,3\n", FormatError, "a.csv: not readable as CSV: .*Expected 3 columns, got 2"),
        ("user,item,score\n", ValueError, "no rows"),
        ("", FormatError, "a.csv: empty"),
    ],
)
def test_bad_text(tmp_path, text, error, expected):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(error, match=expected):
        read_triples(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.parquet", "a.feather", "a.csv.gz"])
@pytest.mark.parametrize("content", ["truncated", "other", "empty"])
def test_files_that_are_not_what_they_should_be(tmp_path, name, content):
    path = tmp_path / name
    WRITERS[name](path)
    path.write_bytes(
        {"truncated": path.read_bytes()[:-20], "other": b"user,item,score\n1,2,3\n", "empty": b""}[content]
    )
    with pytest.raises(FormatError, match=rf"{name}: (not readable as \w+: .|empty)") as caught:
        read_triples(path, **NAMES)
    assert "\n" not in str(caught.value)


def test_wrong_sources(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.parquet: does not exist"):
        read_triples(tmp_path / "nothing.parquet")
    with pytest.raises(FileNotFoundError, match="is a folder, not a file"):
        read_triples(tmp_path)
    with pytest.raises(TypeError, match="source: got list, expected a path"):
        read_triples([1, 2])
    with pytest.raises(ValueError, match=r"source: got an array of shape \(2,\)"):
        read_triples(np.zeros(2))
    with pytest.raises(TypeError, match=r"column 'score': got values of type .*string, 'x' the first of them"):
        read_triples(pa.table({"user": [1], "item": [1], "score": ["x"]}))
    with pytest.raises(ValueError, match="got 9, expected one of the columns of the table: 0, 1"):
        read_triples(np.zeros((2, 2)), user=9)
    with pytest.raises(TypeError, match="header: got 'no'"):
        read_triples(FRAME, header="no")


def test_a_suffix_may_be_written_in_capitals(tmp_path):
    path = tmp_path / "A.TSV"
    path.write_text("user\titem\tscore\n1\t2\t3\n")
    assert len(read_triples(path)) == 1


@pytest.mark.parametrize("separator", [",", "::"])
@pytest.mark.parametrize("header", [True, False])
def test_ids_of_text_come_back_as_they_were(tmp_path, separator, header):
    path = tmp_path / "a.csv"
    rows = [("007", "10", "0.5"), ("7", "0", "05"), ("+7", "-3", "1")]
    lines = [("user", "item", "score")] * header + rows
    path.write_text("".join(separator.join(line) + "\n" for line in lines))
    triples = read_triples(path, separator=separator, header=header)
    assert triples.user_ids.values.tolist() == ["007", "7", "+7"]
    assert triples.item_ids.values.tolist() == [10, 0, -3]  # these are integers, whatever the others are
    assert triples.scores.tolist() == [0.5, 5, 1]


def test_an_id_with_a_leading_zero_is_found_in_any_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_SEGMENT", 1000)
    path = tmp_path / "a.csv"
    users = [*map(str, range(1, 2000)), "0012"]
    path.write_text("user,item,score\n" + "".join(f"{user},1,1\n" for user in users))
    assert read_triples(path).user_ids.values.tolist() == users
