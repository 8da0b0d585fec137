"""`mcfast info`: what a model is, or how this mcfast was built."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .. import files
from .._core import build_info
from ..model_files import KIND, load
from . import common

EXAMPLES = """
  mcfast info model/      shape, parameters, measures and sizes; every file is checked
  mcfast info             version, compiler, instruction sets and threads
"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = common.add_command(commands, "info", run, "say what a model is, or how mcfast was built", EXAMPLES)
    parser.add_argument("model", nargs="?", help="the directory of a model")


def run(arguments: argparse.Namespace) -> int:
    """Describe the model, or the build."""
    facts = build_info() if arguments.model is None else _describe(Path(arguments.model))
    if arguments.json:
        common.print_json(facts)
    else:
        print(common.listing(facts))
    return 0


def _describe(path: Path) -> dict[str, Any]:
    manifest = files.read_manifest(path, KIND)
    trained = load(path)
    return {
        "model": str(path),
        "format": manifest["format"],
        "written_by": manifest["written_by"],
        "bytes": sum(entry["bytes"] for entry in manifest["files"].values()),
        "users": trained.n_users,
        "items": trained.n_items,
        "factors": trained.factors,
        "seen": len(trained.seen),
        "mean": trained.mean,
        "parameters": trained.parameters,
        "metrics": trained.metrics,
        "epochs": len(trained.history),
        "files": {name: entry["bytes"] for name, entry in manifest["files"].items()},
    }
