"""Models for served folders that say their number in all that is served of them, so that a mixture of two shows."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

import numpy as np
import pyarrow as pa

import mcfast

N_USERS, N_ITEMS = 6, 30
UNKNOWN = -1  # a user that no version has


def model_of(number, n_items=N_ITEMS, factors=2):
    """A model in which every user gives item i the score 4 * number - i / 16, and has seen item number % n_items.

    A quarter of the score comes from each of mean, user bias, item bias and the product of the vectors; the row of an
    item depends on the number too.
    """
    items = np.roll(np.arange(n_items), number)
    user_factors = np.zeros((N_USERS, factors))
    item_factors = np.zeros((n_items, factors))
    user_factors[:, 0], user_factors[:, -1] = number, -1
    item_factors[:, 0], item_factors[:, -1] = 1, items / 16
    return mcfast.Model.from_factors(
        user_factors,
        item_factors,
        users=np.arange(N_USERS),
        items=items,
        user_biases=np.full(N_USERS, number),
        item_biases=np.full(n_items, number),
        mean=number,
        seen=(np.arange(N_USERS), np.full(N_USERS, number % n_items)),
    )


def publish(number, root, *, n_items=N_ITEMS, **options):
    """Publish the model of a number, with attributes that say it."""
    says = pa.table({"id": [0], "number": [number]})
    return mcfast.publish(model_of(number, n_items), root, items=says, users=says, **options)


def check(recaller, user=0, recorded=(), n_items=N_ITEMS):
    """See that a recaller answers from one whole version; return the number of its model, and that of the version."""
    answer = recaller.recall(user, N_ITEMS)
    number = round((float(answer.scores[0]) + int(answer.ids[0]) / 16) / 4)
    seen = {number % n_items, *recorded}
    unseen = [item for item in range(min(n_items, N_ITEMS + len(seen))) if item not in seen][:N_ITEMS]
    assert answer.ids.tolist() == unseen
    np.testing.assert_allclose(answer.scores, 4 * number - np.array(unseen) / 16)
    popular = recaller.recall(UNKNOWN, 1)
    assert (popular.source, popular.version) == ("popular", answer.version)
    assert (popular.ids[0], popular.scores[0]) == (number % n_items, N_USERS)
    assert set(recaller.seen(user).tolist()) == seen
    attributes = recaller.item_attributes(0), recaller.user_attributes(0)
    if recaller.version != answer.version:  # pruned before these were first asked for
        return check(recaller, user, recorded, n_items)
    assert attributes == ({"number": number}, {"number": number})
    assert recaller.version == answer.version == recaller.info["number"]
    return number, answer.version


def check_files(root):
    """See that a served folder holds what its versions are made of, and nothing else."""
    found = {re.sub(r"arrays-\w{16}", "arrays", str(path.relative_to(root))) for path in root.rglob("*")}
    expected = {"CURRENT", "lock", "live", "live/live.lmdb", "live/live.lmdb-lock", "versions"}
    version = ("", "/manifest.json", "/arrays", "/index", "/index/manifest.json", "/index/arrays")
    arrays = ("popular_rows.npy", "popular_counts.npy", "item_ids.npy", "table.bin", "items.bin", "users.bin")
    index = ("rows.npy", "offsets.npy")
    for number in (info.number for info in mcfast.versions(root)):
        expected |= {f"versions/{number}{name}" for name in version}
        expected |= {f"versions/{number}/arrays/{name}" for name in arrays}
        expected |= {f"versions/{number}/index/arrays/{name}" for name in index}
    assert not found ^ expected, found ^ expected


def current(root):
    """Return the number in CURRENT."""
    return int((root / "CURRENT").read_text())


def forked(work):
    """Run `work` in a child; return its process id. The child's exit status is 0 if `work` returned."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def telling(work):
    """Run `work(tell)` in a child; return its process id, and a file of the lines that it tells."""
    read, write = os.pipe()
    child = forked(lambda: work(lambda *words: os.write(write, (" ".join(map(str, words)) + "\n").encode())))
    os.close(write)
    return child, os.fdopen(read, encoding="utf-8")


def status_of(child):
    """Wait for a child; return its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def open_files(root):
    """Return the files below `root` that this process has open or mapped, removed ones among them, each use once."""
    links = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    maps = [line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    return [file for file in links + maps if file.startswith(str(root))]
