"""`mcfast demo`: real ratings in; a model, its measures, recommendations and pictures out."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..baselines import popularity
from ..data.triples import Triples
from ..datasets import movielens_100k
from ..errors import MissingExtraError
from ..evaluation import evaluate
from ..model import Model
from ..training import fit
from . import common, plots

if TYPE_CHECKING:
    import pyarrow as pa

K = 20
SHORT = 5  # epochs
KNOWN_MOVIE = "Star Wars"
MEASURES = {"rmse": "test RMSE", "mae": "MAE", f"recall@{K}": f"Recall@{K}", f"ndcg@{K}": f"NDCG@{K}"}

WHY = """\
Popularity ranks better here, although it knows nothing of taste: squared loss learns to predict the ratings that exist,
not which movies a user will choose. Missing ratings are not missing at random; a ranking loss over sampled items is the
cure."""

EXAMPLES = """
  mcfast demo
  mcfast demo --out pictures/ --json
  mcfast demo --short
"""


def register(commands: Any) -> None:
    """Add the command."""
    summary = "real ratings (MovieLens-100K): fit, evaluate, recommend, with titles and pictures"
    parser = common.add_command(commands, "demo", run, summary, EXAMPLES)
    parser.add_argument("--out", default="demo", metavar="DIR", help="where the pictures go (default: demo)")
    parser.add_argument("--short", action="store_true", help=f"train for {SHORT} epochs")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split and the training (default: 0)")
    parser.add_argument("--threads", type=int, metavar="N", help=common.THREADS)


def run(arguments: argparse.Namespace) -> int:
    """Go from ratings to recommendations, one stage after the other."""
    seconds: dict[str, float] = {}
    with _timed(seconds, "read"):
        data = movielens_100k()
        train, test = data.triples.split_random(0.1, seed=arguments.seed)
        titles = _titles(data.items)
    with _timed(seconds, "fit"):
        options: dict[str, Any] = {"epochs": SHORT} if arguments.short else {}
        model = fit(train, validation=0.05, seed=arguments.seed, threads=arguments.threads, **options)
    with _timed(seconds, "evaluate"):
        measures = {
            name: evaluate(candidate, test, K, threads=arguments.threads)
            for name, candidate in (("mcfast", model), ("popularity", popularity(train)))
        }
    with _timed(seconds, "recommend"):
        users = [_user(model, train, user, titles) for user in _some_users(train)]
        movie = next(item for item, title in titles.items() if title.startswith(KNOWN_MOVIE))
        found = model.similar_items(movie, k=5)
        similar = {titles[movie]: _titled(found.ids, found.scores, titles)}
    with _timed(seconds, "draw"):
        pictures = _pictures(model, train, titles, Path(arguments.out))

    result = {
        "triples": {"train": len(train), "test": len(test), "users": train.n_users, "items": train.n_items},
        "measures": measures,
        "users": users,
        "similar": similar,
        "seconds": seconds,
        "pictures": [str(path) for path in pictures],
    }
    if arguments.json:
        common.print_json(result)
    else:
        print(_text(result))
    return 0


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


def _titles(items: pa.Table) -> dict[Any, str]:
    """Return the title of each movie, with its year where that is known."""
    rows = zip(*(items[column].to_pylist() for column in ("id", "title", "year")), strict=True)
    return {item: title if year is None else f"{title} ({year})" for item, title, year in rows}


def _some_users(train: Triples) -> list[Any]:
    """Return three users: one of the busiest, one in the middle, one who rated little."""
    counts = np.bincount(train.users, minlength=train.n_users)
    order = np.argsort(-counts, kind="stable")
    chosen = order[[len(order) // 20, len(order) // 2, len(order) * 9 // 10]]
    return list(train.user_ids.take(chosen).tolist())


def _user(model: Model, train: Triples, user: Any, titles: dict[Any, str]) -> dict[str, Any]:
    """Describe a user: the movies they rated highest, and those recommended."""
    own = train.select(train.users == train.user_ids.rows(user, "user")[0])
    best = np.argsort(-own.scores, kind="stable")[:5]
    found = model.recommend(user, k=5)
    return {
        "user": user,
        "ratings": len(own),
        "rated": _titled(own.item_ids.take(own.items[best]), own.scores[best], titles),
        "recommended": _titled(found.ids, found.scores, titles),
    }


def _titled(ids: Iterable[Any], scores: Iterable[float], titles: dict[Any, str]) -> list[dict[str, Any]]:
    return [{"title": titles[item], "score": float(score)} for item, score in zip(ids, scores, strict=True)]


def _pictures(model: Model, train: Triples, titles: dict[Any, str], folder: Path) -> list[Path]:
    """Save the pictures; where matplotlib is missing, say how to get it and go on."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return [
            plots.learning_curve(model, folder / "learning-curve.png"),
            plots.completion(model, train, titles, folder / "completion.png"),
        ]
    except MissingExtraError as error:
        common.say(f"no pictures: {error}")
        return []


def _text(result: dict[str, Any]) -> str:
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
    if measures["popularity"][f"recall@{K}"] > measures["mcfast"][f"recall@{K}"]:
        parts.append(WHY)
    for user in result["users"]:
        parts.append(
            f"User {user['user']}, {user['ratings']} ratings\n"
            + _columns("rated highest", user["rated"], "recommended", user["recommended"])
        )
    for movie, similar in result["similar"].items():
        parts.append(f"Similar to {movie}: " + ", ".join(entry["title"] for entry in similar))
    parts.append("Seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in result["seconds"].items()))
    if result["pictures"]:
        parts.append("Pictures: " + ", ".join(result["pictures"]))
    return "\n\n".join(parts)


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
