"""`evaluate`: errors of predicted scores, and measures of the full ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core, checks
from .data.triples import as_triples
from .model import Model
from .progress import bar
from .ranking import BATCH

POPULAR = 0.1  # share of the catalogue that counts as popular, by number of training pairs

Rows = npt.NDArray[np.int32]


def evaluate(
    model: Model,
    test: Any,
    k: int | Sequence[int] = 20,
    *,
    relevant: float | None = None,
    recall_denominator: str = "relevant",
    exclude_seen: bool = True,
    threads: int | None = None,
    progress: bool | None = None,
) -> dict[str, float]:
    """Measure a model on data it was not trained on.

    Parameters
    ----------
    model : Model
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
    if not isinstance(model, Model):
        raise TypeError(checks.message("model", type(model).__name__, "a Model"))
    cuts = sorted({checks.integer(x, "k", 1) for x in (k if isinstance(k, Sequence) else [k])})
    if not cuts:
        raise ValueError(checks.message("k", "no number", "an integer or several"))
    checks.choice(recall_denominator, "recall_denominator", ("relevant", "min"))
    limit = None if relevant is None else checks.real(relevant, "relevant")
    workers = checks.thread_count(threads)

    data = as_triples(test, threads=workers, name="test")
    users = model.users.rows(data.user_ids.values, "test", "skip")[data.users]
    items = model.items.rows(data.item_ids.values, "test", "skip")[data.items]
    unknown = (users < 0) | (items < 0)
    out = {"rows": float(len(data)), "unknown_rows": float(unknown.sum())}
    if model.predicts_scores:
        error = model.predict_rows(users, items, workers).astype(np.float64) - data.scores
        out["rmse"] = float(np.sqrt(np.mean(error * error)))
        out["mae"] = float(np.mean(np.abs(error)))

    wanted = data.scores > 0 if limit is None else data.scores >= limit
    out["unknown_users"] = float(len(np.unique(data.users[wanted & (users < 0)])))
    ranked = wanted & (users >= 0)
    protocol = _Protocol(cuts, recall_denominator, checks.flag(exclude_seen, "exclude_seen"), workers, progress)
    return out | _ranking(model, users[ranked], items[ranked], protocol)


class _Protocol(NamedTuple):
    cuts: list[int]
    recall_denominator: str
    exclude_seen: bool
    threads: int
    progress: bool | None


def _ranking(model: Model, users: Rows, items: Rows, protocol: _Protocol) -> dict[str, float]:
    """Measure the ranking on relevant pairs of rows; item row -1 is one the model does not know."""
    cuts, threads = protocol.cuts, protocol.threads
    rows, inverse = np.unique(users, return_inverse=True)
    places = inverse.astype(np.int32)
    n_relevant = np.bincount(places, minlength=len(rows)).astype(np.int64)
    known = items >= 0
    indptr, relevant = _core.items_of_users(places[known], items[known], len(rows), threads)

    counts = model.seen.item_counts(model.n_items)
    popular = np.zeros(model.n_items, bool)
    popular[np.argsort(-counts, kind="stable")[: max(1, round(POPULAR * model.n_items))]] = True

    seen = model.seen if protocol.exclude_seen else None
    sums: list[dict[str, float]] = [{} for _ in cuts]
    recommended = np.zeros((len(cuts), model.n_items), bool)
    popular_places, all_places = np.zeros(len(cuts)), np.zeros(len(cuts))
    with bar(len(rows), "evaluate", show=protocol.progress, unit="user") as shown:
        for start in range(0, len(rows), BATCH):
            part = slice(start, min(start + BATCH, len(rows)))
            found, _, _ = model.ranker.search(
                model.user_rows, rows[part], min(cuts[-1], model.n_items), seen, None, threads, progress=False
            )
            own = indptr[start : part.stop + 1]
            measured = _core.ranking_measures(
                found, own - own[0], relevant[own[0] : own[-1]], n_relevant[part], cuts, threads
            )
            for c, cut in enumerate(cuts):
                for name, value in measured[c].items():
                    sums[c][name] = sums[c].get(name, 0.0) + value
                listed = found[:, :cut][found[:, :cut] >= 0]
                recommended[c, listed] = True
                popular_places[c] += popular[listed].sum()
                all_places[c] += len(listed)
            shown.update(part.stop - start)

    out = {"users": float(len(rows))}
    recall = "recall" if protocol.recall_denominator == "relevant" else "capped_recall"
    for c, cut in enumerate(cuts):
        for name, source in [("recall", recall), *((m, m) for m in ("precision", "ndcg", "map", "mrr", "hit_rate"))]:
            out[f"{name}@{cut}"] = sums[c].get(source, np.nan) / len(rows) if len(rows) else float("nan")
        out[f"coverage@{cut}"] = float(recommended[c].mean())
        out[f"popular_share@{cut}"] = float(popular_places[c] / all_places[c]) if all_places[c] else float("nan")
    return out
