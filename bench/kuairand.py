"""KuaiRand-Pure, rung by rung: Recall@50 and NDCG@50 of what is clicked after 2022-04-30, with intervals over users.

    python bench/kuairand.py DIR                         # every rung, and the baselines
    python bench/kuairand.py DIR --only softmax EASE     # some, by parts of their names
    python bench/kuairand.py DIR --cold                  # what knows attributes, on a fifth of the items held out

Settings are those with the largest NDCG@50 on the last fifth of the training events, or with --cold on another fifth of
the items, held out as well; then a model is fitted to all of
them, and measured once on the test events. Columns that are known only after an exposure are no features, and the
history before the training events takes part in the last rung alone.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mcfast
from mcfast.datasets import KuaiRand

K = 50
CONFIDENCE = 0.95

Settings = Mapping[str, Any]


class Rung(NamedTuple):
    """A kind of model, and the settings that it is tried with."""

    name: str
    make: Callable[..., Any]  # (training triples, data, **settings)
    grid: Mapping[str, Sequence[Any]]
    knows_attributes: bool = False  # others cannot tell items apart that they have not met


def clicked(train: mcfast.Triples) -> mcfast.Triples:
    """Return what was clicked alone."""
    return train.select(train.scores > 0)


COLUMNS = {
    "tags and author": ["id", "author_id", "tags"],
    "all": None,
    "no author or music": [
        "id",
        "video_type",
        "upload_type",
        "music_type",
        "tags",
        "video_duration",
        "server_width",
        "server_height",
        "upload_day",
    ],
}  # of items; authors and pieces of music have few items each


def attributes(data: KuaiRand, columns: str) -> Any:
    """Return attributes of items."""
    names = COLUMNS[columns]
    return data.items if names is None else data.items.select(names)


def with_history(train: mcfast.Triples, data: KuaiRand) -> mcfast.Triples:
    """Return the history before as well, but for items that the training data does not have: they may be held out."""
    known = np.zeros(data.train.n_items, np.bool_)
    known[data.history.item_ids.rows(train.item_ids.take(np.unique(train.items)))] = True
    return data.history.select(known[data.history.items]).concatenate(train)


def softmax(train: mcfast.Triples, **settings: Any) -> mcfast.Model:
    """Fit what was clicked against random items."""
    options = {"learning_rate": 0.05, "factors": 32, "progress": False, **settings}
    return mcfast.fit(train, loss="softmax", exposed="ignore", **options)


RUNGS = [
    Rung("most exposed", lambda train, _: mcfast.popularity(train), {}),
    Rung("most clicked", lambda train, _: mcfast.popularity(clicked(train)), {}),
    Rung(
        "popularity of tag and author",
        lambda train, data: mcfast.popularity(train, item_features=attributes(data, "tags and author")),
        {},
        knows_attributes=True,
    ),
    Rung(
        "item-kNN",
        lambda train, _, **settings: mcfast.item_knn(train, **settings),
        {"neighbours": (200, 1000), "shrinkage": (0.0, 10.0)},
    ),
    Rung(
        "EASE",
        lambda train, _, **settings: mcfast.ease(train, **settings),
        {"regularization": (10.0, 100.0, 1000.0)},
    ),
    Rung(
        "squared loss on exposures",
        lambda train, _, **settings: mcfast.fit(train, **settings),
        {"factors": (16, 64), "regularization": (0.05, 0.2), "epochs": (5, 20)},
    ),
    Rung(
        "right negatives: logistic, clicks against random items",
        lambda train, _, **settings: mcfast.fit(train, loss="logistic", exposed="ignore", **settings),
        {"negatives": ("uniform", "popularity"), "learning_rate": (0.05, 0.2), "epochs": (10, 40)},
    ),
    Rung(
        "softmax and cosine",
        lambda train, _, **settings: softmax(train, similarity="cosine", **settings),
        {"temperature": (0.1, 0.2, 0.4), "epochs": (10, 30)},
    ),
    Rung(
        "softmax and inner product",
        lambda train, _, **settings: softmax(train, **settings),
        {"learning_rate": (0.05, 0.1), "epochs": (10, 30)},
    ),
    Rung(
        "the same with attributes",
        lambda train, data, columns, **settings: softmax(
            train, user_features=data.users, item_features=attributes(data, columns), **settings
        ),
        {"columns": COLUMNS, "id_dropout": (0.5, 0.9), "epochs": (5, 10)},
        knows_attributes=True,
    ),
    Rung(
        "the same with attributes and history",
        lambda train, data, columns, **settings: softmax(
            train, user_features=data.users, item_features=attributes(data, columns), history=True, **settings
        ),
        {"columns": COLUMNS, "id_dropout": (0.5, 0.9), "epochs": (5, 10)},
        knows_attributes=True,
    ),
    Rung(
        "the same, and trained on the history before 2022-04-25 too",
        lambda train, data, **settings: softmax(
            with_history(train, data),
            user_features=data.users,
            item_features=attributes(data, "tags and author"),
            history=True,
            id_dropout=0.5,
            **settings,
        ),
        {"epochs": (3, 6)},
        knows_attributes=True,
    ),
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of KuaiRand-Pure")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rungs, by a part of their names")
    parser.add_argument("--cold", action="store_true", help="hold out a fifth of the items whole, and rank those alone")
    given = parser.parse_args()
    data = mcfast.datasets.kuairand(given.data)
    train, test, cold = data.train, data.test, None
    if given.cold:
        train, held_out = train.split_cold_items(0.2, seed=0)
        cold = held_out.item_ids.take(np.unique(held_out.items))
        print(f"{len(cold)} cold items; {K} of them at random: recall {K / len(cold):.4f}\n")
    print(f"| | Recall@{K} | NDCG@{K} | settings | trials | seconds of the search | of the fit |")
    print("|---|---|---|---|---|---|---|")
    for rung in RUNGS:
        wanted = not given.only or any(part in rung.name for part in given.only)
        if wanted and (rung.knows_attributes or not given.cold):
            row(rung, data, train, test, cold)


def row(rung: Rung, data: KuaiRand, train: mcfast.Triples, test: mcfast.Triples, cold: Any) -> None:
    """Choose settings, fit, measure, print."""
    begin = time.perf_counter()
    candidates = list(grid(rung.grid))
    settings = candidates[0]
    if len(candidates) > 1:
        settings = max(candidates, key=lambda s: validation(rung, data, train, s, cold is not None))
    searched = time.perf_counter()
    model = rung.make(train, data, **settings)
    seconds = time.perf_counter() - searched
    got = mcfast.evaluate(model, test, K, candidates=cold, confidence=CONFIDENCE)
    reached = [f"{got[m]:.4f} ({got[f'{m}.low']:.4f} to {got[f'{m}.high']:.4f})" for m in (f"recall@{K}", f"ndcg@{K}")]
    said = ", ".join(f"{key} {value}" for key, value in settings.items())
    cells = [rung.name, *reached, said, f"{len(candidates)}", f"{searched - begin:.0f}", f"{seconds:.1f}"]
    print("| " + " | ".join(cells) + " |", flush=True)


def validation(rung: Rung, data: KuaiRand, train: mcfast.Triples, settings: Settings, cold: bool) -> float:
    """Return NDCG on the last fifth of the training events, or on a fifth of the items, of a model without them."""
    first, held_out = train.split_cold_items(0.2, seed=1) if cold else train.split_temporal(0.2)
    candidates = held_out.item_ids.take(np.unique(held_out.items)) if cold else None
    return mcfast.evaluate(rung.make(first, data, **settings), held_out, K, candidates=candidates)[f"ndcg@{K}"]


def grid(axes: Mapping[str, Sequence[Any]]) -> Iterator[Settings]:
    """Yield every combination."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


if __name__ == "__main__":
    main()
