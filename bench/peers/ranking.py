"""Peers and baselines on a ranking problem, each tuned on its validation file: Recall@20 and NDCG@20, full ranking.

    python bench/peers/ranking.py tune --data FOLDER     # every trial: trained on train, measured on valid
    python bench/peers/ranking.py final --data FOLDER    # the best of each: trained on train + valid, measured on test

FOLDER holds split files (`mcfast.datasets.read_split_files`), such as Gowalla's. A trial is a process of its own, in
the environment of its library (``run.py --install`` makes them). OUT/trials.json keeps what was run, which is not run
again; no trial is begun after `--minutes`, so that a search can go on later. The best trial of a contender has the
largest validation NDCG@20.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from contract import POSITIVE
from run import HERE, interpreter, last_line, say

import mcfast

PEERS = ["with_baselines", "with_ranking_losses", "with_implicit", "with_lightfm"]
LIMIT = 1800  # seconds for one trial
BY = "ndcg@20"

Record = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["tune", "final"])
    parser.add_argument("--data", type=Path, required=True, help="the folder of split files")
    parser.add_argument("--environments", type=Path, default=Path("build/peers"), help="where the environments are")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contenders, by a part of their names")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no trial after")
    parser.add_argument("--out", type=Path, default=Path("build/peers-ranking"))
    given = parser.parse_args()
    given.environments, given.install, given.libmf = given.environments.resolve(), False, None

    given.out.mkdir(parents=True, exist_ok=True)
    problems = prepare(given.data, given.out)
    kept = given.out / "trials.json"
    records: list[Record] = json.loads(kept.read_text()) if kept.exists() else []
    begin = time.monotonic()
    for module, name, trials in contenders(given):
        if given.stage == "final":
            tuned = [record for record in records if record["name"] == name and record["part"] == "valid"]
            trials = [max(tuned, key=lambda record: record.get(BY, 0))["settings"]] if tuned else []
        for settings in trials:
            what = {"name": name, "part": "valid" if given.stage == "tune" else "test", "settings": settings}
            if any(what.items() <= record.items() for record in records):
                continue
            if time.monotonic() - begin > 60 * given.minutes:
                break
            python = interpreter(module, importlib.import_module(module).PACKAGES, given)
            if python is not None:
                records.append(what | attempt(python, module, problems[what["part"]], settings, given.threads))
                say(f"{time.strftime('%H:%M:%S')} {json.dumps(records[-1])}")
                kept.write_text(json.dumps(records, indent=1))
    text = table(records)
    (given.out / "table.md").write_text(text)
    print(text)


def contenders(given: argparse.Namespace) -> Iterator[tuple[str, str, list[Record]]]:
    """Yield module, name and the settings of all trials of each contender."""
    for module in PEERS:
        for name, grid in importlib.import_module(module).GRIDS.items():
            if not given.only or any(part in name for part in given.only):
                yield module, name, [dict(zip(grid, x, strict=True)) for x in itertools.product(*grid.values())]


def attempt(python: Path, module: str, folder: Path, settings: Record, threads: int) -> Record:
    """Fit and measure once in a process of its own."""
    command = [python, HERE / "contract.py", module, folder.resolve(), json.dumps(settings), str(threads), "full"]
    # The numbers of threads are those of the library; BLAS within them would only get in their way, but EASE is BLAS.
    blas = str(threads if module == "with_baselines" else 1)
    quiet = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": blas, "OMP_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, env={**os.environ, **quiet}, cwd=HERE
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {LIMIT} s"}
    return {"failed": last_line(done.stderr)} if done.returncode else json.loads(done.stdout.splitlines()[-1])


def prepare(data: Path, out: Path) -> dict[str, Path]:
    """Write two problems as arrays: train against valid, and both against test."""
    split = mcfast.datasets.read_split_files(data)
    if split.valid is None:
        raise SystemExit(f"{data}: no valid.txt to tune on")
    parts = {"valid": (split.train, split.valid), "test": (split.train.concatenate(split.valid), split.test)}
    for name, pair in parts.items():
        folder = out / name
        folder.mkdir(exist_ok=True)
        for part, triples in zip(("train", "test"), pair, strict=True):
            np.save(folder / f"{part}_users.npy", triples.users)
            np.save(folder / f"{part}_items.npy", triples.items)
            np.save(folder / f"{part}_scores.npy", np.full(len(triples), POSITIVE, np.float32))
    return {name: out / name for name in parts}


def table(records: list[Record]) -> str:
    """Return a Markdown table: of each contender what it reached on both parts, and what the search took."""
    lines = [
        "| | Recall@20 | NDCG@20 | seconds | validation Recall@20 / NDCG@20 | trials, seconds in all | settings |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(record["name"] for record in records):
        own = [record for record in records if record["name"] == name and "failed" not in record]
        tuned = [record for record in own if record["part"] == "valid"]
        if not tuned:
            continue
        best = max(tuned, key=lambda record: record[BY])
        final = next((r for r in own if r["part"] == "test" and r["settings"] == best["settings"]), None)
        reached = [f"{final['recall@20']:.4f}", f"{final[BY]:.4f}", f"{final['seconds']:.1f}"] if final else [""] * 3
        settings = ", ".join(f"{key} {value}" for key, value in best["settings"].items())
        search = f"{len(tuned)}, {sum(record['seconds'] for record in tuned):.0f}"
        cells = [name, *reached, f"{best['recall@20']:.4f} / {best[BY]:.4f}", search, settings]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
