"""The table and the picture of the runs of peers."""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

Records = list[dict[str, Any]]


def table(records: Records) -> str:
    """Return a Markdown table: of each contender its best measure, and what that took."""
    lines = [
        "| | threads | measure | best | epochs | seconds | seconds to LIBMF's best | LIBMF's by those | settings |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    curves = medians(records)
    points = [point for key, curve in curves.items() if "libmf" in key.name.lower() for point in curve]
    _, solver, libmf = min(points, key=lambda point: point[2], default=(0, 0.0, 0.0))
    for key, curve in curves.items():
        epochs, seconds, value = (min if key.measure == "rmse" else max)(curve, key=lambda point: point[2])
        enough = [point[1] for point in curve if key.measure == "rmse" and round(point[2], 4) <= round(libmf, 4)]
        reached, ratio = (f"{min(enough):.3f}", f"{solver / min(enough):.1f}") if enough else ("", "")
        cells = [key.name, key.threads, key.measure, f"{value:.4f}", epochs, f"{seconds:.3f}", reached, ratio]
        lines.append("| " + " | ".join(map(str, [*cells, key.settings])) + " |")
    failures = {
        f"{record['name']}, {record['epochs']} epochs: {record['failed']}" for record in records if "failed" in record
    }
    return "\n".join([*lines, "", *(f"- {failure}" for failure in sorted(failures))]).strip() + "\n"


def plot(records: Records, path: Path, title: str) -> None:
    """Draw RMSE against seconds, a curve a contender."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for key, curve in medians(records).items():
        if key.measure == "rmse":
            axes.plot([point[1] for point in curve], [point[2] for point in curve], "o-", ms=4, label=key.name)
    axes.set(xscale="log", xlabel="seconds of training", ylabel="test RMSE", title=title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


class Key(NamedTuple):
    """What makes runs a curve."""

    name: str
    threads: int
    measure: str
    settings: str


def medians(records: Records) -> dict[Key, list[tuple[int, float, float]]]:
    """Return (epochs, median seconds, median measure) by contender, of the runs whose answer is right."""
    groups: dict[Key, dict[int, Records]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if "failed" not in record:
            groups[Key(*(record[field] for field in Key._fields))][record["epochs"]].append(record)
    return {
        key: [
            (epochs, *(statistics.median(run[name] for run in runs) for name in ("seconds", "value")))
            for epochs, runs in sorted(lengths.items())
        ]
        for key, lengths in groups.items()
    }
