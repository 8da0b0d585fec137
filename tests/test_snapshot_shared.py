"""Served folders shared by processes and threads that read, publish and prune at the same time."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import statistics
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import mcfast
from mcfast.snapshot import version
from mcfast.snapshot.recaller import Recaller
from mcfast.snapshot.root import Root, _names
from mcfast.snapshot.version import Version
from served import N_ITEMS, check, check_files, current, forked, open_files, publish, status_of, telling

# --- many readers -----------------------------------------------------------------------------------------------------

LARGE = 10_000  # items: a version that is not let go of shows in the memory
PUBLISHED, READERS, RECALLS = 50, 4, 10_000


def memory():
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def read_on(root, done, tell):
    """Recall and reload until all is published; tell what an operator would look at."""
    recalls, used, seen = 0, [], set()
    with mcfast.open(root) as recaller:
        while not done.exists() or recalls < RECALLS / READERS:
            number, number_of_version = check(recaller, n_items=LARGE)
            assert number == number_of_version
            recalls += 1
            if recalls > RECALLS / READERS:
                time.sleep(0.002)  # leaves the processor to the publisher
            if recaller.reload():
                seen.add(recaller.version)
                check(recaller, n_items=LARGE)
                used.append(memory())
        files = open_files(root)
        assert not [file for file in files if "deleted" in file]
        assert {file.split("versions/")[1].split("/")[0] for file in files if "versions/" in file} == {str(PUBLISHED)}
        used = used[len(used) // 10 :]
        third = len(used) // 3
        tell(recalls, len(seen), statistics.median(used[:third]), statistics.median(used[-third:]), len(files))
    assert open_files(root) == []


def test_recalls_go_on_while_versions_come_and_go(root):
    publish(1, root, n_items=LARGE)
    done = root.with_name("done")
    children = [telling(lambda tell: read_on(root, done, tell)) for _ in range(READERS)]
    used = []
    for number in range(2, PUBLISHED + 1):
        assert publish(number, root, n_items=LARGE, keep=2, threads=1) == number
        used.append(memory())
    done.touch()
    recalls = 0
    for child, told in children:
        with told:
            words = told.read().split()
        assert status_of(child) == 0
        recalls += int(words[0])
        n_versions, first, last, n_files = map(float, words[1:])
        assert n_versions > 10
        assert last < 1.05 * first
        assert n_files < 30
    assert recalls >= RECALLS
    assert statistics.median(used[-10:]) < 1.05 * statistics.median(used[10:20])
    assert open_files(root) == []


def test_threads_share_a_recaller_while_versions_come_and_go(root):
    publish(1, root)
    stop = threading.Event()
    failures = []

    def read(recaller):
        try:
            while not stop.is_set():
                answer = recaller.recall(0, N_ITEMS)
                number = answer.version
                assert (answer.ids == [i for i in range(N_ITEMS) if i != number % N_ITEMS]).all()
                np.testing.assert_allclose(answer.scores, 4 * number - answer.ids / 16)
                assert recaller.item_attributes(0)["number"] <= current(root)
                recaller.reload()
        except BaseException as error:
            failures.append(error)

    with mcfast.open(root) as recaller:
        threads = [threading.Thread(target=read, args=(recaller,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(2, 20):
            publish(number, root, keep=1)
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert open_files(root) == []


# --- one publisher at a time ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def publisher_at_work(root, number):
    """Give a child that is in the middle of a publication, and goes on when the file ``go`` appears beside the root."""

    def work(tell):
        def wait(*_):
            tell("at work")
            while not root.with_name("go").exists():
                time.sleep(0.002)

        Version.try_out = wait
        publish(number, root)

    child, told = telling(work)
    with told:
        assert told.readline() == "at work\n"
        yield child


def test_a_second_publisher_waits_or_says_that_another_is_at_work(root):
    publish(1, root)
    with publisher_at_work(root, 2) as child:
        for change in (
            lambda: publish(3, root, wait=False),
            *(lambda change=change: change(root, wait=False) for change in (mcfast.rollback, mcfast.prune)),
        ):
            with pytest.raises(mcfast.BusyError, match=f"{root}: another process is publishing"):
                change()
        with mcfast.open(root) as recaller:
            assert check(recaller) == (1, 1)
        published = []
        waiting = threading.Thread(target=lambda: published.append(publish(3, root)))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        root.with_name("go").touch()
        waiting.join()
        assert published == [3]
        assert status_of(child) == 0
    with mcfast.open(root) as recaller:
        assert check(recaller) == (3, 3)
    check_files(root)


def test_the_lock_goes_with_a_killed_publisher(root):
    publish(1, root)
    with publisher_at_work(root, 2) as child:
        os.kill(child, signal.SIGKILL)
        status_of(child)
    assert current(root) == 1
    assert publish(3, root, wait=False) == 3  # version 2 was whole
    check_files(root)


def test_a_child_does_not_inherit_the_lock(root, monkeypatch):
    try_out = Version.try_out
    children = []

    def try_out_and_fork(*arguments):
        children.append(forked(lambda: time.sleep(60)))
        try_out(*arguments)

    monkeypatch.setattr(Version, "try_out", try_out_and_fork)
    publish(1, root)
    monkeypatch.undo()
    assert publish(2, root, wait=False) == 2
    for child in children:
        os.kill(child, signal.SIGKILL)
        status_of(child)


def test_a_folder_that_others_make_meanwhile_is_one(root, monkeypatch):
    names = "mcfast.snapshot.root._names"
    look = _names

    def late(folder):
        monkeypatch.setattr(names, look)
        publish(3, root)
        return look(folder)

    root.mkdir()
    monkeypatch.setattr(names, late)
    Root(root).create()
    assert current(root) == 1


def test_threads_publish_one_after_the_other(root, monkeypatch):
    inside = threading.Event()
    go_on = threading.Event()
    try_out = Version.try_out

    def slow(*arguments):
        inside.set()
        assert go_on.wait(20)
        try_out(*arguments)

    monkeypatch.setattr(Version, "try_out", slow)
    published = []
    threads = [threading.Thread(target=lambda: published.append(publish(5, root))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert inside.wait(20)
    with pytest.raises(mcfast.BusyError):
        publish(6, root, wait=False)
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(published) == [1, 2, 3]
    check_files(root)


# --- a version pruned under its reader --------------------------------------------------------------------------------


@pytest.mark.parametrize("touched", [False, True])
def test_a_pruned_version_goes_on_to_answer(root, touched):
    publish(1, root)
    with mcfast.open(root) as recaller:
        if touched:
            check(recaller)
        publish(2, root, keep=1)
        assert recaller.recall(0, 1).version == 1
        assert recaller.seen(0).tolist() == [1]
        # Attributes are mapped when they are first asked for: those of version 1 are gone unless they were.
        assert recaller.item_attributes(0) == {"number": 1 if touched else 2}
        assert check(recaller) == ((1, 1) if touched else (2, 2))
        assert recaller.reload() == touched
        assert check(recaller) == (2, 2)
        assert not [file for file in open_files(root) if "versions/1/" in file]


def test_a_child_goes_on_with_the_current_version_where_its_own_is_pruned(root):
    publish(1, root)
    with mcfast.open(root) as recaller:
        assert check(recaller) == (1, 1)
        publish(2, root, keep=1)

        def recall_twice():
            assert check(recaller) == (2, 2)
            publish(3, root, keep=1)
            recaller.reload()
            assert check(recaller) == (3, 3)
            recaller.record(0, [9])

        assert status_of(forked(recall_twice)) == 0
        assert check(recaller, 0, [9]) == (1, 1)
        recaller.reload()
        assert check(recaller, 0, [9]) == (3, 3)


def test_a_version_whose_file_has_the_inode_of_a_pruned_one(root):
    """File systems give the inode of a removed file to the next one; after a fork, nothing holds on to it."""
    publish(1, root)
    with mcfast.open(root) as recaller:

        def recall():
            (root / "versions" / "1").rename(root / "versions" / "2")
            (root / "CURRENT").write_text("2\n")
            assert recaller.recall(0, 5).version == 2

        assert status_of(forked(recall)) == 0
        assert recaller.recall(0, 5).version == 1


def test_another_thread_reloads_first(root, monkeypatch):
    publish(1, root)
    with mcfast.open(root) as recaller:
        publish(2, root, keep=1)
        reload = Recaller.reload
        monkeypatch.setattr(Recaller, "reload", lambda self: reload(self) and reload(self))
        assert recaller.item_attributes(0) == {"number": 2}


@pytest.mark.parametrize("stage", ["files.read", "recall.load", "store.open"])
def test_a_version_is_pruned_while_it_is_opened(root, monkeypatch, stage):
    publish(1, root)
    module, name = stage.split(".")
    function = getattr(getattr(version, module), name)
    left = [2, 3]

    def publish_first(*arguments, **options):
        if left:
            with monkeypatch.context() as patch:
                patch.setattr(getattr(version, module), name, function)
                publish(left.pop(0), root, keep=1)
        return function(*arguments, **options)

    monkeypatch.setattr(getattr(version, module), name, publish_first)
    with mcfast.open(root) as recaller:
        monkeypatch.undo()
        assert check(recaller) == (3, 3)


# --- what is recorded counts in every process -------------------------------------------------------------------------


def test_what_is_recorded_counts_at_once_in_every_process_and_version(root):
    publish(1, root)

    def answer(tell):
        with mcfast.open(root) as recaller:
            tell("open")
            while (line := requests.readline()) != "end\n":
                if line == "record\n":
                    recaller.record(0, [7, 500])
                tell(*recaller.recall(0, 600).ids)

    read, write = os.pipe()
    requests = os.fdopen(read)
    child, told = telling(answer)

    def asked(what):
        os.write(write, f"{what}\n".encode())
        return {int(id) for id in told.readline().split()}

    with told, mcfast.open(root) as recaller:
        assert told.readline() == "open\n"
        assert asked("recall") == {*range(N_ITEMS)} - {1}
        recaller.record(0, [3], scores=[2.5])
        assert asked("recall") == {*range(N_ITEMS)} - {1, 3}
        assert asked("record") == {*range(N_ITEMS)} - {1, 3, 7}
        assert set(recaller.seen(0).tolist()) == {1, 3, 7}  # 500 is no item yet
        publish(2, root, n_items=600)
        recaller.reload()
        assert {*range(600)} - {*recaller.recall(0, 600).ids.tolist()} == {2, 3, 7, 500}
        mcfast.rollback(root, 1)
        recaller.reload()
        check(recaller, 0, [3, 7])
        os.write(write, b"end\n")
        assert status_of(child) == 0
    os.close(write)
    requests.close()
    with mcfast.open(root) as recaller:
        check(recaller, 0, [3, 7])
