"""What the commands share: options that mirror a function's arguments, data, ids and output."""

from __future__ import annotations

import argparse
import inspect
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.events import score_events
from ..data.readers import read_triples
from ..data.triples import Triples

Run = Callable[[argparse.Namespace], int]
Described = Mapping[str, tuple[Callable[[str], Any], str]]

INTERRUPTED = 130  # as shells count: 128 and the signal

THREADS = "threads to use; all that the process may use by default"

COLUMNS: Described = {
    "user": (str, "the column of users, by name, or by place from 0 with --no-header"),
    "item": (str, "the column of items"),
    "score": (str, "the column of scores"),
    "time": (str, "the column of times, to tell which of repeated pairs is the last"),
    "weight": (str, "the column of weights, which losses are multiplied by"),
    "event": (str, "of a log, one row an event: the column that names the action; scores are counted from it"),
    "separator": (str, "what separates columns; by default a tab in .tsv, else a comma"),
    "header": (bool, "whether text begins with a line of names"),
    "duplicates": (str, "what becomes of repeated pairs: last, mean, sum or error"),
}


LISTS = [
    ("actions", "COLUMN[=ACTION]", "of a log, one row an exposure: columns of 0 and 1 that say which actions followed"),
    ("points", "ACTION=X", "of a log: points for each action, instead of 1 for click, like, collect and share"),
    ("ignore", "ACTION", "of a log: actions to leave out"),
]


def add_command(commands: Any, name: str, run: Run, summary: str, examples: str) -> argparse.ArgumentParser:
    """Add a command with its examples, and the options that all have."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="examples:\n" + examples.strip("\n"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error comes from")
    return parser


def add_options(parser: argparse.ArgumentParser, function: Callable[..., Any], described: Described) -> None:
    """Add an option for each argument of `function` that is described: its name, and its default from there."""
    parameters = inspect.signature(function).parameters
    for name, (kind, text) in described.items():
        default = parameters[name].default
        default = {True: "yes", False: "no"}[default] if kind is bool and default is not None else default
        shown = text if default in (None, inspect.Parameter.empty) else f"{text} (default: {default})"
        add_option(parser, name, kind, shown)


def add_option(parser: argparse.ArgumentParser, name: str, kind: Callable[[str], Any], text: str) -> None:
    """Add one option, which is absent unless it is given."""
    flag = f"-{name}" if len(name) == 1 else "--" + name.replace("_", "-")
    if kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
    else:
        metavar = "N" if kind is int else "X" if kind is float else name.upper()
        parser.add_argument(flag, dest=name, type=kind, metavar=metavar, default=argparse.SUPPRESS, help=text)


def given(arguments: argparse.Namespace, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the options that were given on the command line and are arguments of `function`."""
    return {name: value for name, value in vars(arguments).items() if name in inspect.signature(function).parameters}


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a file of triples is laid out."""
    group: Any = parser.add_argument_group("columns of the data")
    add_options(group, read_triples, {name: entry for name, entry in COLUMNS.items() if name != "event"})
    add_options(group, score_events, {"event": COLUMNS["event"]})
    for name, metavar, text in LISTS:
        group.add_argument(f"--{name}", nargs="+", metavar=metavar, default=argparse.SUPPRESS, help=text)


def read(arguments: argparse.Namespace, path: str) -> Triples:
    """Read a file of triples, or a log, as the options say."""
    names = (*COLUMNS, *(name for name, *_ in LISTS), "threads")
    options = {name: vars(arguments)[name] for name in names if name in arguments}
    if not options.get("header", True):
        for name in ("user", "item", "score", "time", "weight", "event"):
            if options.get(name, "").isdecimal():
                options[name] = int(options[name])
    if "actions" in options:
        options["actions"] = dict(_named(entry) for entry in options["actions"])
    if "points" in options:
        options["points"] = {action: _number(text) for action, text in map(_named, options["points"])}
    log = [name for name in ("event", "actions") if name in options]
    function = score_events if log else read_triples
    if unfit := options.keys() - inspect.signature(function).parameters:
        reason = f"does not go with --{log[0]}, where scores are counted" if log else "wants --event or --actions, too"
        raise ValueError(f"--{min(unfit)}: {reason}")
    return function(path, **options)


def _named(entry: str) -> tuple[str, str]:
    """Take NAME=VALUE apart; a name alone is also its value."""
    name, _, value = entry.rpartition("=")
    return name or value, value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"points: got {text!r}, expected ACTION=X with a number X") from None


def parse_ids(texts: Sequence[str], integers: bool, name: str) -> list[Any]:
    """Return ids from the command line as the model has them: integers, or strings."""
    if not integers:
        return list(texts)
    try:
        return [int(text) for text in texts]
    except ValueError:
        wrong = next(text for text in texts if not text.strip().lstrip("+-").isdecimal())
        raise ValueError(f"{name}: got {wrong!r}, expected integers, as the ids are") from None


def read_ids(path: str | None, integers: bool, name: str) -> list[Any] | None:
    """Return the ids in a file that has one a line; None where there is no file."""
    if path is None:
        return None
    return parse_ids([line for line in Path(path).read_text("utf-8").splitlines() if line], integers, name)


def say(text: str) -> None:
    """Tell a person something, on standard error."""
    print(f"mcfast: {text}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a JSON document; numbers that are not finite are null, and what JSON has no type for, as dates, is text."""
    print(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False, default=str))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return "\n".join(lines)


def listing(facts: Mapping[str, Any], indent: str = "") -> str:
    """Lay out names and values, one a line; values that have names and values themselves are indented below."""
    width = max(map(len, facts), default=0)
    lines = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            lines.append(f"{indent}{name}" + ("\n" + listing(value, indent + "  ") if value else ""))
        else:
            lines.append(f"{indent}{name:{width}}  {_text(value)}")
    return "\n".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
