"""`mcfast bench-recall`: how much every index finds of the items of a model, and how fast."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from .. import recall as recalls
from ..model import Model
from ..model_files import load
from ..recall.auto import installed
from ..recall.items import Float32
from . import common, plots

OPTION = {"faiss": "factory", "milvus": "uri"}  # what may follow the name of a backend
EXAMPLES = """
  mcfast bench-recall model/ --out bench/
  mcfast bench-recall model/ --out bench/ --recall 0.99 -k 10 --backends exact regions faiss:HNSW32 faiss:IVF1024,Flat
  mcfast bench-recall model/ --out bench/ --backends exact milvus:http://127.0.0.1:19530
"""


def register(commands: Any) -> None:
    """Add the command."""
    summary = "measure recall against queries a second of every index on the items of a model"
    parser = common.add_command(commands, "bench-recall", run, summary, EXAMPLES)
    parser.add_argument("model", help="the directory of a model")
    parser.add_argument("--out", required=True, metavar="DIR", help="where recall.json and recall.png go")
    parser.add_argument(
        "--backends",
        nargs="+",
        metavar="NAME",
        help="which, also as faiss:FACTORY and milvus:URI (default: all that are installed and need no server)",
    )
    parser.add_argument("--recall", type=float, default=0.95, metavar="X", help="what is promised (default: 0.95)")
    parser.add_argument("-k", type=int, default=100, metavar="N", help="how many items a user gets (default: 100)")
    parser.add_argument("--queries", type=int, default=512, metavar="N", help="users that ask (default: 512)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads to build with; searches take one")


def run(arguments: argparse.Namespace) -> int:
    """Load, build every index, measure, and write table and picture."""
    names = arguments.backends or [backend.backend for backend in installed(recalls.BACKENDS)]
    for name in names:
        backend, colon, _ = name.partition(":")
        checks.choice(backend, "--backends", recalls.BACKENDS)
        if colon and backend not in OPTION:
            raise ValueError(checks.message("--backends", repr(name), f"{backend!r} alone"))
    queries, k = checks.integer(arguments.queries, "--queries", 1), checks.integer(arguments.k, "-k", 1)
    model = load(arguments.model)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    users = np.random.default_rng(0).permutation(model.n_users)[: 2 * queries]
    held_out, asking = model.user_factors[users[::2]], model.user_factors[users[1::2] if len(users) > 1 else users]
    report = {
        "items": model.n_items,
        "factors": model.factors,
        "k": k,
        "recall_target": arguments.recall,
        "queries": len(asking),
        "indexes": [
            _measured(model, name, held_out, asking, k, arguments.recall, arguments.threads)
            for name in dict.fromkeys(names)
        ],
    }
    (out / "recall.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    picture = plots.indexes(report, out / "recall.png")
    if arguments.json:
        common.print_json(report)
    else:
        print(layout(report))
        print(f"\n{out / 'recall.json'}\n{picture}")
    return 0


def layout(report: dict[str, Any]) -> str:
    """Lay out what was measured, a line an index."""
    k = report["k"]
    header = ["index", "answers", f"recall@{k}", "one at a time", "in batches", "built", "memory"]
    rows = [
        [
            index["name"],
            "exactly" if index["exact"] else "approximately",
            f"{index['recall']:.4f}",
            f"{index['queries_per_second']['single']:,.0f}/s",
            f"{index['queries_per_second']['batch']:,.0f}/s",
            f"{index['build_seconds']:.1f} s",
            f"{index['bytes'] / 2**20:,.1f} MiB",
        ]
        for index in report["indexes"]
    ]
    title = f"{report['items']:,} items, {report['factors']} factors, k = {k}, one thread"
    return title + "\n\n" + common.table(header, rows)


def _measured(
    model: Model, name: str, held_out: Float32, asking: Float32, k: int, target: float, threads: int | None
) -> dict[str, Any]:
    """Build one index and measure it, on other users than those that it measured itself on."""
    backend, _, value = name.partition(":")
    options: dict[str, Any] = {OPTION[backend]: value} if value else {}
    if recalls.BACKENDS[backend].approximate:
        options |= {"recall": target, "queries": held_out}
    offsets = model.item_biases if model.item_biases.any() else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", recalls.RecallWarning)  # the table says what answers exactly
        start = time.perf_counter()
        index = recalls.build(backend, model.item_factors, "ip", offsets=offsets, threads=threads, **options)
        seconds = time.perf_counter() - start
    for _ in range(2):  # the first warms up
        start = time.perf_counter()
        for query in asking:
            index.search(query, k, threads=1)
        single = len(asking) / (time.perf_counter() - start)
        start = time.perf_counter()
        index.search(asking, k, threads=1)
        batch = len(asking) / (time.perf_counter() - start)
    return {
        "name": name,
        "exact": index.is_exact,
        "build_seconds": seconds,
        "bytes": index.memory,
        "recall": recalls.measure(index, asking, k),
        "queries_per_second": {"single": single, "batch": batch},
        "info": index.info,
    }
