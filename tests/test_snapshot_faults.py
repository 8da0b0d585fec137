"""Served folders under kill -9 and on full disks: one whole version is served always, and nothing recorded is lost."""

from __future__ import annotations

import errno
import itertools
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections import Counter

import pytest

import mcfast
from mcfast.snapshot import publishing
from mcfast.snapshot.live import FILE, TABLES, Live
from mcfast.snapshot.root import Root
from mcfast.store.lmdb_environment import Environment
from served import N_ITEMS, UNKNOWN, check, check_files, current, forked, model_of, publish, status_of, telling


def numbers(root):
    return [version.number for version in mcfast.versions(root)]


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def work(root, tell, seed, first):
    """Publish, record, roll back and prune for ever; tell what begins, and what has been recorded."""
    chance = random.Random(seed)
    users = itertools.count(first)
    with mcfast.open(root) as recaller:
        while True:
            what = chance.choices(["record", "publish", "rollback", "prune"], [6, 1, 3, 3])[0]
            tell(what)
            if what == "record":
                user, item = next(users), chance.randrange(N_ITEMS)
                recaller.record(user, [item])
                tell("recorded", user, item)
            elif what == "publish":
                publish(chance.randrange(1, 500), root)
            elif what == "rollback":
                mcfast.rollback(root, chance.choice(numbers(root)))
            else:
                mcfast.prune(root, keep=chance.randrange(1, 3))


def worked(root, seed, first, lines, seconds):
    """Let a child work until it has told so many lines, and a moment more, then kill it; return what it told."""
    child, told = telling(lambda tell: work(root, tell, seed, first))
    with told:
        begun = list(itertools.islice(told, lines))
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        assert status_of(child) == -signal.SIGKILL
        return [line.split() for line in (*begun, *told)]


def test_kill_at_any_moment_leaves_one_whole_version_and_loses_nothing(root):
    chance = random.Random(3)
    publish(1, root)
    models = {}
    recorded = {}
    struck = Counter()
    for kill in range(200):
        lines = worked(root, kill, 1000 + len(recorded) + 10 * kill, chance.randrange(9), chance.uniform(0, 0.03))
        new = {int(line[1]): int(line[2]) for line in lines if line[0] == "recorded"}
        struck.update(line[0] for line in lines[-1:])
        with mcfast.open(root) as recaller:
            number, version = check(recaller)
            for user, item in new.items():
                assert recaller.seen(user).tolist() == [item]
        assert version == current(root)
        assert version in numbers(root)
        assert models.setdefault(version, number) == number  # a name is never given twice
        recorded |= new
        if kill % 20 == 0:
            publish(7, root)
            check_files(root)
    assert min(struck[what] for what in ("record", "publish", "rollback", "prune")) > 0
    assert len(models) > 20
    publish(8, root)
    check_files(root)
    for version in numbers(root):
        mcfast.rollback(root, version)
        with mcfast.open(root) as recaller:
            number = check(recaller)[0]
            assert models.setdefault(version, number) == number
            answers = recaller.recall_many(list(recorded), N_ITEMS)
            for ids, item in zip(answers.ids, recorded.values(), strict=True):
                assert sorted({*range(N_ITEMS)} - {*ids.tolist()}) == [item]


CHANGES = ("os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "fcntl.flock")


def kill_at(step):
    """Let this process be killed before the change number `step` that it makes to the file system."""
    changes = itertools.count()

    def count(event, arguments):
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE != os.O_RDONLY
        if (writes or event in CHANGES) and next(changes) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def steps_of(change):
    """Yield after each kill of a child that makes a change: before its first step, its second ... until it succeeds."""
    for step in itertools.count():

        def run(step=step):
            kill_at(step)
            change()

        status = status_of(forked(run))
        if status == 0:
            assert step > 3
            return
        assert status == -signal.SIGKILL
        yield step


@pytest.mark.parametrize("what", ["publish", "rollback", "prune"])
def test_kill_before_every_step(root, what):
    change = {
        "publish": lambda: publish(2, root, keep=2),
        "rollback": lambda: mcfast.rollback(root, numbers(root)[0]),
        "prune": lambda: mcfast.prune(root, keep=1),
    }[what]
    for number in (1, 2, 2, 2):
        publish(number, root, keep=None)
    for _ in steps_of(change):
        with mcfast.open(root) as recaller:
            assert check(recaller)[1] == current(root)
        if what == "prune":
            publish(2, root, keep=None)
        else:
            mcfast.prune(root, keep=2)  # as every change does first, it takes away what the killed one has left
            mcfast.rollback(root, numbers(root)[-1])
        check_files(root)


def test_kill_before_every_step_of_the_first_publication(root):
    for _ in steps_of(lambda: publish(1, root)):
        if (root / "CURRENT").exists():
            with mcfast.open(root) as recaller:
                assert check(recaller) == (1, 1)
        else:
            with pytest.raises(mcfast.FormatError, match=r"not a served folder|no version is served"):
                mcfast.open(root)
        publish(1, root)
        check_files(root)
        shutil.rmtree(root)


# --- full disks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(root):
    """A folder of versions 1 and 2, of which 2 is served, with something recorded and a vector put online."""
    publish(1, root)
    publish(2, root)
    with mcfast.open(root) as recaller:
        recaller.record(0, [9])
        recaller.put_user(UNKNOWN - 1, [2.0, -1.0], version=1)
    return root


def still_serves_2(root):
    assert current(root) == 2
    with mcfast.open(root) as recaller:
        assert check(recaller, 0, [9]) == (2, 2)
    assert numbers(root) == [1, 2]
    check_files(root)


def limit_files(size):
    """Let no file of this process grow beyond a size, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("size", [0, 100, 200, 300, 1000, 1500, 5000, 9000, 12000])
def test_a_full_disk_leaves_the_old_version_served(served, size):
    def publish_with_little_room():
        limit_files(size)
        with pytest.raises(OSError, match=r"File too large|No space left"):
            publish(3, served, keep=2)

    assert status_of(forked(publish_with_little_room)) == 0
    still_serves_2(served)
    assert publish(3, served) == 3


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_too_full_for_the_switch_leaves_the_old_version_served(served, monkeypatch):
    monkeypatch.setattr(Root, "set_current", full)
    with pytest.raises(OSError, match="No space left"):
        publish(3, served, keep=1)
    still_serves_2(served)


def test_what_was_folded_in_for_a_version_that_was_never_served_is_gone(served, monkeypatch):
    with mcfast.open(served) as recaller:
        recaller.record(1, [3], scores=[5.0])
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            patch.setattr(Root, "set_current", full)
            mcfast.publish(mcfast.Model.from_factors([[1.0, 1.0]], model_of(3).item_factors), served)
        assert publish(3, served) == 3
        recaller.reload()
        assert recaller.recall(1, 5).source == "exact"
        assert check(recaller, 1, [3]) == (3, 3)


def test_an_error_after_the_switch_takes_nothing_away(served, monkeypatch):
    set_current = Root.set_current
    monkeypatch.setattr(Root, "set_current", lambda *arguments: full(set_current(*arguments)))
    with pytest.raises(OSError, match="No space left"):
        publish(3, served, keep=1)
    monkeypatch.undo()
    with mcfast.open(served) as recaller:
        assert check(recaller, 0, [9]) == (3, current(served))
    check_files(served)


def test_a_disk_too_full_to_clean_up_is_no_reason_to_fail(served, monkeypatch):
    drop_vectors = Live.drop_vectors
    monkeypatch.setattr(Live, "drop_vectors", lambda live, kept: drop_vectors(live, kept) if 1 in kept else full())
    assert publish(3, served, keep=1) == 3
    monkeypatch.undo()
    assert publish(4, served, keep=1) == 4
    with Live(Root(served)) as live:
        assert live.look([b"i" + (UNKNOWN - 1).to_bytes(8, "big", signed=True)], 1).users == {}


@pytest.mark.parametrize("stage", ["_index", "versioned.write", "Version.try_out", "fold_anew", "Root.set_current"])
def test_ctrl_c_leaves_the_old_version_served(served, monkeypatch, stage):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{publishing.__name__}.{stage}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        publish(3, served, keep=1)
    still_serves_2(served)


def test_what_could_not_be_recorded_raises_and_takes_nothing_along(served):
    def record_until_full(tell):
        users = itertools.count(1000)
        with mcfast.open(served) as recaller:
            limit_files((served / "live" / FILE).stat().st_size + (1 << 16))

            def record_all():
                for user in users:
                    recaller.record(user, range(N_ITEMS))
                    tell(user)

            with pytest.raises(OSError, match=FILE):
                record_all()
            assert check(recaller, 0, [9]) == (2, 2)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            failed = next(users) - 1
            assert len(recaller.seen(failed)) == 0
            recaller.record(failed, [5])
            assert recaller.seen(failed).tolist() == [5]

    child, told = telling(record_until_full)
    with told:
        users = [int(line) for line in told]
    assert status_of(child) == 0
    assert users
    with mcfast.open(served) as recaller:
        assert all(len(recaller.seen(user)) == N_ITEMS for user in users)
    still_serves_2(served)


def test_what_is_written_online_outgrows_its_map(served):
    small = 1 << 17
    environment = Environment.open(served / "live" / FILE, TABLES, map_size=small)
    users = range(1000, 1300)
    with mcfast.open(served) as recaller:
        for user in users:
            recaller.record(user, [*range(N_ITEMS), *range(10**9, 10**9 + 100)])
            assert len(recaller.seen(user)) == N_ITEMS
        assert (served / "live" / FILE).stat().st_size > 2 * small
        assert check(recaller, 0, [9]) == (2, 2)
    environment.close()
    with mcfast.open(served) as recaller:
        assert all(len(recaller.seen(user)) == N_ITEMS for user in users)
