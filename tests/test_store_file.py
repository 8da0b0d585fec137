"""Tables of arrays: folders that were altered, killed writers, full disks, other processes."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
import zlib

import numpy as np
import pytest

import mcfast
from mcfast import files, store
from mcfast.errors import CorruptError, FormatError, UnknownIdError
from processes import finish, full_of, start
from serving_problems import made
from table_problems import same, values

COLLIDING = ["plumless", "buckeroo", "codding", "gnu", "exhibiters", "schlager"]  # pairs of one CRC-32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table"


def arrays_of(path):
    """The files of a table, largest first."""
    return sorted(path.glob("arrays-*/*.npy"), key=lambda file: (-file.stat().st_size, file.name))


def test_strings_of_one_hash_are_told_apart(path):
    assert len({zlib.crc32(id.encode()) for id in COLLIDING}) == 3
    ids = [*COLLIDING[:4], COLLIDING[5], "other"]
    given = values(len(ids))
    with store.build("file", path, ids, *given) as table:
        assert all(same(table.get(id), *given, i) for i, id in enumerate(ids))
        many = table.get_many([*ids[::-1], COLLIDING[4], *ids])
        assert many.found.tolist() == [True] * 6 + [False] + [True] * 6
        assert np.array_equal(many.vectors, np.concatenate([given[0][::-1], np.zeros((1, 3)), given[0]]))
        with pytest.raises(UnknownIdError):
            table.get(COLLIDING[4])


def test_rows_stand_in_the_order_that_the_format_names(path):
    ids = ["b", 5, "plumless", -3, "buckeroo", 2**63 - 1]
    store.build("file", path, ids, *values(6)).close()
    arrays = files.read(path, files.Kind("mcfast-table", 1)).arrays
    assert arrays["integers"].tolist() == [-3, 5, 2**63 - 1]
    texts = sorted([b"b", b"plumless", b"buckeroo"], key=lambda text: (zlib.crc32(text), text))
    assert arrays["hashes"].tolist() == list(map(zlib.crc32, texts))
    assert arrays["utf8"].tobytes() == b"".join(texts)
    assert arrays["offsets"].tolist() == np.cumsum([0, *map(len, texts)]).tolist()
    order = [ids.index(id) for id in (-3, 5, 2**63 - 1, *(text.decode() for text in texts))]
    assert np.array_equal(arrays["vectors"], values(6)[0][order])
    assert np.array_equal(arrays["biases"], values(6)[1][order])
    assert [arrays[name].dtype.str for name in ("integers", "hashes", "offsets", "utf8")] == [
        "<i8",
        "<u4",
        "<i8",
        "|u1",
    ]
    assert [arrays[name].dtype.str for name in ("vectors", "biases", "seen_indptr", "seen_rows")] == [
        "<f4",
        "<f4",
        "<i8",
        "<i4",
    ]


def test_half_precision_takes_half_the_bytes(path):
    store.build("file", path, *full_of(1)).close()
    single = arrays_of(path)[0].stat().st_size
    store.build("file", path, *full_of(1), precision="float16").close()
    assert arrays_of(path)[0].stat().st_size - 128 == (single - 128) // 2


def test_every_byte_that_is_altered_and_every_cut_is_found(path):
    store.build("file", path, ["a", 1, 2], *values(3)).close()
    chance = random.Random(3)
    for file in [*arrays_of(path), path / "manifest.json"]:
        data = file.read_bytes()
        end = len(data.rstrip(b"\n"))  # without the last newline a manifest is whole, too
        for at in [0, end - 1, *(chance.randrange(end) for _ in range(4))]:
            file.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :])
            with pytest.raises(FormatError):  # of which CorruptError is one
                store.open("file", path, readonly=True)
            file.write_bytes(data[:at])
            with pytest.raises(FormatError):
                store.open("file", path, readonly=True, verify=False)
        file.write_bytes(data)
    assert len(store.open("file", path, readonly=True)) == 3


def test_ids_and_offsets_that_cannot_be_are_found_without_their_checksums(path):
    ids = [3, 1, 2, "a", "b", "c"]
    store.build("file", path, ids, *values(6)).close()
    for name, at, wrong in [
        ("integers", 0, 4),
        ("integers", 2, 2),
        ("hashes", 2, 0),
        ("offsets", 0, 1),
        ("offsets", 1, 9),
        ("offsets", 3, 2),
        ("seen_indptr", 3, -1),
        ("seen_indptr", 6, 1 << 30),
    ]:
        (file,) = path.glob(f"arrays-*/{name}.npy")
        data = file.read_bytes()
        array = np.load(file)
        array[at] = wrong
        with file.open("r+b") as opened:
            opened.seek(len(data) - array.nbytes)
            opened.write(array.tobytes())
        with pytest.raises(CorruptError, match="altered: its arrays do not fit together"):
            store.open("file", path, readonly=True, verify=False)
        file.write_bytes(data)


def test_what_is_no_table_is_refused(tmp_path, path):
    with pytest.raises(FormatError, match="does not exist"):
        store.open("file", path, readonly=True)
    with pytest.raises(ValueError, match="readonly: got False, expected True: such a table never changes"):
        store.open("file", path)
    with pytest.raises(TypeError, match="path: got None"):
        store.open("file", readonly=True)
    made().save(path)
    with pytest.raises(FormatError, match="not a mcfast-table: its manifest says 'mcfast-model'"):
        store.open("file", path, readonly=True)
    with pytest.raises(FormatError, match="not a mcfast-table"):
        store.build("file", path, [1], [[1.0]])
    with pytest.raises(FormatError, match=r"the folder .* does not exist"):
        store.build("file", tmp_path / "missing" / "table", [1], [[1.0]])


def test_a_build_replaces_a_table_in_one_step_and_leaves_its_readers(path):
    with store.build("file", path, *full_of(1)) as old, store.build("file", path, [1], np.full((1, 64), 2)) as new:
        assert (old.get_many(np.arange(1000)).vectors == 1).all()
        assert new.get(1).vector[0] == 2
        assert len(list(path.glob("arrays-*"))) == 1


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped_leaves_the_old_table(path, end):
    build = """
print("ready", flush=True)
value = 1
while True:
    value += 1
    store.build("file", args[0], np.arange(3000), np.full((3000, 64), value))
"""
    chance = random.Random(int(end))
    store.build("file", path, np.arange(3000), np.full((3000, 64), 1)).close()
    for _ in range(3):
        process = start(build, path)
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(end)
        process.communicate(timeout=30)
        with store.open("file", path, readonly=True) as table:
            vectors = table.get_many(np.arange(3000)).vectors
            assert (vectors == vectors[0, 0]).all()
        if end == signal.SIGINT:
            assert len(list(path.iterdir())) == 2
    store.build("file", path, [1], [[1.0]]).close()
    assert len(list(path.iterdir())) == 2  # nor is anything left of those that were killed


def test_a_full_disk_keeps_the_old_table(path):
    store.build("file", path, *full_of(1)).close()
    build = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
try:
    store.build("file", args[0], np.arange(20000), np.full((20000, 64), 2))
except OSError as error:
    print("full")
"""
    assert finish(start(build, path)) == "full\n"
    with store.open("file", path, readonly=True) as table:
        assert (table.get_many(np.arange(1000)).vectors == 1).all()
    assert len(list(path.iterdir())) == 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_children_and_other_processes_read_the_same_table(path):
    with store.build("file", path, *full_of(1)) as table:
        read = 'print(store.open("file", args[0], readonly=True).get_many(np.arange(1000)).vectors.sum())'
        others = [start(read, path) for _ in range(2)]
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                status = 0 if (table.get_many(np.arange(1000)).vectors == 1).all() else 2
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert [finish(other) for other in others] == ["64000.0\n"] * 2
        assert table.get(5).vector[0] == 1


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("users", [None, [f"user-{i}" for i in range(30)]])
def test_versions_in_arrays_answer_as_those_in_lmdb(root, tmp_path, users):
    model = made(users=users)
    mcfast.publish(model, root, store="file")
    mcfast.publish(model, tmp_path / "lmdb")
    known = model.users.values.tolist()
    with mcfast.open(root) as one, mcfast.open(tmp_path / "lmdb") as other:
        assert one.info["store"] == "file"
        asked = [*known, 999 if users is None else "nobody"]
        for opened in (one, other):
            opened.record(known[3], [7, 8])
            opened.fold_in(known[4], [1, 2])
        found, expected = one.recall_many(asked, 9), other.recall_many(asked, 9)
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.scores, expected.scores)
        assert found.sources == expected.sources
        for user in asked[::7]:
            assert one.recall(user, 5).ids.tolist() == other.recall(user, 5).ids.tolist()
            assert sorted(one.seen(user)) == sorted(other.seen(user))
    assert mcfast.publish(made(1, users=users), root, store="file", store_precision="float16") == 2
    mcfast.rollback(root)
    (info, _) = mcfast.versions(root)
    assert (info.store, info.current, info.problem) == ("file", True, None)


def test_a_version_whose_table_was_altered_is_not_served(root):
    mcfast.publish(made(), root, store="file")
    table = root / "versions" / "1" / "table"
    file = arrays_of(table)[0]
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CorruptError, match="SHA-256"):
        mcfast.open(root)
    file.write_bytes(data)
    shutil.rmtree(table)
    with pytest.raises(FormatError, match="not a mcfast-table: it does not exist"):
        mcfast.open(root)
    store.build("file", table, [1, 2], np.ones((2, 6))).close()
    with pytest.raises(CorruptError, match="its table has 2 users, expected 30"):
        mcfast.open(root)


def test_the_command_publishes_to_arrays(root, tmp_path, run_command):
    made().save(tmp_path / "model")
    assert run_command("publish", str(tmp_path / "model"), str(root), "--store", "file")[0] == 0
    with mcfast.open(root) as recaller:
        assert recaller.info["store"] == "file"
