"""The served part of the demo: publish, then recall as a service would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..datasets.movielens import Dataset
from ..model import Model
from ..snapshot import Recaller, publish
from ..snapshot import open as open_root
from . import serving

SHOWN = 3  # recalled titles a user


def published(model: Model, data: Dataset, folder: Path, threads: int | None) -> Path:
    """Publish the model, with an index that is approximate, so that there is a recall to measure."""
    root = folder / "serving"
    publish(model, root, index="hnswlib", items=data.items, users=data.users, threads=threads)
    return root


def serve(root: Path, users: Sequence[int], everyone: Sequence[int]) -> dict[str, Any]:
    """Recall for some users and for a visitor whom the model does not know, and measure over everyone."""
    visitor = max(everyone) + 1
    with open_root(root) as recaller:
        answers = [_answer(recaller, user) for user in users]
        before = _answer(recaller, visitor)
        met = recaller.recall(visitor, 1).ids
        recaller.record(visitor, met)
        after = _answer(recaller, visitor)
        recaller.forget(visitor)  # so that the next run finds what this one found
        return {
            "root": str(root),
            "version": recaller.version,
            "index": recaller.info["index"],
            "recalled": [*answers, before],
            "recorded": {"user": visitor, "title": before["titles"][0], "then": after["titles"]},
            "latency": serving.latency(recaller.recall, everyone),
        }


def title(movie: Mapping[str, Any]) -> str:
    """Return the title of a movie with its year, where that is known."""
    return movie["title"] if movie["year"] is None else f"{movie['title']} ({movie['year']})"


def _answer(recaller: Recaller, user: int) -> dict[str, Any]:
    found = recaller.recall(user, SHOWN)
    titles = [title(recaller.item_attributes(item)) for item in found.ids.tolist()]
    return {"user": user, "source": found.source, "titles": titles}
