"""`mcfast versions`: what versions a served folder has."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from ..snapshot import VersionInfo, prune, versions
from . import common, serving

OPTIONS: common.Described = {"wait": (bool, "with --prune: " + serving.WAIT)}
HEADER = ["version", "current", "created", "users", "items", "factors", "index", "recall", "MB"]

EXAMPLES = """
  mcfast versions serving/
  mcfast versions serving/ --prune 2      removes all but the newest two and the one that is served
  mcfast versions serving/ --json
"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = common.add_command(commands, "versions", run, "list the versions of a served folder, or prune", EXAMPLES)
    parser.add_argument("root", help="the folder that is served")
    parser.add_argument("--prune", type=int, metavar="KEEP", help="first remove old versions, until so many remain")
    common.add_options(parser, prune, OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Prune if that is asked for, then list."""
    removed: list[int] = []
    if arguments.prune is not None:
        removed = prune(keep=arguments.prune, **common.given(arguments, prune))
    there = versions(arguments.root)
    if arguments.json:
        common.print_json({"removed": removed, "versions": [dataclasses.asdict(version) for version in there]})
    else:
        print(common.table(HEADER, [_row(version) for version in there]))
        for damaged in (version.problem for version in there if version.problem is not None):
            common.say(damaged)
        if removed:
            common.say(f"removed {', '.join(map(str, removed))}")
    return 0


def _row(version: VersionInfo) -> list[str]:
    megabytes = f"{version.bytes / 1e6:,.1f}"
    if version.problem is not None:
        return [str(version.number), "yes" if version.current else "", "damaged", "", "", "", "", "", megabytes]
    return [
        str(version.number),
        "yes" if version.current else "",
        version.created,
        *(f"{n:,}" for n in (version.users, version.items, version.factors)),
        version.index["backend"],
        serving.recall_text(version.index),
        megabytes,
    ]
