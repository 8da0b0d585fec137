"""LMDB tables where things go wrong: full maps, forks, kills, other processes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time

import numpy as np
import pytest

from mcfast import store
from mcfast.store.lmdb_environment import Environment
from processes import SMALL_MAP, finish, full_of, small, start


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.lmdb"


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
