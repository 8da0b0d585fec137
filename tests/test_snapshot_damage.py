"""Served folders with something wrong in them: never a wrong answer, and an error that says what to do."""

from __future__ import annotations

import json
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
from served import N_ITEMS, N_USERS, UNKNOWN, check, check_files, current, publish


@pytest.fixture
def root(tmp_path):
    return tmp_path / "serving"


@pytest.fixture
def served(root):
    """A folder of versions 1, 2 and 3, of which 3 is served."""
    for number in (1, 2, 3):
        publish(number, root)
    return root


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
        way_out = rf"{served}.*CURRENT.*there is 1, 2, 3: mcfast.rollback\(root, version=...\) serves one"
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
        with pytest.raises(mcfast.FormatError, match=r"mcfast\.rollback"):
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
    with pytest.raises(mcfast.NewerFormatError, match=f"{path}: format 2 .* pip install -U mcfast"):
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
    put(live, "vectors", key_of(0), struct.pack("<qI", 3, 24) + b"\2" + RECORD[1:])
    with mcfast.open(served) as recaller, pytest.raises(mcfast.NewerFormatError, match="pip install -U mcfast"):
        recall_0(recaller)


# --- ids and users at the edge ----------------------------------------------------------------------------------------

LONG = [f"{'é' * 300}{i}" for i in range(4)]  # over the 511 bytes of a key


def model_with(users, items, seen=None):
    random = np.random.default_rng(1)
    a, b = random.standard_normal((len(users), 3)), random.standard_normal((len(items), 3))
    return mcfast.Model.from_factors(a, b, users=users, items=items, seen=seen)


@pytest.mark.parametrize(
    ("users", "items"),
    [
        (LONG, LONG),
        (["a", "", "\0", "ü"], ["x", "", "\n", "🎬"]),
        ([-(2**63), -1, 0, 2**63 - 1], [-(2**63), -1, 0, 2**63 - 1]),
        (LONG, [-5, -1, 7, 8]),
        ([-5, -1, 7, 8], LONG),
    ],
    ids=["long", "short", "integers", "long users", "long items"],
)
def test_ids_of_every_kind_are_recorded_put_and_forgotten(root, users, items):
    new_user, new_item = (ids[0] * 2 + "new" if isinstance(ids[0], str) else 12345 for ids in (users, items))
    model = model_with(users, items)
    mcfast.publish(model, root)
    with mcfast.open(root) as recaller:
        for user in (*users, new_user):
            recaller.record(user, [items[1], new_item], scores=[1, 2])
            assert recaller.seen(user).tolist() == [items[1]]
            assert set(recaller.recall(user, 9).ids.tolist()) == {items[0], *items[2:]}
        recaller.put_user(new_user, model.user_factors[2])
        recaller.put_item(new_item, [9.0, 9.0, 9.0], attributes={"title": "t"})
        recaller.put_item(items[0], [0.0, 0.0, 0.0], 1e6)
        for user in (users[2], new_user):
            assert set(recaller.seen(user).tolist()) == {items[1], new_item}
            answer = recaller.recall(user, 9, exclude_seen=False)
            assert {*answer.ids.tolist()} == {*items, new_item}
            assert answer.ids[0] == items[0]
            assert recaller.recall(user, 9, exclude=[items[0]], allow=[items[0], items[3]]).ids.tolist() == [items[3]]
        assert recaller.recall(new_user, 9).source == "folded"
        assert recaller.item_attributes(new_item) == {"title": "t"}
        for user in (users[0], new_user):
            recaller.forget(user)
            assert recaller.recall(user, 9).source == "popular"
            assert len(recaller.seen(user)) == 0
        mcfast.publish(model, root)
        recaller.reload()
        assert recaller.recall(users[0], 9).source == "popular"
        assert recaller.recall(users[1], 9).source == "exact"
        assert set(recaller.recall(users[1], 9).ids.tolist()) == {items[0], *items[2:]}
    (table,) = root.glob("versions/2/arrays-*/table.bin")
    with mcfast.store.open("lmdb", table, readonly=True) as published:
        assert {id for ids, _ in published.iterate() for id in ids} == {*users[1:]}


@pytest.mark.parametrize("id", [1.5, None, b"a", True, (1,)])
def test_ids_of_no_kind(served, id):
    with mcfast.open(served) as recaller:
        for call in (
            lambda: recaller.recall(id),
            lambda: recaller.record(id, [1]),
            lambda: recaller.record(1, [id]),
            lambda: recaller.forget(id),
            lambda: recaller.seen(id),
            lambda: recaller.put_user(id, [1.0, 1.0]),
            lambda: recaller.put_item(id, [1.0, 1.0]),
            lambda: recaller.recall(1, exclude=[id]),
        ):
            with pytest.raises(TypeError, match=r"(user|users|item|items|exclude): got"):
                call()


@pytest.mark.parametrize("new", [["a"], [7], [7, "a"]])
def test_an_empty_catalogue_takes_items_of_either_kind(root, new):
    mcfast.publish(mcfast.Model.from_factors(np.ones((2, 2)), np.ones((0, 2))), root)
    with mcfast.open(root) as recaller:
        for user in (0, UNKNOWN):
            assert [len(part) for part in recaller.recall(user, 10**9)[:2]] == [0, 0]
        recaller.record(0, new)
        assert recaller.seen(0).tolist() == []
        for item in new:
            recaller.put_item(item, [1.0, 2.0])
        assert recaller.recall(1, 5).ids.tolist() == new
        assert recaller.recall(UNKNOWN, 5).ids.tolist() == new
        assert recaller.recall(1, 5, exclude=new[:1]).ids.tolist() == new[1:]
        assert recaller.recall(0, 5).ids.tolist() == []
        assert recaller.seen(0).tolist() == new


def test_one_item_and_one_user(root):
    mcfast.publish(model_with(["u"], ["i"]), root)
    with mcfast.open(root) as recaller:
        assert recaller.recall("u", 10**9).ids.tolist() == ["i"]
        assert recaller.recall_many(["u", "v"], 10**9).ids.tolist() == [["i"], ["i"]]
        recaller.record("u", ["i"])
        answer = recaller.recall("u", 10**9)
        assert (answer.ids.tolist(), answer.scores.tolist(), answer.source) == ([], [], "exact")
        assert recaller.recall("u", 1, exclude_seen=False).ids.tolist() == ["i"]
        assert recaller.recall("v", 1, allow=[]).ids.tolist() == []


def test_who_has_seen_everything_gets_nothing_from_any_source(root):
    everything = [0] * 4, [0, 1, 2, 3]
    mcfast.publish(model_with([0, 1], [0, 1, 2, 3], everything), root)
    with mcfast.open(root) as recaller:
        recaller.put_user(8, [1.0, 2.0, 3.0])
        for user in (8, 9):
            recaller.record(user, [0, 1, 2, 3])
        for user, source in ((0, "exact"), (8, "folded"), (9, "popular")):
            answer = recaller.recall(user, 3)
            assert (answer.ids.tolist(), answer.source) == ([], source)
        many = recaller.recall_many([0, 1, 8, 9], 3)
        assert many.counts.tolist() == [0, 3, 0, 0]
        assert many.sources == ["exact", "exact", "folded", "popular"]


# --- forgetting, and what belongs to one version ----------------------------------------------------------------------


def knows(recaller, user):
    return recaller.recall(user, 5).source != "popular"


def test_who_is_forgotten_is_hidden_from_all_versions_and_left_out_of_new_ones(served):
    with mcfast.open(served) as recaller:
        recaller.forget(0)
        publish(4, served, keep=None)
        for number in (1, 2, 3, 4):
            mcfast.rollback(served, number)
            recaller.reload()
            assert not knows(recaller, 0)
            assert recaller.user_attributes(0) == {}
            assert knows(recaller, 1)
        recaller.record(0, [9])
        publish(5, served, keep=None)
        for number in (1, 2, 3, 4, 5):
            mcfast.rollback(served, number)
            recaller.reload()
            assert knows(recaller, 0) == (number == 5)
            assert 9 in recaller.seen(0)
        recaller.forget(0)
        assert not knows(recaller, 0)
        recaller.put_user(0, [1.0, 1.0])
        assert recaller.recall(0, 5).source == "folded"
        assert len(recaller.seen(0)) == 0


def test_attributes_of_who_is_forgotten_are_left_out_of_new_versions(served):
    with mcfast.open(served) as recaller:
        recaller.forget(0)
    publish(4, served)
    (file,) = served.glob("versions/4/arrays-*/users.bin")
    import pyarrow as pa

    assert pa.ipc.open_file(pa.memory_map(str(file))).read_all()["id"].to_pylist() == []


def test_who_is_forgotten_and_returns_while_a_version_is_built_stays_hidden_from_it(served, monkeypatch):
    write = mcfast.snapshot.version.write

    def forget_and_write(*arguments):
        with mcfast.open(served) as recaller:
            recaller.forget(0)
            recaller.record(0, [9])
        write(*arguments)

    monkeypatch.setattr(mcfast.snapshot.version, "write", forget_and_write)
    publish(4, served)
    monkeypatch.undo()
    with mcfast.open(served) as recaller:
        assert recaller.version == 4
        assert not knows(recaller, 0)
        publish(5, served)
        recaller.reload()
        assert knows(recaller, 0)


def test_vectors_put_online_go_with_their_version(served):
    with mcfast.open(served) as recaller:
        recaller.put_user(50, [3.0, -1.0], 3.0)
        recaller.put_item(90, [1.0, 0.0], 3.0, attributes={"title": "new"})
        recaller.put_user(51, [1.0, -1.0], version=2)
        for version, users in ((2, {51}), (1, set()), (3, {50})):
            mcfast.rollback(served, version)
            recaller.reload()
            assert {user for user in (50, 51) if knows(recaller, user)} == users
            assert (90 in recaller.recall(0, 99).ids) == (version == 3)
            assert recaller.item_attributes(90) == ({"title": "new"} if version == 3 else {})
        publish(4, served, keep=1)
        recaller.reload()
        assert not knows(recaller, 50)
        with pytest.raises(mcfast.FormatError, match="no version 3; there is 4"):
            recaller.put_user(50, [3.0, -1.0], version=3)
    environment = Environment.open(served / "live" / FILE, TABLES)
    for table in ("vectors", "items"):
        assert (
            environment.read(lambda transaction, tables, table=table: transaction.stat(tables[table])["entries"]) == 0
        )
    environment.close()


def test_the_manifest_of_a_version_says_what_it_is(served):
    said = json.loads((served / "versions" / "3" / "manifest.json").read_text())
    assert (said["kind"], said["format"], said["number"]) == ("mcfast-version", 1, 3)
    assert (said["users"], said["items"], said["factors"]) == (N_USERS, N_ITEMS, 2)
