"""KuaiRand-Pure, rung by rung: Recall@50 and NDCG@50 of what is clicked after 2022-04-30, with intervals over users.

    python bench/kuairand.py DIR                         # every rung, and the baselines
    python bench/kuairand.py DIR --only softmax EASE     # some, by parts of their names
    python bench/kuairand.py DIR --cold                  # on a fifth of the items, held out whole, ranked alone

Settings are those with the largest NDCG@50 on the last fifth of the training events; then a model is fitted to all of
them, and measured once on the test events. Columns that are known only after an exposure are no features, and the
history before the training events takes no part.
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


def clicked(train: mcfast.Triples) -> mcfast.Triples:
    """Return what was clicked alone."""
    return train.select(train.scores > 0)


def attributes(data: KuaiRand) -> Any:
    """Return tags and authors."""
    return data.items.select(["id", "author_id", "tags"])


RUNGS = [
    Rung("most exposed", lambda train, _: mcfast.popularity(train), {}),
    Rung("most clicked", lambda train, _: mcfast.popularity(clicked(train)), {}),
    Rung(
        "popularity of tag and author", lambda train, data: mcfast.popularity(train, item_features=attributes(data)), {}
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
        lambda train, _, **settings: mcfast.fit(
            train, loss="softmax", similarity="cosine", exposed="ignore", **settings
        ),
        {"temperature": (0.1, 0.2), "logq": (0.0, 1.0), "learning_rate": (0.1, 0.2), "epochs": (10, 40)},
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
        if not given.only or any(part in rung.name for part in given.only):
            row(rung, data, train, test, cold)


def row(rung: Rung, data: KuaiRand, train: mcfast.Triples, test: mcfast.Triples, cold: Any) -> None:
    """Choose settings, fit, measure, print."""
    begin = time.perf_counter()
    candidates = list(grid(rung.grid))
    settings = max(candidates, key=lambda s: validation(rung, data, train, s)) if len(candidates) > 1 else candidates[0]
    searched = time.perf_counter()
    model = rung.make(train, data, **settings)
    seconds = time.perf_counter() - searched
    got = mcfast.evaluate(model, test, K, candidates=cold, confidence=CONFIDENCE)
    reached = [f"{got[m]:.4f} ({got[f'{m}.low']:.4f} to {got[f'{m}.high']:.4f})" for m in (f"recall@{K}", f"ndcg@{K}")]
    said = ", ".join(f"{key} {value}" for key, value in settings.items())
    cells = [rung.name, *reached, said, f"{len(candidates)}", f"{searched - begin:.0f}", f"{seconds:.1f}"]
    print("| " + " | ".join(cells) + " |", flush=True)


def validation(rung: Rung, data: KuaiRand, train: mcfast.Triples, settings: Settings) -> float:
    """Return NDCG on the last fifth of the training events, of a model that has not met them."""
    earlier, later = train.split_temporal(0.2)
    return mcfast.evaluate(rung.make(earlier, data, **settings), later, K)[f"ndcg@{K}"]


def grid(axes: Mapping[str, Sequence[Any]]) -> Iterator[Settings]:
    """Yield every combination."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


if __name__ == "__main__":
    main()
