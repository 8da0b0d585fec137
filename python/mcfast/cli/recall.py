"""`mcfast recall`: the items that users will want, out of the version that a folder serves."""

from __future__ import annotations

import argparse
from typing import Any

from ..snapshot import RecalledMany, Recaller
from ..snapshot import open as open_root
from . import common, serving

OPTIONS: common.Described = {
    "k": (int, "how many items a user"),
    "exclude_seen": (bool, "leave out what the user has seen, in the training data or as recorded since"),
    "threads": (int, common.THREADS),
}

EXAMPLES = """
  mcfast recall serving/ --user 42
  mcfast recall serving/ --user ann bob -k 5 --no-exclude-seen --json
  mcfast recall serving/ --users-from users.txt --allow in-stock.txt > recalled.tsv
  mcfast recall serving/ --users-from users.txt --measure > recalled.tsv
"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = common.add_command(commands, "recall", run, "recall items for users from a served folder", EXAMPLES)
    parser.add_argument("root", help="the folder that is served")
    users = parser.add_mutually_exclusive_group(required=True)
    users.add_argument("--user", nargs="+", metavar="ID", help="these users; unknown ones get what is popular")
    users.add_argument("--users-from", metavar="FILE", help="the users in a file, one id a line")
    parser.add_argument("--allow", metavar="FILE", help="the only items that may be recalled, one id a line")
    parser.add_argument("--exclude", metavar="FILE", help="items that may not be recalled, one id a line")
    parser.add_argument("--measure", action="store_true", help="then time a single recall for each user, and say so")
    common.add_options(parser, Recaller.recall_many, OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Open, recall, print: a table with tabs, or JSON."""
    with open_root(arguments.root) as recaller:
        about = recaller.info
        options = common.given(arguments, Recaller.recall_many)
        for name in ("allow", "exclude"):
            options[name] = common.read_ids(getattr(arguments, name), about["integer_items"], f"--{name}")
        users = _users(arguments, about["integer_users"])
        lists = _lists(users, recaller.recall_many(users, **options), recaller)
        if arguments.measure and users:
            options.pop("threads", None)
            measured = serving.latency(lambda user: recaller.recall(user, **options), users)
            common.say(serving.latency_text(measured))
    if arguments.json:
        common.print_json(lists)
    else:
        _print_table(lists)
    return 0


def _users(arguments: argparse.Namespace, integers: bool) -> list[Any]:
    listed = common.read_ids(arguments.users_from, integers, "--users-from")
    return common.parse_ids(arguments.user, integers, "--user") if listed is None else listed


def _lists(users: list[Any], found: RecalledMany, recaller: Recaller) -> list[dict[str, Any]]:
    """Return what was found, user by user, each item with its attributes."""
    lists = []
    attributes: dict[Any, dict[str, Any]] = {}
    for user, ids, scores, n, source in zip(users, found.ids, found.scores, found.counts, found.sources, strict=True):
        items = []
        for item, score in zip(ids[:n].tolist(), scores[:n].tolist(), strict=True):
            if item not in attributes:
                attributes[item] = recaller.item_attributes(item)
            items.append({"id": item, "score": score, "attributes": attributes[item]})
        lists.append({"user": user, "source": source, "version": found.version, "items": items})
    return lists


def _print_table(lists: list[dict[str, Any]]) -> None:
    titled = any("title" in item["attributes"] for entry in lists for item in entry["items"])
    print("user\titem\tscore\tsource\tversion" + titled * "\ttitle")
    for entry in lists:
        for item in entry["items"]:
            cells = [entry["user"], item["id"], f"{item['score']:.4f}", entry["source"], entry["version"]]
            if titled:
                title = item["attributes"].get("title")
                cells.append("" if title is None else " ".join(str(title).split()))
            print(*cells, sep="\t")
