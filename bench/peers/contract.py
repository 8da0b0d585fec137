"""What a peer offers, and the process that asks one for it.

A file `with_NAME.py` has ``PACKAGES`` (what its environment needs; None where it is not made by pip), ``MEASURE``
("rmse" or "recall@20"), ``CONTENDERS`` (name -> problem -> settings, one of them a list: how far training goes), and
``fit(train, settings, threads) -> Answer``, which is what is timed.

``python contract.py MODULE FOLDER SETTINGS THREADS`` fits once, and prints seconds and the measure as JSON; with
``full`` as a fifth argument, Recall@20 and NDCG@20 over every user. FOLDER holds the problem, SETTINGS are JSON. It
needs NumPy, and what the peer needs.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

POSITIVE = 4.0  # a score that says a user likes an item
K = 20
USERS = 2000  # at most so many are ranked for


class Part(NamedTuple):
    """Triples as three arrays: users and items int32, numbered from 0, scores float32."""

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray


@dataclass
class Answer:
    """What a peer has learnt: the one or the other; and the seconds, where fit measures them better itself."""

    predict: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    recommend: Callable[[np.ndarray, int], np.ndarray] | None = None
    seconds: float | None = None
    epochs: list[float] | None = None  # seconds of each, of those who tell


def load(folder: Path) -> tuple[Part, Part]:
    """Return the training and the test part that stand in a folder."""
    train, test = (
        Part(*(np.load(folder / f"{part}_{name}.npy") for name in Part._fields)) for part in ("train", "test")
    )
    return train, test


def rmse(predicted: np.ndarray, test: Part) -> float:
    """Return the root mean squared error."""
    return float(np.sqrt(np.mean((np.asarray(predicted, np.float64) - test.scores) ** 2)))


def recall(recommend: Callable[[np.ndarray, int], np.ndarray], test: Part) -> float:
    """Return the mean share of a user's liked test items among the K recommended ones."""
    liked = test.scores >= POSITIVE
    users = np.unique(test.users[liked])
    users = np.sort(np.random.default_rng(0).permutation(users)[:USERS])
    listed = np.asarray(recommend(users, K))
    relevant = {user: set() for user in users.tolist()}
    for user, item in zip(test.users[liked].tolist(), test.items[liked].tolist(), strict=True):
        if user in relevant:
            relevant[user].add(item)
    shares = [
        len(relevant[u] & set(row)) / len(relevant[u]) for u, row in zip(users.tolist(), listed.tolist(), strict=True)
    ]
    return float(np.mean(shares))


def full_ranking(recommend: Callable[[np.ndarray, int], np.ndarray], test: Part) -> dict[str, float]:
    """Return recall and NDCG at K, means over every user with a liked test item."""
    liked = test.scores >= POSITIVE
    people, items = test.users[liked].astype(np.int64), test.items[liked].astype(np.int64)
    n_items = int(items.max()) + 1
    pairs = np.sort(people * n_items + items)
    users, counts = np.unique(people, return_counts=True)
    discounts = 1 / np.log2(np.arange(K) + 2)
    recalls, gains = [], []
    for start in range(0, len(users), 1024):
        some, relevant = users[start : start + 1024], counts[start : start + 1024]
        listed = np.asarray(recommend(some, K), np.int64)
        asked = np.where(listed < n_items, some[:, None] * n_items + listed, -1)
        hits = pairs[np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)] == asked
        recalls.append(hits.sum(axis=1) / relevant)
        gains.append(hits @ discounts / np.cumsum(discounts)[np.minimum(relevant, K) - 1])
    return {f"recall@{K}": float(np.concatenate(recalls).mean()), f"ndcg@{K}": float(np.concatenate(gains).mean())}


def main() -> None:
    """Fit one peer once."""
    name, folder, settings, threads, *full = sys.argv[1:]
    peer = importlib.import_module(Path(name).stem)
    train, test = load(Path(folder))
    start, cpu_start = time.perf_counter(), time.process_time()
    answer = peer.fit(train, json.loads(settings), int(threads))
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    if full:
        times = {"seconds": seconds, "cpu_seconds": cpu_seconds}  # the latter stand where the machine has other work
        print(json.dumps(times | full_ranking(answer.recommend, test)))
        return
    value = rmse(answer.predict(test.users, test.items), test) if answer.predict else recall(answer.recommend, test)
    seconds = seconds if answer.seconds is None else answer.seconds
    print(json.dumps({"seconds": seconds, "value": value} | ({"epochs": answer.epochs} if answer.epochs else {})))


if __name__ == "__main__":
    main()
