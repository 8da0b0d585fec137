"""What each part of the training brings: epochs and seconds to a given validation RMSE, without it.

``python bench/ablation.py [--data DIR]`` prints a table for the training part of MovieLens-1M, where ``MCFAST_DATA``
has it, and for the 18 M set in DIR (``bench/problems.py`` writes it). A twentieth of the data is the validation part;
no test part is looked at. The seconds are those of the epochs alone.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mcfast
from mcfast import _core
from mcfast.checks import thread_count
from mcfast.epochs import export
from quality import data_folder, movielens_1m

FACTORS = 64
THREADS = thread_count(None)

Step = Callable[[float], float]  # share of the epochs done -> share of the first step


class Problem(NamedTuple):
    """Data, settings, and the validation RMSE to be reached."""

    name: str
    triples: mcfast.Triples
    regularization: float
    learning_rate: float
    epochs: int
    goal: float


class Variant(NamedTuple):
    """A training that differs in one thing."""

    name: str
    step: Step = lambda done: 1 - done
    biases: bool = True
    zero_biases: bool = False
    factors: float = 1.0  # initial factors are multiplied by it
    units: float = 1.0  # what a standard deviation of the scores would be, if they were not divided by it


VARIANTS = [
    Variant("as it is"),
    Variant("step constant", step=lambda done: 1.0),
    Variant("step falls as a cosine", step=lambda done: (1 + math.cos(math.pi * done)) / 2),
    Variant("step falls to a tenth, not to 0", step=lambda done: 1 - 0.9 * done),
    Variant("biases start at 0", zero_biases=True),
    Variant("no biases", biases=False),
    Variant("initial factors a tenth", factors=0.1),
    Variant("initial factors three times", factors=3.0),
    Variant("scores of standard deviation 10, not scaled", units=10.0),
    Variant("scores of standard deviation 0.1, not scaled", units=0.1),
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="where the 18 M set is")
    problems = list(chosen(parser.parse_args().data))
    goals = " | ".join(f"{p.name}, to {p.goal}: epochs, seconds; best" for p in problems)
    print(f"| | {goals} |\n|---|{'---|' * len(problems)}")
    parts = [problem.triples.split_random(0.05, seed=1) for problem in problems]
    for variant in VARIANTS:
        cells = [run(problem, *part, variant) for problem, part in zip(problems, parts, strict=True)]
        print(f"| {variant.name} | {' | '.join(cells)} |", flush=True)


def chosen(data: Path | None) -> Any:
    """Yield the problems whose data is there."""
    if (folder := data_folder()).is_dir():
        yield Problem("MovieLens-1M", movielens_1m(folder / "moviedata.mat")[0], 0.035, 0.05, 16, 0.85)
    if data is not None:
        columns = (
            np.fromfile(data / f"{name}.bin", kind)
            for name, kind in zip("uiy", (np.int32, np.int32, np.float32), strict=True)
        )
        yield Problem("18 M", mcfast.Triples.from_arrays(*columns), 0.025, 0.17, 6, 0.779)


def run(problem: Problem, train: mcfast.Triples, held_out: mcfast.Triples, variant: Variant) -> str:
    """Train, and return how long it took to the goal, and the best error."""
    # Scores in other units are the same problem with another penalty and another step: factors go with their root.
    strength = problem.regularization / variant.units
    trainer = _core.Trainer(
        train.users, train.items, train.scores, None, train.n_users, train.n_items, FACTORS, variant.biases, "squared",
        (strength, strength, problem.regularization), (0.0, 0.0), False, False, 0, (0, 0), THREADS,
    )  # fmt: skip
    if variant.zero_biases or variant.factors != 1:
        start = export(trainer, THREADS)
        keep = 0 if variant.zero_biases else 1
        for put, rows, biases in (
            (trainer.import_users, start.user_rows, start.user_biases),
            (trainer.import_items, start.item_rows, start.item_biases),
        ):
            put(np.arange(len(rows), dtype=np.int32), rows * np.float32(variant.factors), biases * np.float32(keep))
    seconds, best, reached = 0.0, math.inf, ""
    for epoch in range(1, problem.epochs + 1):
        rate = problem.learning_rate / math.sqrt(variant.units) * variant.step((epoch - 1) / problem.epochs)
        begin = time.perf_counter()
        loss = trainer.epoch(epoch, rate, THREADS, None)
        seconds += time.perf_counter() - begin
        if not math.isfinite(loss):
            return "diverged"
        squares = trainer.squared_error(held_out.users, held_out.items, held_out.scores, THREADS)
        best = min(best, math.sqrt(squares / len(held_out)))
        if best <= problem.goal and not reached:
            reached = f"{epoch}, {seconds:.2f}"
    return f"{reached or 'never'}; {best:.4f}"


if __name__ == "__main__":
    main()
