"""Served folders with something wrong in them: never a wrong answer, and an error that says what to do."""

from __future__ import annotations

import shutil
import struct

import numpy as np
import pytest

import mcfast
from mcfast import files
from mcfast.recall.protocol import KIND as INDEX_KIND
from mcfast.snapshot.live import FILE, TABLES
from mcfast.snapshot.version import KIND
from mcfast.store.lmdb_environment import Environment
from served import N_ITEMS, check, check_files, current, publish

# --- CURRENT ----------------------------------------------------------------------------------------------------------

NONSENSE = [
    None,
    b"",
    b"3",
    b"three\n",
    b"\xff\xfe\n",
    b"-3\n",
    b"3 \n",
    b"0\n",
    b"99\n",
    b"9" * 300 + b"\n",
    b"9" * 9999 + b"\n",
]


def spoil(root, content):
    if content is None:
        (root / "CURRENT").unlink()
    else:
        (root / "CURRENT").write_bytes(content)


@pytest.mark.parametrize("content", NONSENSE, ids=lambda content: repr(content)[:12])
def test_nonsense_in_current_is_named_and_the_way_out_told(served, content):
    with mcfast.open(served) as recaller:
        spoil(served, content)
        error = mcfast.FormatError if content is None else mcfast.CorruptError
        way_out = rf"{served}.*CURRENT.*there is 1, 2, 3: roll back to one of them to serve it"
        with pytest.raises(error, match=way_out):
            mcfast.open(served)
        with pytest.raises(error, match=way_out):
            recaller.reload()
        assert check(recaller) == (3, 3)  # what is open goes on
        assert [version.current for version in mcfast.versions(served)] == [False] * 3
        assert mcfast.rollback(served, version=2) == 2
        assert recaller.reload()
        assert check(recaller) == (2, 2)


@pytest.mark.parametrize("content", NONSENSE, ids=lambda content: repr(content)[:12])
def test_nonsense_in_current_is_repaired(served, content):
    spoil(served, content)
    assert mcfast.rollback(served) == 3
    spoil(served, content)
    assert publish(4, served, keep=2) == 4
    with mcfast.open(served) as recaller:
        assert check(recaller) == (4, 4)
    assert [version.number for version in mcfast.versions(served)] == [3, 4]
    check_files(served)


def test_pruning_takes_nothing_away_while_current_is_nonsense(served):
    for content in NONSENSE:
        spoil(served, content)
        with pytest.raises(mcfast.FormatError, match="roll back to one of them"):
            mcfast.prune(served, keep=1)
    assert len(mcfast.versions(served)) == 3


# --- the root ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "has no versions/"),
        (lambda path: path.write_text("x"), "does not exist|is a file"),
    ],
)
def test_what_is_no_served_folder_is_not_opened(root, make, reason):
    make(root)
    for use in (mcfast.open, mcfast.rollback, mcfast.prune, mcfast.versions):
        with pytest.raises(mcfast.FormatError, match=f"{root}: not a served folder: it ({reason})"):
            use(root)


def test_other_peoples_folders_are_not_published_to(root):
    root.write_text("x")
    with pytest.raises(mcfast.FormatError, match="a file stands there"):
        publish(1, root)
    with pytest.raises(mcfast.FormatError, match="does not exist"):
        publish(1, root.parent / "missing" / "serving")
    root.unlink()
    mcfast.Model.from_factors(np.ones((1, 2)), np.ones((1, 2))).save(root)
    before = sorted(root.rglob("*"))
    with pytest.raises(mcfast.FormatError, match="not a served folder, and not empty"):
        publish(1, root)
    assert sorted(root.rglob("*")) == before


def test_a_folder_in_which_nothing_was_published_yet(root):
    with pytest.raises(ValueError, match="M"):
        publish(1, root, index="hnswlib", index_options={"M": 0})
    for use in (mcfast.open, mcfast.rollback, mcfast.prune):
        with pytest.raises(mcfast.FormatError, match=r"nothing has been published|no version"):
            use(root)
    assert mcfast.versions(root) == []
    assert publish(1, root) == 1


# --- the files of a version -------------------------------------------------------------------------------------------


def test_every_altered_truncated_or_missing_file_of_a_version_is_named(served):
    with mcfast.open(served) as recaller:
        assert check(recaller) == (3, 3)
        for file in [path for path in (served / "versions" / "3").rglob("*") if path.is_file()]:
            whole = file.read_bytes()
            altered = bytearray(whole)
            altered[len(whole) // 2] ^= 1
            for content in (bytes(altered), whole[:-2], whole[: len(whole) // 2], b"", None):
                file.unlink()  # the reader has the old one mapped
                if content is not None:
                    file.write_bytes(content)
                manifest = content is None and file.name == "manifest.json"
                error, named = (mcfast.FormatError, file.parent) if manifest else (mcfast.CorruptError, file)
                with pytest.raises(error, match=str(named)):
                    mcfast.open(served)
                assert recaller.recall(0, 1).version == 3
            mcfast.rollback(served, 2)
            with pytest.raises(mcfast.FormatError, match=str(file.parent)):
                mcfast.rollback(served, 3)
            assert current(served) == 2
            file.write_bytes(whole)
            mcfast.rollback(served, 3)
    with mcfast.open(served) as recaller:
        assert check(recaller) == (3, 3)


@pytest.mark.parametrize("part", ["", "index"])
def test_a_version_of_a_newer_format_is_told_apart_from_damage(served, part):
    path = served / "versions" / "3" / part
    kind = INDEX_KIND if part else KIND
    shutil.rmtree(path)
    files.write(path, files.Kind(kind.name, kind.version + 1), {}, {})
    if part:
        with pytest.raises(mcfast.NewerFormatError, match="pip install -U mcfast"):
            mcfast.open(served)
    with pytest.raises(mcfast.NewerFormatError, match=f"{path}: format {kind.version + 1} .* pip install -U mcfast"):
        mcfast.open(served)


@pytest.mark.parametrize("shape", [(N_ITEMS, 3), (N_ITEMS + 1, 2)])
def test_an_index_of_another_dimension_or_size(served, shape):
    path = served / "versions" / "3" / "index"
    shutil.rmtree(path)
    mcfast.recall.build("exact", np.ones(shape)).save(path)
    with pytest.raises(
        mcfast.CorruptError, match=rf"its index has {shape[0]} items of {shape[1]} factors, expected 30"
    ):
        mcfast.open(served)


# --- what is written online -------------------------------------------------------------------------------------------


@pytest.fixture
def live(served):
    """The file of what is written online, with a bit of everything in it."""
    with mcfast.open(served) as recaller:
        recaller.record(0, [9])
        recaller.put_user(1, [3.0, -1.0], 3.0)
        recaller.put_item(9, [1.0, 9 / 16], 3.0, attributes={"title": "nine"})
        recaller.forget(2)
    return served / "live" / FILE


def test_a_truncated_file_of_what_is_written_online_is_named(served, live):
    whole = live.read_bytes()
    for size in (0, 100, 4096, 8192, len(whole) // 2, len(whole) - 1):
        live.write_bytes(whole[:size])
        for use in (mcfast.open, lambda root: publish(4, root)):
            with pytest.raises(mcfast.CorruptError, match=str(live)):
                use(served)
    live.write_bytes(whole)
    with mcfast.open(served) as recaller:
        assert check(recaller, 0, [9]) == (3, 3)


def put(live, table, key, value):
    """Write a value to what is written online, as damage would."""
    environment = Environment.open(live, TABLES)
    environment.write(lambda transaction, tables: transaction.put(key, value, db=tables[table]))
    environment.close()


def key_of(id):
    return struct.pack(">cq", b"i", id)


RECORD = struct.pack("<HHIIf", 1, 2, 0, 0, 0.0) + bytes(8)


def recall_0(recaller):
    return recaller.recall(0, 5)


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("interactions", key_of(0), b'{"user":0,"items":[[1,nu'),
        ("interactions", key_of(0), b'{"user":0}'),
        ("interactions", key_of(0), b'{"user":0,"items":[1,2]}'),
        ("interactions", key_of(0), b"5"),
        ("interactions", key_of(0), b"\xff\xfe"),
        ("vectors", key_of(0), struct.pack("<q", 3)),
        ("vectors", key_of(0), struct.pack("<qI", 3, 24) + RECORD[:-1]),
        ("vectors", key_of(0), struct.pack("<qI", 3, 23) + RECORD[:-1]),
        ("vectors", key_of(0), struct.pack("<qI", 3, 2) + RECORD[:2]),
        ("items", key_of(5), b"abc"),
        ("items", key_of(5), struct.pack("<qI", 3, 2) + b"xx"),
        ("items", key_of(5), struct.pack("<qII", 3, 29, 24) + RECORD + b"{"),
        ("items", key_of(5), struct.pack("<qII", 3, 29, 24) + RECORD + b"5"),
        ("items", key_of(5), struct.pack("<qII", 3, 29, 23) + RECORD + b"{"),
        ("forgotten", key_of(0), b"x"),
        ("state", b"items", b"x"),
    ],
)
def test_an_altered_value_of_what_is_written_online_is_corrupt(served, live, table, key, value):
    with mcfast.open(served) as recaller:
        before = recaller.recall(1, 5)
        put(live, table, key, value)
        if table == "items":  # looked at again when the number of changes differs
            put(live, "state", b"items", struct.pack("<q", 1000))
        with pytest.raises(mcfast.CorruptError, match=FILE):
            recall_0(recaller)
        if table in ("interactions", "vectors", "forgotten"):
            assert recaller.recall(1, 5).ids.tolist() == before.ids.tolist()  # others are served
            recaller.forget(0)
            assert recall_0(recaller).source == "popular"


def test_what_a_newer_mcfast_wrote_online_is_refused(served, live):
    put(live, "state", b"format", b"2")
    for use in (mcfast.open, lambda root: publish(4, root)):
        with pytest.raises(mcfast.NewerFormatError, match=f"{live}: format 2, .* pip install -U mcfast"):
            use(served)
    assert current(served) == 3
    put(live, "state", b"format", b"1")
    put(live, "vectors", key_of(0), struct.pack("<qI", 3, 24) + b"\3" + RECORD[1:])
    with mcfast.open(served) as recaller, pytest.raises(mcfast.NewerFormatError, match="pip install -U mcfast"):
        recall_0(recaller)
