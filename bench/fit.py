"""Reading, training and memory on the 18 M training set.

``python bench/fit.py DIR`` writes the set to DIR unless it is there, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

import mcfast
from problems import ml20m_shape, write


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Reading, training and memory on the 18 M training set.")
    parser.add_argument("folder", type=Path, help="where the set is, or goes")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="read and fit once, and print what that took")
    arguments = parser.parse_args()
    source = arguments.folder / "train.csv"
    if not source.exists():
        write(arguments.folder, *ml20m_shape())
    pa.set_cpu_count(arguments.threads)
    if arguments.memory:
        read_and_fit(source, arguments.factors, arguments.epochs, arguments.threads)
        return

    # First, while this process is small: a child begins with the peak of its parent.
    command = [sys.executable, __file__, *sys.argv[1:], "--memory"]
    alone = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    check_reading(source, arguments.threads)
    ours, arrow = alternate(
        lambda: mcfast.read_triples(source, threads=arguments.threads), lambda: read_arrow(source), arguments.rounds
    )
    triples = mcfast.read_triples(source, threads=arguments.threads)
    model = mcfast.fit(triples, factors=arguments.factors, epochs=arguments.epochs, threads=arguments.threads)
    measures = mcfast.evaluate(model, mcfast.read_triples(arguments.folder / "test.csv"), k=1)
    epoch = statistics.median(record["seconds"] for record in model.history)

    print(f"{len(triples):,} triples, {arguments.threads} threads, {mcfast.build_info()['isa']}\n")
    print("| what | figure |\n|---|---|")
    print(f"| read_triples from CSV | {ours:.2f} s |")
    print(f"| pyarrow read_csv and dictionary_encode of both ids | {arrow:.2f} s (x{ours / arrow:.2f}) |")
    print(f"| fit, K={arguments.factors}: updates a second, median epoch | {len(triples) / epoch / 1e6:.1f} M |")
    print(f"| test RMSE after {arguments.epochs} epochs | {measures['rmse']:.4f} |")
    print(f"| read and fit in a fresh process | {alone['seconds']:.1f} s |")
    print(f"| its peak memory | {alone['bytes'] / 1e9:.2f} GB |")


def read_arrow(source: Path) -> tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray]:
    """Read the three columns, and number the ids, with pyarrow alone."""
    table = pa_csv.read_csv(source)
    return table["user"].dictionary_encode(), table["item"].dictionary_encode(), table["score"]


def check_reading(source: Path, threads: int) -> None:
    """Raise unless both ways read the same, row by row."""
    triples, table = mcfast.read_triples(source, threads=threads), pa_csv.read_csv(source)
    for name, found in (
        ("user", triples.user_ids.take(triples.users)),
        ("item", triples.item_ids.take(triples.items)),
        ("score", triples.scores),
    ):
        np.testing.assert_array_equal(found, table[name].to_numpy())


def alternate(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median seconds of each of two functions that take turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for function, taken in zip((first, second), seconds, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def read_and_fit(source: Path, factors: int, epochs: int, threads: int) -> None:
    """Print the time and the peak memory of this process, as JSON."""
    start = time.perf_counter()
    mcfast.fit(mcfast.read_triples(source, threads=threads), factors=factors, epochs=epochs, threads=threads)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": time.perf_counter() - start, "bytes": peak}))


if __name__ == "__main__":
    main()
