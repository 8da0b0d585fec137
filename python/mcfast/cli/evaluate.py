"""`mcfast evaluate`: measure a model on data it was not trained on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ..evaluation import evaluate
from ..model_files import load
from . import common

OPTIONS: common.Described = {
    "relevant": (float, "test rows with at least this score are relevant; by default those above 0"),
    "recall_denominator": (
        str,
        "what recall divides hits by: relevant (how many there are), or min (at most k of them)",
    ),
    "exclude_seen": (bool, "rank only what the user has not met in training"),
    "buckets": (int, "also measure by popularity, in so many buckets with equally many training pairs"),
    "confidence": (float, "such as 0.95: add an interval to each mean over users"),
    "resamples": (int, "how often users are drawn for that"),
    "seed": (int, "of these draws"),
    "threads": (int, common.THREADS),
    "progress": (bool, "show a progress bar; by default on a terminal, after two seconds"),
}

EXAMPLES = """
  mcfast evaluate model/ test.csv
  mcfast evaluate model/ test.csv -k 10 20 --relevant 4 --user userId --item movieId --score rating
  mcfast evaluate model/ test.parquet --json
  mcfast evaluate model/ test.csv --buckets 3 --confidence 0.95
"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = common.add_command(commands, "evaluate", run, "measure a model on data it was not trained on", EXAMPLES)
    parser.add_argument("model", help="the directory of a model")
    parser.add_argument("test", help="a CSV, TSV, Parquet or Arrow file")
    parser.add_argument("-k", type=int, nargs="+", default=[20], metavar="N", help="cuts of the ranking (default: 20)")
    common.add_options(parser, evaluate, OPTIONS)
    common.add_columns(parser)


def run(arguments: argparse.Namespace) -> int:
    """Load, read, measure."""
    options = {
        name: value for name, value in common.given(arguments, evaluate).items() if name not in ("model", "test")
    }
    measures = evaluate(load(arguments.model), common.read(arguments, arguments.test), **options)
    if arguments.json:
        common.print_json(measures)
    else:
        print(layout(measures))
    return 0


def layout(measures: Mapping[str, float]) -> str:
    """Lay out measures: those of the ranking as a table with a column for each cut, below the others."""
    single = {name: value for name, value in measures.items() if "@" not in name}
    names, cuts = (
        list(dict.fromkeys(part)) for part in zip(*(n.split("@") for n in measures if "@" in n), strict=True)
    )
    columns = [[f"{measures[at]:.4f}" if (at := f"{name}@{cut}") in measures else "" for cut in cuts] for name in names]
    rows = [[name, *column] for name, column in zip(names, columns, strict=True)]
    return common.listing(single) + "\n\n" + common.table(["", *(f"@{cut}" for cut in cuts)], rows)
