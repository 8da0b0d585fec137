"""A recaller that was opened before a fork: parent and children recall, record, and see what each other recorded."""

from __future__ import annotations

import multiprocessing
import threading

import pytest

import mcfast
from served import forked, status_of
from serving_problems import made

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

STORES = ["lmdb", "file", "redis"]


@pytest.fixture(params=STORES)
def recaller(request, root):
    if request.param == "redis":
        request.getfixturevalue("redis_url")
    mcfast.publish(made(), root, store=request.param)
    with mcfast.open(root) as opened:
        opened.recall(100, 5)
        opened.record(100, [1])
        yield opened


def test_children_and_their_parent_recall_and_record(recaller):
    expected = recaller.recall(101, 9)

    def work(number):
        found = recaller.recall(101, 9)
        assert (found.ids.tolist(), found.source) == (expected.ids.tolist(), expected.source)
        assert 1 in recaller.seen(100)
        recaller.record(100, [10 + number])
        assert {1, 10 + number} <= set(recaller.seen(100).tolist())
        recaller.fold_in(900 + number, [3, 4])
        assert recaller.recall(900 + number, 5).source == "folded"

    for number in range(3):
        assert status_of(forked(lambda number=number: work(number))) == 0
        assert 10 + number in recaller.seen(100)
        assert recaller.recall(900 + number, 5).source == "folded"
        recaller.record(100, [20 + number])
        assert recaller.recall(101, 9).ids.tolist() == expected.ids.tolist()
    assert set(recaller.seen(100).tolist()) >= {1, 10, 11, 12, 20, 21, 22}


def test_children_of_children_go_on_too(recaller):
    def work():
        assert recaller.recall(101, 5).version == 1
        assert status_of(forked(lambda: recaller.record(100, [33]))) == 0
        assert 33 in recaller.seen(100)

    assert status_of(forked(work)) == 0
    assert 33 in recaller.seen(100)


def _record(recaller, number):
    recaller.record(100, [40 + number])
    assert len(recaller.recall(100, 5).ids) == 5


def test_a_pool_of_forked_processes_shares_it_while_threads_of_the_parent_record(recaller):
    context = multiprocessing.get_context("fork")
    stop = threading.Event()
    recorded = []

    def record():
        while not stop.is_set():
            recaller.record(102, [50 + len(recorded) % 20])
            recorded.append(1)

    thread = threading.Thread(target=record)
    thread.start()
    children = [context.Process(target=_record, args=(recaller, number)) for number in range(4)]
    try:
        for child in children:
            child.start()
        for child in children:
            child.join(60)
    finally:
        stop.set()
        thread.join()
    assert [child.exitcode for child in children] == [0] * 4
    assert {40, 41, 42, 43} <= set(recaller.seen(100).tolist())
    assert recorded


def test_a_child_follows_a_new_version_and_closes_its_own(recaller, root):
    mcfast.publish(made(3), root)

    def work():
        assert recaller.reload()
        assert recaller.recall(100, 5).version == 2
        recaller.close()
        with pytest.raises(ValueError, match="closed"):
            recaller.recall(100, 5)

    assert status_of(forked(work)) == 0
    assert recaller.version == 1
    assert recaller.recall(100, 5).version == 1
    recaller.record(100, [77])
    assert 77 in recaller.seen(100)
