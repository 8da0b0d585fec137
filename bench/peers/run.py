"""mcfast and its peers: quality against seconds, each in a process and an environment of its own.

    python bench/peers/run.py                                     # mcfast, and peers whose environment is there
    python bench/peers/run.py --problem ml-1m --install           # makes the environments that are missing
    python bench/peers/run.py --problem 18m --data DIR --libmf DIR/mf-train --only LIBMF mcfast

Contenders take turns, round after round; medians count. An answer is checked before its time counts: an estimate of
scores must beat the mean and the biases of users and items, a list the most popular items. Runs are added to those in
OUT/PROBLEM.json; the table (PROBLEM.md) and the picture (PROBLEM.png) are made of all of them.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import report
from contract import POSITIVE, Part, load, recall, rmse

HERE = Path(__file__).parent
PEERS = [
    "with_mcfast",
    "with_libmf_binary",
    "with_libmf",
    "with_cmfrec",
    "with_surprise",
    "with_implicit",
    "with_lightfm",
]
PROBLEMS = ["ml-100k", "ml-1m", "18m"]
LIMIT = 900  # seconds for one run

sys.path.insert(0, str(HERE.parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=PROBLEMS, default="ml-100k")
    parser.add_argument("--data", type=Path, default=Path("build/18m"), help="of 18m: where the set is, or goes")
    parser.add_argument(
        "--environments", type=Path, default=Path("build/peers"), help="where the environments are, or go"
    )
    parser.add_argument("--install", action="store_true", help="make the environments that are missing, by pip")
    parser.add_argument("--libmf", type=Path, help="a built mf-train of LIBMF, with mf-predict beside it")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contenders, by a part of their names")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("build/peers-results"))
    given = parser.parse_args()
    given.environments = given.environments.resolve()
    given.libmf = given.libmf and given.libmf.resolve()

    folder = given.environments / "problems" / given.problem
    prepare(given.problem, folder, given.data)
    bars = baselines(*load(folder))
    runs = list(contenders(given))
    results = given.out / f"{given.problem}.json"
    given.out.mkdir(parents=True, exist_ok=True)
    records = json.loads(results.read_text()) if results.exists() else []
    for _ in range(given.rounds):
        for run in runs:
            records.append(attempt(run, folder, bars))
            results.write_text(json.dumps(records, indent=1))
    table = report.table(records)
    (given.out / f"{given.problem}.md").write_text(table)
    report.plot(records, given.out / f"{given.problem}.png", given.problem)
    print(table)


def contenders(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield what is to be run: a contender, and how far it is to go."""
    for module in PEERS:
        peer = importlib.import_module(module)
        names = [name for name in peer.CONTENDERS if not given.only or any(part in name for part in given.only)]
        if not names or not (python := interpreter(module, peer.PACKAGES, given)):
            continue
        for name in names:
            settings = peer.CONTENDERS[name][given.problem]
            swept = next(key for key, value in settings.items() if isinstance(value, list))
            for length in settings[swept]:
                more = {"libmf": str(given.libmf)} if peer.PACKAGES is None else {}
                yield {
                    "record": {
                        "name": name,
                        "measure": peer.MEASURE,
                        "settings": ", ".join(f"{key} {value}" for key, value in settings.items() if key != swept),
                        "epochs": length,
                        "threads": given.threads,
                    },
                    "command": [python, HERE / "contract.py", module],
                    "arguments": {**settings, swept: length, **more},
                }


def interpreter(module: str, packages: tuple[str, ...] | None, given: argparse.Namespace) -> Path | None:
    """Return the Python that runs a peer, making its environment if that is wanted; None where there is none."""
    if packages is None:
        if given.libmf is None:
            say(f"{module}: left out, --libmf names no binary")
            return None
        return Path(sys.executable)
    if not packages:
        return Path(sys.executable)
    folder = given.environments / module
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return python
    if not given.install:
        say(f"{module}: left out, {folder} is not there; --install makes it")
        return None
    say(f"{module}: installing {', '.join(packages)}")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "numpy", "scipy", *packages]
    for command in ([sys.executable, "-m", "venv", folder], pip):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            say(f"{module}: its environment cannot be made: {last_line(done.stderr)}")
            return None
    ready.touch()
    return python


def attempt(run: dict[str, Any], folder: Path, bars: dict[str, float]) -> dict[str, Any]:
    """Fit once in a process of its own; return what came of it, with whether the answer holds."""
    record = dict(run["record"])
    command = [*run["command"], folder.resolve(), json.dumps(run["arguments"]), str(record["threads"])]
    quiet = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": str(record["threads"])}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, env={**os.environ, **quiet}, cwd=HERE
        )
    except subprocess.TimeoutExpired:
        return said(record | {"failed": f"more than {LIMIT} s"})
    if done.returncode:
        return said(record | {"failed": last_line(done.stderr)})
    found = json.loads(done.stdout.splitlines()[-1])
    record |= {"seconds": found["seconds"], "value": found["value"], "seconds_of_epochs": found.get("epochs")}
    bar = bars[record["measure"]]
    right = record["value"] < bar if record["measure"] == "rmse" else record["value"] > bar
    return said(record if right else record | {"failed": f"no better than {bar:.4f}, what mere means reach"})


def prepare(problem: str, folder: Path, data: Path) -> None:
    """Write the problem as arrays: ids numbered from 0, and of the test part what training has met."""
    if (folder / "test_scores.npy").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    train, test = draw(problem, data)
    columns = []
    for side in ("users", "items"):
        ids, rows = np.unique(getattr(train, side), return_inverse=True)
        places = np.minimum(np.searchsorted(ids, getattr(test, side)), len(ids) - 1)
        columns.append((rows.astype(np.int32), places.astype(np.int32), ids[places] == getattr(test, side)))
    known = columns[0][2] & columns[1][2]
    for name, train_rows, test_rows in (
        ("users", *columns[0][:2]),
        ("items", *columns[1][:2]),
        ("scores", train.scores, test.scores),
    ):
        np.save(folder / f"train_{name}.npy", train_rows)
        np.save(folder / f"test_{name}.npy", test_rows[known])


def draw(problem: str, data: Path) -> tuple[Part, Part]:
    """Return the training and the test part of a problem."""
    import mcfast
    import problems
    from quality import data_folder, movielens_1m

    if problem == "18m":
        if not (data / "yt.bin").exists():
            problems.write(data, *problems.ml20m_shape())
        kinds = (("u", np.int32), ("i", np.int32), ("y", np.float32))
        train, test = (
            Part(*(np.fromfile(data / f"{name}{part}.bin", kind) for name, kind in kinds)) for part in ("", "t")
        )
        return train, test
    if problem == "ml-1m":
        parts = movielens_1m(data_folder() / "moviedata.mat")
    else:
        parts = mcfast.datasets.movielens_100k().triples.split_random(0.1, seed=0)
    train, test = (Part(part.user_ids.take(part.users), part.item_ids.take(part.items), part.scores) for part in parts)
    return train, test


def baselines(train: Part, test: Part) -> dict[str, float]:
    """Return what an answer has to beat: damped biases of users and items, and the most popular items."""
    mean = float(train.scores.mean())
    users, items = np.zeros(train.users.max() + 1), np.zeros(train.items.max() + 1)
    for _ in range(3):
        for mine, side, other in ((items, train.items, users[train.users]), (users, train.users, items[train.items])):
            rest = train.scores - mean - other
            mine[:] = np.bincount(side, rest, len(mine)) / (np.bincount(side, minlength=len(mine)) + 10)
    liked = np.argsort(-np.bincount(train.items[train.scores >= POSITIVE], minlength=len(items)), kind="stable")

    def popular(wanted: np.ndarray, k: int) -> np.ndarray:
        order = np.argsort(train.users, kind="stable")
        starts = np.searchsorted(train.users[order], np.arange(len(users) + 1))
        lists = []
        for user in wanted:
            seen = set(train.items[order[starts[user] : starts[user + 1]]].tolist())
            lists.append(list(itertools.islice((item for item in liked.tolist() if item not in seen), k)))
        return np.array(lists)

    predicted = mean + users[test.users] + items[test.items]
    return {"rmse": rmse(predicted, test), "recall@20": recall(popular, test)}


def said(record: dict[str, Any]) -> dict[str, Any]:
    """Say what came of a run, and return it."""
    outcome = record.get("failed") or f"{record['measure']} {record['value']:.4f} in {record['seconds']:.3f} s"
    say(f"{time.strftime('%H:%M:%S')} {record['name']}, {record['epochs']}: {outcome}")
    return record


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
