"""`mcfast fit`: train a model on a file of scores."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from .. import _core, files
from ..model import Model
from ..model_files import KIND, load
from ..training import fit
from . import common


def number_or_word(text: str) -> float | str:
    """Return a number where the text is one."""
    try:
        return float(text)
    except ValueError:
        return text


OPTIONS: common.Described = {
    "factors": (int, "length of the vectors, 1..1024 (default: that of --init, or 64)"),
    "epochs": (int, "passes over the data; at most as many with --validation"),
    "regularization": (float, "L2 penalty, for scores of standard deviation 1"),
    "user_regularization": (float, "the same for factors of users alone"),
    "item_regularization": (float, "the same for factors of items alone"),
    "bias_regularization": (float, "the same for biases alone"),
    "l1_regularization": (float, "L1 penalty on factors, which makes some exactly 0"),
    "regularize": (str, "whether L2 penalties count once for each rating, or once for each row"),
    "nonnegative": (bool, "keep factors at 0 or above"),
    "learning_rate": (float, "step of the first epoch"),
    "biases": (bool, "learn a bias for each user and item"),
    "loss": (str, "the loss of a triple: " + ", ".join(dict.fromkeys([*_core.losses, *_core.ranking_losses]))),
    "similarity": (str, "under a ranking loss: ip or cosine"),
    "positive": (float, "under a ranking loss: scores from here on are positives (default: those above 0)"),
    "exposed": (str, "what triples are that are not positive: ignore, or hard (negatives)"),
    "negatives": (str, "uniform (the default), popularity, in-batch, hard or all"),
    "n_negatives": (int, "negatives of a positive"),
    "popularity_exponent": (float, "of negatives by popularity"),
    "hard_pool": (int, "items among which hard negatives are looked for"),
    "mask_known": (bool, "keep all positives of a user from being negatives"),
    "temperature": (number_or_word, "what scores are divided by, a number or learnt"),
    "logq": (number_or_word, "correction for what is drawn more often, 0..1 or corrected"),
    "margin": (float, "of pairwise-hinge and ccl"),
    "negative_weight": (float, "what negatives weigh, in bsl, logistic and ccl"),
    "subsampling": (float, "share from which on positives of an item are left out at random"),
    "dropout": (float, "share of a user's vector that is left out of a step"),
    "optimizer": (str, "under a ranking loss: adagrad or adam"),
    "batch_size": (int, "positives of a step"),
    "history": (bool, "make users of the items that they took too"),
    "id_dropout": (float, "with attributes or histories: share of ids that a common one stands in for"),
    "hidden": (int, "with attributes or histories: units of a hidden layer on top of them"),
    "patience": (int, "with --validation: stop after so many epochs without a new best"),
    "refit": (bool, "with --validation: train anew on everything, for as many epochs as were best"),
    "seen": (str, "what is not recommended again: all, or positive (scores above 0)"),
    "seed": (int, "of everything random"),
    "threads": (int, common.THREADS + "; the result does not depend on it"),
    "progress": (bool, "show a progress bar; by default on a terminal, after two seconds"),
}

MEASURES = {
    "validation_rmse": "validation RMSE",
    "validation_ndcg@20": "validation NDCG@20",
    "validation_loss": "validation loss",
}

EXAMPLES = """
  mcfast fit ratings.csv --out model/ --user userId --item movieId --score rating
  mcfast fit ratings.parquet --out model/ --factors 128 --epochs 30 --validation 0.05
  mcfast fit ratings.dat --out model/ --separator :: --no-header --validation held-out.dat
  mcfast fit ratings.csv --out model/ --clip 1 5 --user-regularization 0.04 --bias-regularization 0.01
  mcfast fit clicks.csv --out model/ --loss logistic --score clicked --weight seconds --nonnegative
  mcfast fit log.parquet --out model/ --user uid --item iid --event action
  mcfast fit exposures.csv --out model/ --actions is_click=click is_like=like --points click=1 like=3
  mcfast fit log.parquet --out model/ --user uid --item iid --event action --loss softmax --similarity cosine
  mcfast fit clicks.csv --out model/ --loss softmax --item-features items.parquet --history
  mcfast fit today.csv --out model/ --init model/ --epochs 3

Ctrl-C writes the model of the last whole epoch, if there is one, and exits with 130.
"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = common.add_command(commands, "fit", run, "train a model on a file of scores", EXAMPLES)
    parser.add_argument("source", help="a CSV, TSV, Parquet or Arrow file")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="where the model goes; one that is there is replaced"
    )
    parser.add_argument(
        "--validation", metavar="X|FILE", help="a fraction to hold out, or a file: finds the best epoch"
    )
    parser.add_argument("--user-features", metavar="FILE", help="attributes of users: a table with a column of ids")
    parser.add_argument("--item-features", metavar="FILE", help="attributes of items")
    parser.add_argument("--init", metavar="DIR", help="a model to start from")
    common.add_options(parser, fit, OPTIONS)
    add_clip(parser)
    common.add_columns(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read, train, save."""
    files.check_place(Path(arguments.out), KIND)  # before the work, not after
    options = settings(arguments)
    options["init"] = arguments.init and load(arguments.init)
    options |= {name: getattr(arguments, name) for name in ("user_features", "item_features")}
    options["validation"] = arguments.validation and validation(arguments)
    start = time.perf_counter()
    triples = common.read(arguments, arguments.source)
    read = time.perf_counter()
    fitted = fit(triples, **options)
    trained = time.perf_counter()
    fitted.save(arguments.out)

    if arguments.json:
        common.print_json(
            {
                "out": arguments.out,
                "triples": len(triples),
                "duplicates": triples.n_duplicates,
                "users": fitted.n_users,
                "items": fitted.n_items,
                "parameters": fitted.parameters,
                "history": fitted.history,
                "metrics": fitted.metrics,
                "seconds": {"read": read - start, "fit": trained - read},
            }
        )
    else:
        print(f"{arguments.source}: {triples}, read in {read - start:.2f} s")
        print(history(fitted))
        print(f"{arguments.out}: {fitted}, trained in {trained - read:.2f} s")
    return common.INTERRUPTED if fitted.interrupted else 0


def add_clip(parser: argparse.ArgumentParser) -> None:
    """Add the option for the bounds of predictions."""
    text = "keep predictions between bounds; without numbers, those of the scores in the data"
    parser.add_argument("--clip", nargs="*", type=float, metavar="LOW HIGH", default=argparse.SUPPRESS, help=text)


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `fit` that were given."""
    options = common.given(arguments, fit)
    if "clip" in options:
        options["clip"] = tuple(options["clip"]) or True
    return options


def history(fitted: Model) -> str:
    """Lay out what each epoch brought."""
    validated = any(epoch["validation"] is not None for epoch in fitted.history)
    measure = next((name for name in MEASURES if name in fitted.metrics), "validation_loss")
    header = ["epoch", "training loss", *([MEASURES[measure]] if validated else []), "seconds"]
    rows = [
        [
            str(epoch["number"]),
            f"{epoch['loss']:.4f}",
            *([f"{epoch['validation']:.4f}"] if validated else []),
            f"{epoch['seconds']:.3f}",
        ]
        for epoch in fitted.history
    ]
    return common.table(header, rows)


def validation(arguments: argparse.Namespace) -> Any:
    """Return the fraction or the data that was given to validate on."""
    try:
        return float(arguments.validation)
    except ValueError:
        return common.read(arguments, arguments.validation)
