"""`mcfast recommend`: the items with the largest estimated scores."""

from __future__ import annotations

import argparse
from typing import Any

from ..model import Model
from ..model_files import load
from . import common

OPTIONS: common.Described = {
    "k": (int, "how many items a user"),
    "exclude_seen": (bool, "leave out what the user has seen"),
    "unknown": (str, "what an unknown user does: raise, or get the items with the largest biases (mean)"),
    "threads": (int, common.THREADS),
    "progress": (bool, "show a progress bar; by default on a terminal, after two seconds"),
}

EXAMPLES = """
  mcfast recommend model/ --user 42
  mcfast recommend model/ --user ann bob -k 5 --no-exclude-seen --json
  mcfast recommend model/ --users-from users.txt --allow in-stock.txt > recommended.tsv
  mcfast recommend model/ --everyone > recommended.tsv
"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = common.add_command(commands, "recommend", run, "find the items that users will want", EXAMPLES)
    parser.add_argument("model", help="the directory of a model")
    users = parser.add_mutually_exclusive_group(required=True)
    users.add_argument("--user", nargs="+", metavar="ID", help="these users")
    users.add_argument("--users-from", metavar="FILE", help="the users in a file, one id a line")
    users.add_argument("--everyone", action="store_true", help="all users of the model")
    parser.add_argument("--allow", metavar="FILE", help="the only items that may be recommended, one id a line")
    parser.add_argument("--exclude", metavar="FILE", help="items that may not be recommended, one id a line")
    common.add_options(parser, Model.recommend, OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Load, search, print: a table with tabs, or JSON."""
    trained = load(arguments.model)
    options = common.given(arguments, Model.recommend)
    for name in ("allow", "exclude"):
        options[name] = common.read_ids(getattr(arguments, name), trained.items.is_integer, f"--{name}")
    users = _users(arguments, trained)
    found = trained.recommend(users, **options)

    lists = [
        {
            "user": user,
            "items": [{"id": i, "score": s} for i, s in zip(ids[:n].tolist(), scores[:n].tolist(), strict=True)],
        }
        for user, ids, scores, n in zip(users, found.ids, found.scores, found.counts, strict=True)
    ]
    if arguments.json:
        common.print_json(lists)
    else:
        print("user\titem\tscore")
        for entry in lists:
            for item in entry["items"]:
                print(f"{entry['user']}\t{item['id']}\t{item['score']:.4f}")
    return 0


def _users(arguments: argparse.Namespace, trained: Model) -> list[Any]:
    if arguments.user is not None:
        return common.parse_ids(arguments.user, trained.users.is_integer, "--user")
    listed = common.read_ids(arguments.users_from, trained.users.is_integer, "--users-from")
    return trained.users.values.tolist() if listed is None else listed
