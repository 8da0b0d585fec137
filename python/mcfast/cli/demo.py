"""`mcfast demo`: real ratings in; a model, its measures, a served folder, recalled titles and pictures out."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..baselines import item_knn, popularity
from ..data.triples import Triples
from ..datasets import movielens_100k
from ..errors import MissingExtraError
from ..evaluation import evaluate
from ..model import Model
from ..recommender import Recommender
from ..training import fit
from . import common, demo_serving, plots
from .demo_text import NEIGHBOURHOOD, POPULARITY, SOFTMAX, SQUARED, K, text

if TYPE_CHECKING:
    import pyarrow as pa

SHORT = 5  # epochs
KNOWN_MOVIE = "Star Wars"
# The best on a tenth of the training part, of about a dozen.
RANKED: dict[str, Any] = {
    "loss": "softmax",
    "similarity": "cosine",
    "temperature": 0.2,
    "learning_rate": 0.1,
    "epochs": 10,
    "n_negatives": 128,
    "batch_size": 1024,
    "mask_known": True,
}
NEIGHBOURS = 400  # likewise

EXAMPLES = """
  mcfast demo
  mcfast demo --out pictures/ --json
  mcfast demo --short
"""


def register(commands: Any) -> None:
    """Add the command."""
    summary = "real ratings (MovieLens-100K): fit, evaluate, recommend, publish, recall, with titles and pictures"
    parser = common.add_command(commands, "demo", run, summary, EXAMPLES)
    parser.add_argument(
        "--out", default="demo", metavar="DIR", help="where the pictures and the served folder go (default: demo)"
    )
    parser.add_argument("--short", action="store_true", help=f"train for {SHORT} epochs")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split and the training (default: 0)")
    parser.add_argument("--threads", type=int, metavar="N", help=common.THREADS)


def run(arguments: argparse.Namespace) -> int:
    """Go from ratings to recalled titles, one stage after the other."""
    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    with _timed(seconds, "read"):
        data = movielens_100k()
        train, test = data.triples.split_random(0.1, seed=arguments.seed)
        titles = _titles(data.items)
    with _timed(seconds, "fit"):
        options: dict[str, Any] = {"epochs": SHORT} if arguments.short else {}
        model = fit(train, validation=0.05, seed=arguments.seed, threads=arguments.threads, **options)
    with _timed(seconds, "fit for ranking"):
        ranked = fit(train, seed=arguments.seed, threads=arguments.threads, **RANKED | options)
    with _timed(seconds, "evaluate"):
        candidates: dict[str, Recommender] = {
            SQUARED: model,
            SOFTMAX: ranked,
            NEIGHBOURHOOD: item_knn(train, neighbours=NEIGHBOURS, threads=arguments.threads),
            POPULARITY: popularity(train),
        }
        measures = {
            name: evaluate(candidate, test, K, threads=arguments.threads) for name, candidate in candidates.items()
        }
    chosen = _some_users(train)
    with _timed(seconds, "recommend"):
        users = [_user(model, train, user, titles) for user in chosen]
        movie = next(item for item, title in titles.items() if title.startswith(KNOWN_MOVIE))
        found = model.similar_items(movie, k=5)
        similar = {titles[movie]: _titled(found.ids, found.scores, titles)}
    with _timed(seconds, "publish"):
        root = demo_serving.published(model, data, folder, arguments.threads)
    with _timed(seconds, "recall"):
        served = demo_serving.serve(root, chosen, model.users.values.tolist())
    with _timed(seconds, "draw"):
        pictures = _pictures(model, train, titles, served["index"], folder)

    result = {
        "triples": {"train": len(train), "test": len(test), "users": train.n_users, "items": train.n_items},
        "measures": measures,
        "users": users,
        "similar": similar,
        "served": served,
        "seconds": seconds,
        "pictures": [str(path) for path in pictures],
    }
    if arguments.json:
        common.print_json(result)
    else:
        print(text(result))
    return 0


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


def _titles(items: pa.Table) -> dict[Any, str]:
    """Return the title of each movie, with its year where that is known."""
    return {movie["id"]: demo_serving.title(movie) for movie in items.to_pylist()}


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


def _pictures(model: Model, train: Triples, titles: dict[Any, str], index: dict[str, Any], folder: Path) -> list[Path]:
    """Save the pictures; where matplotlib is missing, say how to get it and go on."""
    try:
        return [
            plots.learning_curve(model, folder / "learning-curve.png"),
            plots.completion(model, train, titles, folder / "completion.png"),
            plots.recall_and_speed(index, folder / "recall-and-speed.png"),
        ]
    except MissingExtraError as error:
        common.say(f"no pictures: {error}")
        return []
