"""`mcfast rollback`: serve another version again."""

from __future__ import annotations

import argparse
from typing import Any

from ..snapshot import rollback
from . import common, serving

OPTIONS: common.Described = {"wait": (bool, serving.WAIT)}

EXAMPLES = """
  mcfast rollback serving/
  mcfast rollback serving/ --to 3 --no-wait
"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = common.add_command(commands, "rollback", run, "serve another version of a folder again", EXAMPLES)
    parser.add_argument("root", help="the folder that is served")
    parser.add_argument(
        "--to", dest="version", type=int, metavar="N", help="which (default: the newest below the one that is served)"
    )
    common.add_options(parser, rollback, OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Go back, and say where to."""
    number = rollback(**common.given(arguments, rollback))
    if arguments.json:
        common.print_json({"root": arguments.root, "version": number})
    else:
        print(f"{arguments.root}: version {number} is served")
    return 0
