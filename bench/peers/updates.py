"""Updates a second of squared-loss training on the 18 M set: mcfast beside a built `mf-train` of LIBMF.

    python bench/peers/updates.py --data DIR --libmf DIR/mf-train --factors 32 64 128 --threads 1 2

Both take turns, each in a process of its own, and the median of an epoch counts. The first epoch of each is left out:
pages are touched for the first time then, and blocks laid out. An answer whose test RMSE is no better than the biases
of users and items does not count.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import Any

from contract import load
from run import HERE, attempt, baselines, prepare

EPOCHS = 6
HEADER = "| K | threads | mcfast | LIBMF | ratio | to one thread, mcfast | LIBMF |\n|---|---|---|---|---|---|---|"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/18m"), help="where the set is, or goes")
    parser.add_argument("--libmf", type=Path, required=True, help="a built mf-train, with mf-predict beside it")
    parser.add_argument("--environments", type=Path, default=Path("build/peers"), help="where the problem's arrays go")
    parser.add_argument("--factors", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    folder = given.environments / "problems" / "18m"
    prepare("18m", folder, given.data)
    train, test = load(folder)
    bars, n = baselines(train, test), len(train.scores)
    del train, test
    print(HEADER)
    for factors in given.factors:
        rates: dict[int, list[float]] = {}
        for threads in given.threads:
            sides = [
                contender("with_mcfast", threads, {"factors": factors, "epochs": EPOCHS}),
                contender(
                    "with_libmf_binary",
                    threads,
                    {"libmf": str(given.libmf.resolve()), "-k": factors, "-l2": 0.05, "-r": 0.1, "-t": EPOCHS},
                ),
            ]
            turns = [[epochs(attempt(side, folder, bars)) for side in sides] for _ in range(given.rounds)]
            rates[threads] = [n / median(second for turn in turns for second in turn[side]) for side in (0, 1)]
            print(row(factors, threads, rates), flush=True)


def contender(module: str, threads: int, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what `attempt` runs."""
    record = {"name": module, "measure": "rmse", "epochs": EPOCHS, "threads": threads}
    return {"record": record, "command": [sys.executable, HERE / "contract.py", module], "arguments": arguments}


def epochs(record: dict[str, Any]) -> list[float]:
    """Return the seconds of each epoch but the first."""
    if "failed" in record:
        raise SystemExit(f"{record['name']}: {record['failed']}")
    seconds: list[float] = record["seconds_of_epochs"][1:]
    return seconds


def row(factors: int, threads: int, rates: dict[int, list[float]]) -> str:
    """Return a row of the table."""
    ours, theirs = rates[threads]
    scaling = [f"{many / one:.2f}" for many, one in zip(rates[threads], rates.get(1, ()), strict=False)]
    if threads == 1 or not scaling:
        scaling = ["", ""]
    cells = [factors, threads, f"{ours / 1e6:.1f} M", f"{theirs / 1e6:.1f} M", f"{ours / theirs:.2f}", *scaling]
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
