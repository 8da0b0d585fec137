"""LMDB tables on full disks, and files that were altered."""

from __future__ import annotations

import os
import subprocess

import lmdb
import numpy as np
import pytest

from mcfast import store
from mcfast.errors import FormatError
from processes import finish, full_of, start


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.lmdb"


# --- disks ------------------------------------------------------------------------------------------------------------

FILL = """
table = store.open("lmdb", args[0])
try:
    table.replace_all(np.arange(20000), np.full((20000, 64), 2))
except OSError as error:
    assert str(args[0]) in str(error)
else:
    raise AssertionError("the disk was not full")
assert len(table) == 1000 and (table.get_many(np.arange(1000)).vectors == 1).all()
table.put_many([5], np.full((1, 64), 3))
table.close()
try:
    store.build("lmdb", args[0], np.arange(20000), np.full((20000, 64), 2))
except OSError:
    pass
else:
    raise AssertionError("the disk was not full")
names = sorted(os.listdir(os.path.dirname(args[0])))
assert names == ["table.lmdb", "table.lmdb-lock"], names
"""


def test_a_file_that_may_not_grow_keeps_what_it_held(path):
    with store.open("lmdb", path) as table:
        table.put_many(*full_of(1))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))\n"
    finish(start(limit + FILL, path))
    with store.open("lmdb", path) as table:
        assert len(table) == 1000
        assert table.get(5).vector[0] == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_keeps_what_it_held(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this root may not mount")
    try:
        with store.open("lmdb", disk / "table.lmdb") as table:
            table.put_many(*full_of(1))
        finish(start(FILL, disk / "table.lmdb"))
        with store.open("lmdb", disk / "table.lmdb") as table:
            assert len(table) == 1000
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# --- files ------------------------------------------------------------------------------------------------------------

READ_ALL = """
from mcfast.errors import FormatError
ids = np.arange(1000)
for path in args[1:]:
    try:
        with store.open("lmdb", path, readonly=args[0] == "readonly") as table:
            try:
                [table.get(id) for id in ids.tolist()]
            finally:
                table.get_many(ids)
    except (FormatError, LookupError) as error:
        print(type(error).__name__)
    else:
        print("whole")
"""


@pytest.mark.parametrize("mode", ["readonly", "live"])
def test_a_truncated_file_is_corrupt(path, mode):
    store.build("lmdb", path, *full_of(1)).close()
    data = path.read_bytes()
    cuts = [0, 1, 100, 4096, 5000, 8191, 8192, 8193, 12288, len(data) // 2, len(data) - 4096, len(data) - 1]
    paths = [path.with_name(f"cut-{cut}") for cut in cuts]
    for cut, file in zip(cuts, paths, strict=True):
        file.write_bytes(data[:cut])
    assert finish(start(READ_ALL, mode, *paths)).split() == ["CorruptError"] * len(cuts)


@pytest.mark.parametrize("mode", ["readonly", "live"])
def test_garbage_never_crashes_the_process(path, mode):
    store.build("lmdb", path, *full_of(1)).close()
    data = path.read_bytes()
    chance = np.random.default_rng(5)
    paths = [path.with_name(name) for name in ("noise", "text", "zeros")]
    for file, content in zip(paths, [chance.bytes(50_000), b"hello\n" * 5000, bytes(50_000)], strict=True):
        file.write_bytes(content)
    assert finish(start(READ_ALL, mode, *paths)).split() == ["CorruptError"] * 3
    for page in range(2, len(data) // 4096):
        paths.append(path.with_name(f"page-{page}"))
        noise = chance.bytes(4096) if page % 2 else bytes(4096)
        paths[-1].write_bytes(data[: 4096 * page] + noise + data[4096 * (page + 1) :])
    answers = finish(start(READ_ALL, mode, *paths[3:])).split()
    assert set(answers) <= {"CorruptError", "whole"}
    assert answers.count("whole") <= 3  # pages that are free, or list those


def test_what_is_no_table_is_refused(tmp_path, path):
    with pytest.raises(FormatError, match="does not exist"):
        store.open("lmdb", path, readonly=True)
    assert list(tmp_path.iterdir()) == []
    lmdb.open(str(path), subdir=False).close()
    with pytest.raises(FormatError, match="lacks one of records"):
        store.open("lmdb", path, readonly=True)
    with pytest.raises(TypeError, match="path: got None"):
        store.open("lmdb")
    with pytest.raises(OSError, match="No such file"):
        store.open("lmdb", tmp_path / "missing" / "table")


def test_a_build_replaces_the_file_in_one_step_and_is_small(tmp_path, path):
    ids = np.random.default_rng(0).permutation(20_000)
    with store.build("lmdb", path, ids, np.ones((20_000, 64))) as old:
        assert path.stat().st_size < 1.2 * 20_000 * (9 + 16 + 256)
        with store.build("lmdb", path, [1], np.full((1, 64), 2)) as new:
            assert len(old) == 20_000
            assert old.get(1).vector[0] == 1
            assert len(new) == 1
            assert new.get(1).vector[0] == 2
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
