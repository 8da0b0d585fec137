"""Publishes under load: every answer must be whole, of one version, and none may fail.

python bench/serve.py --publishes 100 --every 6 --rates 1000 [--root a folder that bench/serve.py or serving.py made]

Of every version the mean, the biases of the users and the ids of the items say its number, so that an answer out of two
versions shows. The vectors stay, and with them the index, which is built once: the service opens each version anew, as
it would open any. The publisher has little priority, on the core of the load.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import mcfast
from load import Taken, load
from mcfast.snapshot import publishing

OF_MEAN, OF_BIAS = 100.0, 50.0  # by which these differ from version to version
STRETCH = 10.0  # seconds of load at a time
REST = 0.001  # leaves the publisher its share of the processor
SLACK = 0.05  # float32 of scores in the thousands


@dataclass
class Judge:
    """Compares answers with what the version that they name must answer."""

    users: np.ndarray
    rows: np.ndarray  # (users, k)
    scores: np.ndarray
    n_items: int
    failed: int = 0
    mixed: int = 0
    versions: dict[int, int] = field(default_factory=dict)

    def look(self, number: int, answer: bytes) -> None:
        """Take note of the answer to a request."""
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            self.failed += 1
            return
        found = json.loads(body)
        i, by = number % len(self.users), found["version"] - 1
        ids = (self.rows[i] + by) % self.n_items
        scores = self.scores[i] + (OF_MEAN + OF_BIAS) * by
        whole = found["user_id"] == self.users[i] and np.array_equal(found["ids"], ids)
        self.mixed += not (whole and np.allclose(found["scores"], scores, atol=SLACK))
        self.versions[found["version"]] = self.versions.get(found["version"], 0) + 1


def judge_of(root: Path, users: np.ndarray, k: int) -> Judge:
    """Return what version 1 answers, whose items have their rows as ids."""
    with mcfast.open(root) as recaller:
        assert recaller.version == 1
        found = [recaller.recall(user, k) for user in users.tolist()]
        n_items = recaller.info["items"]
    return Judge(users, np.stack([one.ids for one in found]), np.stack([one.scores for one in found]), n_items)


def publisher(root: Path, model: mcfast.Model, pairs: tuple[np.ndarray, np.ndarray], number: int, every: float) -> None:
    """Publish versions 2, 3, ... of a model, one each `every` seconds; run as a process of its own."""
    index = mcfast.recall.load(root / "versions" / "1" / "index")
    publishing._index = lambda *_: index  # to build it takes most of the time of a publish, and no part of the service
    start = time.monotonic()
    for by in range(1, number + 1):
        time.sleep(max(0.0, start + by * every - time.monotonic()))
        items = (np.arange(model.n_items) + by) % model.n_items
        other = mcfast.Model.from_factors(
            model.user_factors,
            model.item_factors,
            items=items,
            user_biases=model.user_biases + OF_BIAS * by,
            item_biases=model.item_biases,
            mean=model.mean + OF_MEAN * by,
            seen=(pairs[0], items[pairs[1]]),
        )
        mcfast.publish(other, root, index=index.backend, keep=2, threads=1)


def memory(process: int) -> dict[str, int]:
    """Return MB of a process: all, and what is no page of a file."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith("kB")}
    return {"all": int(sizes["VmRSS"]) // 1000, "own": int(sizes["RssAnon"]) // 1000}


def size(root: Path) -> int:
    """Return MB of a folder."""
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1_000_000


def run(root: Path, process: int, port: int, requests: list[bytes], judge: Judge, given: argparse.Namespace) -> None:
    """Put load on the service while versions are published, and print what came of it."""
    (rate,) = given.rates
    load("127.0.0.1", port, requests, rate, 5)
    before = memory(process), size(root)
    command = [sys.executable, __file__, str(root)]
    command += [str(x) for x in (given.users, given.items, given.factors, given.seen, given.publishes, given.every)]
    with subprocess.Popen(command, preexec_fn=lambda: os.nice(10), stdout=subprocess.PIPE) as publishes:
        assert publishes.stdout is not None
        publishes.stdout.readline()  # it has its model
        taken = Taken()
        while publishes.poll() is None:
            taken += load("127.0.0.1", port, requests, rate, STRETCH, judge.look, REST)
            print(f"{len(judge.versions)} versions, {memory(process)} MB", flush=True)
        assert publishes.returncode == 0
    (current,) = [version.number for version in mcfast.versions(root) if version.current]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and current not in judge.versions:
        load("127.0.0.1", port, requests, rate, 1, judge.look)
    load("127.0.0.1", port, requests, rate, 5)
    after = memory(process), size(root)
    shown = ", ".join(f"{x:.1f}" for x in taken.milliseconds(50, 99, 100))
    print(f"{taken.statuses.total():,} answers at {rate:.0f}/s during {current - 1} publishes, {given.every:g} s apart")
    print(f"failed {judge.failed}, lost {taken.lost}, mixed or wrong {judge.mixed}; of {len(judge.versions)} versions")
    print(f"p50, p99, max {shown} ms from when it was due")
    print(f"memory of the service {before[0]} MB before, {after[0]} MB after; the folder {before[1]} and {after[1]} MB")


if __name__ == "__main__":
    from serving import model_of, pairs_of

    root = Path(sys.argv[1])
    n_users, n_items, n_factors, n_seen, n_publishes = map(int, sys.argv[2:7])
    made = model_of(n_users, n_items, n_factors, n_seen)
    print("ready", flush=True)
    pairs = pairs_of(np.random.default_rng(0), n_users, n_items, n_seen)
    publisher(root, made, pairs, n_publishes, float(sys.argv[7]))
