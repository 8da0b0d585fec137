"""LMDB tables where things go wrong: full maps and disks, forks, kills, other processes, altered files."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time

import lmdb
import numpy as np
import pytest

from mcfast import store
from mcfast.errors import FormatError
from mcfast.store.lmdb import TABLE, LmdbBackend
from mcfast.store.lmdb_environment import Environment
from mcfast.store.table import Table

SMALL_MAP = 1 << 17


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.lmdb"


def start(script, *arguments):
    """Start a Python process that runs `script` with numpy as np, store, and the arguments as `args`."""
    head = "import os, sys\nimport numpy as np\nfrom mcfast import store\nargs = sys.argv[1:]\n"
    command = [sys.executable, "-W", "error", "-c", head + script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, timeout=60):
    """Wait for a process to end well, and return what it printed."""
    out, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, f"ended with {process.returncode}: {errors}"
    return out


def small(path, map_size=SMALL_MAP):
    """Open a table whose map is soon full."""
    return Table(LmdbBackend(Environment.open(path, [TABLE], map_size=map_size)))


def full_of(value, n=1000):
    """Return ids and vectors that all hold one value."""
    return np.arange(n), np.full((n, 64), value, np.float32)


# --- maps -------------------------------------------------------------------------------------------------------------


def test_a_full_map_grows(path):
    with small(path) as table:
        for value in range(4):
            table.put_many(np.arange(1000) + 1000 * value, full_of(value)[1])
        table.replace_all(*full_of(9, 5000))
        assert len(table) == 5000
        assert (table.get_many(np.arange(5000)).vectors == 9).all()
    assert path.stat().st_size > SMALL_MAP


def test_a_table_that_another_process_grew_is_read_and_written_on(path):
    grow = """
with store.open("lmdb", args[0]) as table:
    table.put_many(np.arange(5000), np.full((5000, 64), float(args[1])))
"""
    with small(path) as table:
        table.put_many([0], np.zeros((1, 64)))
        finish(start(grow, path, 1))
        assert (table.get_many(np.arange(5000)).vectors == 1).all()
    with small(path.with_name("other")) as table:
        finish(start(grow, path.with_name("other"), 2))
        table.put_many([0], np.full((1, 64), 3))
        assert table.get(0).vector[0] == 3
        assert table.get(4999).vector[0] == 2


def test_threads_read_on_while_the_map_grows(path):
    stop = threading.Event()
    failures = []

    def read():
        while not stop.is_set():
            try:
                values = table.get_many(np.arange(50)).vectors
                assert (values == values[0, 0]).all()
                vector = table.get(7).vector
                assert (vector == vector[0]).all()
                assert sum(len(ids) for ids, _ in table.iterate(100)) >= 50
            except BaseException as error:
                failures.append(error)
                return

    with small(path) as table:
        table.put_many(*full_of(0, 50))
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for value in range(1, 30):
            table.put_many(*full_of(value, 50 + 200 * value))
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures


# --- one process, one environment -------------------------------------------------------------------------------------


def test_two_tables_at_one_path_share_an_environment(path):
    with store.open("lmdb", path) as one, store.open("lmdb", path.parent / "." / path.name) as two:
        one.put_many(*full_of(1))
        assert two._backend._environment is one._backend._environment
        assert two.get(5).vector[0] == 1
        one.close()
        two.put_many(*full_of(2))
        assert two.get(5).vector[0] == 2
    with store.open("lmdb", path, readonly=True) as table:
        assert table.get(5).vector[0] == 2
        with pytest.raises(ValueError, match="readonly=True: close it first"):
            store.open("lmdb", path)


def test_a_table_closed_under_its_readers_says_so(path):
    errors = []

    def read(table):
        try:
            while True:
                table.get(1)
        except ValueError as error:
            errors.append(str(error))

    for readonly in (False, True):
        store.build("lmdb", path, *full_of(1)).close()
        table = store.open("lmdb", path, readonly=readonly)
        threads = [threading.Thread(target=read, args=(table,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        table.close()
        for thread in threads:
            thread.join(10)
    assert len(errors) == 6
    assert all("closed" in error for error in errors)


def test_tables_of_one_environment_change_together(path):
    environment = Environment.open(path, ["users", "items"])
    other = Environment.open(path, ["items", "interactions"])
    before = environment.last_txnid()

    def write(transaction, tables):
        transaction.put(b"a", b"1", db=tables["users"])
        transaction.put(b"b", b"2", db=tables["interactions"])
        return 7

    def fail(transaction, tables):
        transaction.put(b"a", b"9", db=tables["users"])
        raise KeyError("a")

    assert environment.write(write) == 7
    assert environment.last_txnid() == before + 1
    with pytest.raises(KeyError):
        environment.write(fail)
    assert other.last_txnid() == before + 1
    got = other.read(lambda t, tables: (t.get(b"a", db=tables["users"]), t.get(b"b", db=tables["interactions"])))
    assert got == (b"1", b"2")
    other.close()
    environment.close()
    with pytest.raises(ValueError, match="closed"):
        environment.read(lambda t, tables: None)


# --- forks ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("readonly", [False, True])
def test_a_child_and_its_parent_both_go_on_after_a_fork(path, readonly):
    store.build("lmdb", path, *full_of(1)).close()
    stop = threading.Event()
    with store.open("lmdb", path, readonly=readonly) as table:

        def read():
            while not stop.is_set():
                table.get(3)
                if not readonly:
                    table.put_many([-1], np.full((1, 64), 5))

        thread = threading.Thread(target=read)
        thread.start()
        children = []
        for i in range(10):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                status = 1
                with contextlib.suppress(BaseException):
                    fine = (table.get_many(np.arange(1000)).vectors == 1).all() and table.get(2).vector[0] == 1
                    if not readonly:
                        table.put_many([1000 + i], np.full((1, 64), i))
                        fine = fine and table.get(1000 + i).vector[0] == i
                    table.close()
                    status = 0 if fine else 2
                os._exit(status)
            children.append(child)
            assert table.get(2).vector[0] == 1
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10
        stop.set()
        thread.join()
        if not readonly:
            assert table.get_many(np.arange(1000, 1010)).vectors[:, 0].tolist() == list(range(10))
            assert table.get(-1).vector[0] == 5


def test_a_child_ends_in_the_usual_way(path):
    script = """
import multiprocessing
store.build("lmdb", args[0], [1], [[5.0]]).close()
table = store.open("lmdb", args[0])
assert table.get(1).vector[0] == 5

def child():
    assert table.get(1).vector[0] == 5

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
assert process.exitcode == 0
if os.fork() == 0:
    sys.exit(0)
assert os.wait()[1] == 0
assert table.get(1).vector[0] == 5
table.put_many([2], [[6.0]])
"""
    finish(start(script, path))


# --- several processes ------------------------------------------------------------------------------------------------


def test_readers_see_whole_states_while_another_process_writes(path):
    with store.open("lmdb", path) as table:
        table.replace_all(*full_of(0, 500))
    write = """
with store.open("lmdb", args[0]) as table:
    for value in range(1, 60):
        n = 500 + value
        write = table.replace_all if value % 2 else table.put_many
        write(np.arange(n), np.full((n, 64), value), np.full(n, value))
"""
    read = """
with store.open("lmdb", args[0]) as table:
    last = -1
    states = set()
    while last < 59:
        values = table.get_many(np.arange(600))
        state = values.vectors[0, 0]
        assert state >= last
        assert values.found.sum() == 500 + state
        assert (values.vectors[values.found] == state).all() and (values.biases[values.found] == state).all()
        last = state
        states.add(state)
    print(len(states))
"""
    readers = [start(read, path) for _ in range(2)]
    finish(start(write, path))
    assert all(int(finish(reader)) >= 1 for reader in readers)


def test_a_write_that_was_acknowledged_survives_a_kill(path):
    write = """
with store.open("lmdb", args[0]) as table:
    value = int(args[1])
    while True:
        value += 1
        table.put_many(np.arange(300), np.full((300, 64), value))
        print(value, flush=True)
"""
    chance = random.Random(7)
    last = 0
    with store.open("lmdb", path) as table:
        table.put_many(*full_of(0, 300))
        for _ in range(30):
            process = start(write, path, last)
            first = int(process.stdout.readline())
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
            rest = process.communicate()[0].splitlines()
            acknowledged = int(rest[-1]) if rest else first
            values = table.get_many(np.arange(300)).vectors
            last = int(values[0, 0])
            assert (values == last).all()
            assert acknowledged <= last <= acknowledged + 1
    with store.open("lmdb", path) as table:  # may show the very last write, killed before it told anyone
        values = table.get_many(np.arange(300)).vectors
        assert values[0, 0] in (last, last + 1)
        assert (values == values[0, 0]).all()


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
