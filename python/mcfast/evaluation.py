"""`evaluate`: errors of predicted scores, and measures of the full ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks
from .bootstrap import intervals
from .data.ids import Rows, encode
from .data.triples import Triples, as_triples
from .measures import Protocol, measure
from .recommender import Recommender, allowed


def evaluate(
    model: Recommender,
    test: Any,
    k: int | Sequence[int] = 20,
    *,
    relevant: float | None = None,
    recall_denominator: str = "relevant",
    exclude_seen: bool = True,
    candidates: Any = None,
    buckets: int = 1,
    confidence: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | None = None,
) -> dict[str, float]:
    """Measure a model on data it was not trained on.

    Parameters
    ----------
    model : Model or baseline
        What is measured.
    test : Triples, tuple of arrays, (n, 3) array, table or path
        The held-out data.
    k : int or sequence of int, default 20
        The cuts of the ranking.
    relevant : float, optional
        Test rows with at least this score are relevant; by default those with a score above 0.
    recall_denominator : {"relevant", "min"}, default "relevant"
        What recall divides the hits of a user by: the number of relevant items, or at most k of them.
    exclude_seen : bool, default True
        Rank only items the user has not met in training. A relevant item that was met counts as missed then.
    candidates : array_like, optional
        Ids of the only items that are ranked and can be relevant, such as new ones; by default all.
    buckets : int, default 1
        With more than 1, also measure the same lists by popularity: the catalogue is cut into so many buckets with
        about equally many training pairs each, and ``recall@k.bucket1`` counts as relevant only items of the most
        popular bucket, and so on; unknown items are in the last.
    confidence : float, optional
        Such as 0.95: add ``.low`` and ``.high`` to each mean over users, the interval that holds this share of the
        means over users drawn with replacement.
    resamples : int, default 1000
        How often users are drawn for that, >= 10.
    seed : int, default 0
        Of these draws.
    threads : int, optional
        By default all the process may use; the result does not depend on it.
    progress : bool, optional
        Show a progress bar; by default on a terminal, after two seconds.

    Returns
    -------
    dict of str to float
        ``rmse`` and ``mae`` over all rows, where the model predicts scores; unknown users and items count as the mean
        ones. For each cut, means over the users with a relevant item: ``recall@k``, ``precision@k`` (hits / k),
        ``ndcg@k`` (binary gain, the ideal list cut at min(k, relevant)), ``map@k`` (average precision / min(k,
        relevant)), ``mrr@k``, ``hit_rate@k``; and over all lists: ``coverage@k``, the share of the catalogue that
        appears, and ``popular_share@k``, the share of places taken by the tenth of the catalogue with the most training
        pairs. Items the model does not know are relevant and missed. ``rows`` and ``users`` say how many were measured,
        ``unknown_rows`` how many rows hold an unknown user or item, ``unknown_users`` how many users with a relevant
        item the model does not know: they take no part in the ranking.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range, or `test` is not usable data.
    """
    check_model(model)
    workers = checks.thread_count(threads)
    protocol = Protocol(
        checked_cuts(k),
        checks.choice(recall_denominator, "recall_denominator", ("relevant", "min")),
        checks.flag(exclude_seen, "exclude_seen"),
        checks.integer(buckets, "buckets", 1, 100),
        allowed(model.items, candidates, None, "candidates"),
        workers,
        progress,
    )
    level = None if confidence is None else checks.real(confidence, "confidence", 0, 1, above=True)
    resamples, seed = checks.integer(resamples, "resamples", 10), checks.integer(seed, "seed", 0)

    data = as_triples(test, threads=workers, name="test")
    users, items = rows_of(model, data)
    unknown = (users < 0) | (items < 0)
    out = {"rows": float(len(data)), "unknown_rows": float(unknown.sum())}
    if model.predicts_scores:
        error = model.predict_rows(users, items, workers).astype(np.float64) - data.scores
        out["rmse"] = float(np.sqrt(np.mean(error * error)))
        out["mae"] = float(np.mean(np.abs(error)))

    wanted = relevant_rows(data, relevant)
    if candidates is not None:
        named = encode(candidates, "candidates")[1]
        wanted &= (named.rows(data.item_ids.values, "test", "skip") >= 0)[data.items]
    out["unknown_users"] = float(len(np.unique(data.users[wanted & (users < 0)])))
    ranked = wanted & (users >= 0)
    found = measure(model, users[ranked], items[ranked], protocol)
    out["users"] = float(len(found.users))
    columns = np.column_stack(list(found.by_user.values()))
    ends = None if level is None else intervals(columns, level, resamples, seed)
    for place, (name, mean) in enumerate(zip(found.by_user, means(columns), strict=True)):
        out[name] = mean
        if ends is not None:
            out |= {f"{name}.low": float(ends[0, place]), f"{name}.high": float(ends[1, place])}
    return out | found.of_lists


def check_model(model: object) -> None:
    """Raise unless `model` recommends."""
    if not isinstance(model, Recommender):
        raise TypeError(checks.message("model", type(model).__name__, "a Model or a baseline"))


def checked_cuts(k: int | Sequence[int]) -> list[int]:
    """Return the cuts in rising order."""
    cuts = sorted({checks.integer(x, "k", 1) for x in (k if isinstance(k, Sequence) else [k])})
    if not cuts:
        raise ValueError(checks.message("k", "no number", "an integer or several"))
    return cuts


def rows_of(model: Recommender, data: Triples) -> tuple[Rows, Rows]:
    """Return the rows of users and items in the model, -1 where it does not know them."""
    users = model.users.rows(data.user_ids.values, "test", "skip")[data.users]
    return users, model.items.rows(data.item_ids.values, "test", "skip")[data.items]


def relevant_rows(data: Triples, relevant: float | None) -> npt.NDArray[np.bool_]:
    """Return which rows of test data are relevant."""
    if relevant is None:
        return data.scores > 0
    return data.scores >= checks.real(relevant, "relevant")


def means(columns: npt.NDArray[np.float64]) -> list[float]:
    """Return the mean of each column over the users that have a value, NaN where none has."""
    there = ~np.isnan(columns)
    total = there.sum(axis=0)
    sums = np.where(there, columns, 0.0).sum(axis=0)
    return [float(x) for x in np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)]
