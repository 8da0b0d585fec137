"""Updates a second of squared-loss training on the 18 M set: mcfast beside a built `mf-train` of LIBMF.

    python bench/peers/updates.py --data DIR --libmf DIR/mf-train --factors 32 64 128 --threads 1 2

Both take turns, each in a process of its own, and the median of an epoch counts. The first epoch of each is left out
(LIBMF's loads its pages). An answer whose test RMSE is no better than the biases of users and items does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import with_libmf_binary as libmf
from contract import Part, load, rmse
from run import baselines, prepare

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
    parser.add_argument("--mcfast-alone", nargs=3, metavar=("FOLDER", "K", "THREADS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.mcfast_alone:
        folder, factors, threads = given.mcfast_alone
        print(json.dumps(fit(Path(folder), int(factors), int(threads))))
        return
    folder = (given.environments / "problems" / "18m").resolve()
    prepare("18m", folder, given.data)
    train, test = load(folder)
    bar = baselines(train, test)["rmse"]
    with tempfile.TemporaryDirectory() as place:
        text = Path(place) / "train.txt"
        libmf.write(text, *train)
        print(HEADER)
        for factors in given.factors:
            rates: dict[int, tuple[float, float]] = {}
            for threads in given.threads:
                turns = [
                    (
                        alone(given.libmf, folder, factors, threads),
                        solve(given.libmf.resolve(), text, test, factors, threads),
                    )
                    for _ in range(given.rounds)
                ]
                for _, found in (side for turn in turns for side in turn):
                    if not found < bar:
                        raise SystemExit(f"K={factors}: test RMSE {found:.4f}, no better than biases alone: {bar:.4f}")
                rates[threads] = tuple(  # type: ignore[assignment]
                    len(train.scores) / median(second for turn in turns for second in turn[side][0]) for side in (0, 1)
                )
                print(row(factors, threads, rates), flush=True)


def row(factors: int, threads: int, rates: dict[int, tuple[float, float]]) -> str:
    """Return a row of the table."""
    ours, theirs = rates[threads]
    scaling = (
        [f"{many / one:.2f}" for many, one in zip(rates[threads], rates[1], strict=True)]
        if threads > 1 and 1 in rates
        else ["", ""]
    )
    cells = [factors, threads, f"{ours / 1e6:.1f} M", f"{theirs / 1e6:.1f} M", f"{ours / theirs:.2f}", *scaling]
    return "| " + " | ".join(map(str, cells)) + " |"


def alone(binary: Path, folder: Path, factors: int, threads: int) -> tuple[list[float], float]:
    """Fit with mcfast in a process of its own; return seconds of each epoch but the first, and the test RMSE."""
    command = [sys.executable, __file__, "--libmf", binary, "--mcfast-alone", folder, str(factors), str(threads)]
    quiet = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=quiet).stdout
    seconds, found = json.loads(said.splitlines()[-1])
    return seconds, found


def fit(folder: Path, factors: int, threads: int) -> tuple[list[float], float]:
    """Return seconds of each epoch but the first, and the test RMSE."""
    import mcfast

    train, test = load(folder)
    model = mcfast.fit(tuple(train), factors=factors, epochs=EPOCHS, threads=threads, progress=False)
    predicted = model.predict(test.users, test.items, unknown="mean")
    return [record["seconds"] for record in model.history[1:]], rmse(predicted, test)


def solve(binary: Path, text: Path, test: Part, factors: int, threads: int) -> tuple[list[float], float]:
    """Let LIBMF solve; return seconds of each iteration but the first, and the test RMSE."""
    model = text.with_name("model.txt")
    settings = {"-k": factors, "-l2": 0.05, "-r": 0.1, "-t": EPOCHS}
    times = libmf.train_model(binary, settings, threads, text, model)
    predicted = libmf.predict_scores(binary, model, text.parent, test.users, test.items)
    return np.diff(times[1:]).tolist(), rmse(predicted, test)


if __name__ == "__main__":
    main()
