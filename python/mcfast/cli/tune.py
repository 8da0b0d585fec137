"""`mcfast tune`: find settings on a file of scores, and train a model with them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from .. import files, training
from ..model_files import KIND
from ..tuning import Trial, tune
from . import common, fit

OPTIONS: common.Described = {
    "budget": (str, 'time as "90s", "5m", "1h" or a number of seconds, or "40 trials"'),
    "max_factors": (int, "where the length of the vectors stops growing"),
    "seed": (int, "of everything random"),
    "threads": (int, common.THREADS + "; a trial's result does not depend on it"),
    "progress": (bool, "show a progress bar; by default on a terminal, after two seconds"),
}
SEARCHED = {"factors": int, "regularization": float, "learning_rate": float, "epochs": int}
FIXED = (
    "user_regularization",
    "item_regularization",
    "bias_regularization",
    "l1_regularization",
    "regularize",
    "nonnegative",
    "biases",
    "loss",
    "seen",
)
SHOWN = 10  # trials

EXAMPLES = """
  mcfast tune ratings.csv --out model/ --user userId --item movieId --score rating
  mcfast tune ratings.parquet --out model/ --budget 5m --max-factors 128
  mcfast tune ratings.parquet --out model/ --budget "40 trials" --factors 64 --json

Ctrl-C writes the model of the best trial so far, if there is one, and exits with 130.
"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = common.add_command(commands, "tune", run, "find settings, and train a model with them", EXAMPLES)
    parser.add_argument("source", help="a CSV, TSV, Parquet or Arrow file")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="where the model goes; one that is there is replaced"
    )
    parser.add_argument("--validation", metavar="X|FILE", help="a fraction to hold out (default: 0.05), or a file")
    common.add_options(parser, tune, OPTIONS)
    for name, kind in SEARCHED.items():
        common.add_option(parser, name, kind, "this value, instead of searching for it")
    common.add_options(parser, training.fit, {name: fit.OPTIONS[name] for name in FIXED})
    fit.add_clip(parser)
    common.add_columns(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read, search, save."""
    files.check_place(Path(arguments.out), KIND)  # before the work, not after
    options = fit.settings(arguments) | common.given(arguments, tune)
    options["validation"] = 0.05 if arguments.validation is None else fit.validation(arguments)
    start = time.perf_counter()
    triples = common.read(arguments, arguments.source)
    read = time.perf_counter()
    found = tune(triples, **options)
    tuned = time.perf_counter()
    found.model.save(arguments.out)

    if arguments.json:
        common.print_json(
            {
                "out": arguments.out,
                "triples": len(triples),
                "settings": found.settings,
                "validation": found.model.metrics,
                "trials": [vars(trial) for trial in found.trials],
                "interrupted": found.interrupted,
                "seconds": {"read": read - start, "tune": tuned - read},
            }
        )
    else:
        print(f"{arguments.source}: {triples}, read in {read - start:.2f} s")
        print(f"the best of {len(found.trials)} trials:")
        print(_table(sorted(found.trials, key=lambda trial: trial.error)[:SHOWN], *found.model.metrics))
        print(f"{arguments.out}: {found.model}, tuned in {tuned - read:.2f} s")
    return common.INTERRUPTED if found.interrupted else 0


def _table(trials: list[Trial], measure: str) -> str:
    header = ["trial", *SEARCHED, measure.replace("_", " ").replace("rmse", "RMSE"), "seconds"]
    rows = [
        [
            str(trial.number),
            *(f"{trial.settings[name]:g}" for name in SEARCHED),
            f"{trial.error:.4f}",
            f"{trial.seconds:.2f}",
        ]
        for trial in trials
    ]
    return common.table(header, rows)
