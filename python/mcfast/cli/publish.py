"""`mcfast publish`: a model becomes the version that a folder serves."""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import Any

from ..model_files import load
from ..snapshot import publish
from ..snapshot.publishing import version_info
from ..snapshot.root import Root
from . import common, serving


def _count_or_all(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer >= 1, or all") from None


OPTIONS: common.Described = {
    "index": (
        str,
        "how the nearest items are found: exact; regions, faiss, hnswlib, milvus: approximate and measured; or auto",
    ),
    "store": (str, "the key-value table of users: lmdb, file (arrays, several times faster in batches), or redis"),
    "store_url": (
        str,
        "the server of redis, redis://HOST:PORT/DATABASE, or a cluster, redis+cluster://HOST:PORT,HOST:PORT; "
        "by default what MCFAST_REDIS_URL says",
    ),
    "store_precision": (str, "what the vectors of users are rounded to: float32, or float16 for half the bytes"),
    "items": (str, "a table of titles and other attributes: CSV, Parquet or Arrow, ids in the column id or the first"),
    "users": (str, "the same of users"),
    "recall": (float, "what an approximate index must reach at k = 10 and 100; below, it answers exactly and says so"),
    "keep": (_count_or_all, "versions that remain, the new one among them; or all"),
    "wait": (bool, serving.WAIT),
    "threads": (int, common.THREADS),
    "progress": (bool, "show a progress bar; by default on a terminal, after two seconds"),
}

EXAMPLES = """
  mcfast publish model/ serving/
  mcfast publish model/ serving/ --index hnswlib --recall 0.98 --items movies.csv
  mcfast publish model/ serving/ --keep 10 --no-wait --json
"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = common.add_command(commands, "publish", run, "publish a model as a new version, and serve it", EXAMPLES)
    parser.add_argument("model", help="the directory of a model")
    parser.add_argument("root", help="the folder that is served; made where it is missing")
    common.add_options(parser, publish, OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Load, publish, and say what is served now."""
    options = common.given(arguments, publish) | {"model": load(arguments.model)}
    start = time.perf_counter()
    number = publish(**options)
    seconds = time.perf_counter() - start
    place = Root(arguments.root)
    made = version_info(place, number, place.served())
    if arguments.json:
        common.print_json({"root": arguments.root, **dataclasses.asdict(made), "seconds": seconds})
    else:
        print(f"{arguments.root}: version {number} is served")
        facts = {"index": made.index["backend"], "recall": serving.recall_text(made.index)}
        if "chosen" in made.index:
            facts["chosen"] = made.index["chosen"]["why"]
        print(common.listing(facts | {"bytes": made.bytes, "seconds": round(seconds, 2)}))
    return 0
