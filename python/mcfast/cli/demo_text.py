"""What the demo prints."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from . import common, serving

K = 20
MEASURES = {"rmse": "test RMSE", "mae": "MAE", f"recall@{K}": f"Recall@{K}", f"ndcg@{K}": f"NDCG@{K}"}

SQUARED, SOFTMAX = "squared loss", "softmax, cosine"
NEIGHBOURHOOD, POPULARITY = "item neighbours", "popularity"

WHY = """\
Popularity ranks better than squared loss here, although it knows nothing of taste: squared loss learns to predict the
ratings that exist, not which movies a user will choose. Missing ratings are not missing at random. The cure is a
ranking loss, which sets what users chose against what they might have been shown: softmax over sampled items."""

FEW = """\
So few items are soon scanned; where what a user has seen is left out, this index scans them, too. A graph pays where
items are many."""


def text(result: Mapping[str, Any]) -> str:
    """Lay out what the demo found, in paragraphs."""
    counts, measures = result["triples"], result["measures"]
    parts = [
        "MovieLens-100K: {train:,} training and {test:,} test ratings of {users:,} users and {items:,} movies".format(
            **counts
        ),
        common.table(
            ["", *MEASURES.values()],
            [[name, *(_number(found.get(m)) for m in MEASURES)] for name, found in measures.items()],
        ),
    ]
    if measures[POPULARITY][f"recall@{K}"] > measures[SQUARED][f"recall@{K}"]:
        parts.append(WHY)
    for user in result["users"]:
        parts.append(
            f"User {user['user']}, {user['ratings']} ratings\n"
            + _columns("rated highest", user["rated"], "recommended", user["recommended"])
        )
    for movie, similar in result["similar"].items():
        parts.append(f"Similar to {movie}: " + ", ".join(entry["title"] for entry in similar))
    parts += _served(result["served"])
    parts.append("Seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in result["seconds"].items()))
    if result["pictures"]:
        parts.append("Pictures: " + ", ".join(result["pictures"]))
    return "\n\n".join(parts)


def _served(served: Mapping[str, Any]) -> list[str]:
    """Lay out what was recalled, and how fast."""
    index, recorded = served["index"], served["recorded"]
    head = f"Served from {served['root']}, version {served['version']}; {index['backend']}, measured recall"
    lines = [f"{head} {serving.recall_text(index)}"]
    for answer in served["recalled"]:
        lines.append(f"  user {answer['user']}, {answer['source'] + ':':9} {'; '.join(answer['titles'])}")
    lines.append(f"User {recorded['user']}, whom the model does not know, now watches {recorded['title']}:")
    lines.append(f"  user {recorded['user']}, then:    {'; '.join(recorded['then'])}")
    exact, curve = index["exact"], index["curve"]
    point = next((point for point in curve if point["ef"] == index.get("ef")), exact)
    k = min(map(int, exact["recall"]))
    speed, exact_speed = (some["queries_per_second"][str(k)] for some in (point, exact))
    speeds = f"For k = {k} in batches, one thread: {speed:,.0f} queries/s by this index, {exact_speed:,.0f} by exact"
    return ["\n".join(lines), f"{serving.latency_text(served['latency'])}\n{speeds}\n{FEW}"]


def _columns(left: str, left_entries: list[dict[str, Any]], right: str, right_entries: list[dict[str, Any]]) -> str:
    """Lay out two lists of titles with their scores beside each other."""
    cells = [(left, right)]
    for pair in itertools.zip_longest(left_entries, right_entries):
        a, b = (f"{entry['score']:4.1f}  {entry['title']}" if entry else "" for entry in pair)
        cells.append((a, b))
    width = max(len(cell) for cell, _ in cells)
    return "\n".join(f"  {a:{width}}   {b}".rstrip() for a, b in cells)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
