"""`evaluate_sampled`: the protocol that ranks a test item among a few items drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks
from .data.triples import as_triples
from .evaluation import check_model, checked_cuts, relevant_rows, rows_of
from .progress import bar
from .ranking import BATCH
from .recommender import Recommender

Int64 = npt.NDArray[np.int64]


def evaluate_sampled(
    model: Recommender,
    test: Any,
    k: int | Sequence[int] = 10,
    *,
    negatives: int = 100,
    relevant: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | None = None,
) -> dict[str, float]:
    """Rank each relevant test item among items drawn at random: only to compare with figures made in this way.

    The protocol of "Neural collaborative filtering" (He et al., WWW 2017). Its figures are larger than those of the
    full ranking, differ with `negatives`, and may order models otherwise than `evaluate` does (Krichene and Rendle: "On
    sampled metrics for item recommendation", KDD 2020): hence the protocol is part of their names.

    Parameters
    ----------
    model : Model or baseline
        What is measured.
    test : Triples, tuple of arrays, (n, 3) array, table or path
        The held-out data.
    k : int or sequence of int, default 10
        The cuts.
    negatives : int, default 100
        How many items are drawn, uniformly and with replacement, out of those that the user has met neither in the
        training data nor among the relevant ones of the test data.
    relevant : float, optional
        Test rows with at least this score are relevant; by default those with a score above 0.
    seed : int, default 0
        Of the draws.
    threads : int, optional
        By default all the process may use; the result does not depend on it.
    progress : bool, optional
        Show a progress bar; by default on a terminal, after two seconds.

    Returns
    -------
    dict of str to float
        For each cut, means over the rows: ``sampled100_hit_rate@k`` (and so on with `negatives`), whether the item is
        among the best k, and ``sampled100_ndcg@k``, 1 / log2(rank + 1) where it is. An item drawn with the same score
        counts as better. ``rows`` says how many were ranked, ``left_out`` how many relevant ones hold an unknown user
        or item, or a user who has met everything.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range, or `test` is not usable data.
    """
    check_model(model)
    cuts = checked_cuts(k)
    negatives, seed = checks.integer(negatives, "negatives", 1), checks.integer(seed, "seed", 0)
    workers = checks.thread_count(threads)
    data = as_triples(test, threads=workers, name="test")
    wanted = relevant_rows(data, relevant)
    users, items = (rows[wanted].astype(np.int64) for rows in rows_of(model, data))
    n_items = len(model.items)
    known = (users >= 0) & (items >= 0)
    met = np.concatenate([_pairs(*model.seen.pairs(), n_items), _pairs(users[known], items[known], n_items)])
    met = np.unique(met)
    free = n_items - np.bincount(met // n_items, minlength=len(model.users))
    taken = known & (free[np.maximum(users, 0)] > 0)
    users, items = users[taken], items[taken]

    random = np.random.default_rng(seed)
    hits, gains = np.zeros(len(cuts)), np.zeros(len(cuts))
    with bar(len(users), "evaluate", show=progress, unit="row") as shown:
        for start in range(0, len(users), BATCH):
            part = slice(start, start + BATCH)
            drawn = _draw(random, users[part], negatives, met, n_items)
            candidates = np.column_stack([items[part], drawn])
            owners = np.repeat(users[part], negatives + 1)
            scores = model.predict_rows(owners.astype(np.int32), candidates.ravel().astype(np.int32), workers)
            scores = scores.reshape(candidates.shape)
            rank = 1 + (scores[:, 1:] >= scores[:, :1]).sum(axis=1)
            for c, cut in enumerate(cuts):
                hits[c] += (rank <= cut).sum()
                gains[c] += (1 / np.log2(rank[rank <= cut] + 1)).sum()
            shown.update(len(rank))
    out = {"rows": float(len(users)), "left_out": float(wanted.sum() - len(users))}
    for c, cut in enumerate(cuts):
        for name, total in (("hit_rate", hits[c]), ("ndcg", gains[c])):
            out[f"sampled{negatives}_{name}@{cut}"] = float(total / len(users)) if len(users) else float("nan")
    return out


def _pairs(users: npt.NDArray[Any], items: npt.NDArray[Any], n_items: int) -> Int64:
    pairs: Int64 = users.astype(np.int64) * n_items + items
    return pairs


def _draw(random: np.random.Generator, users: Int64, n: int, met: Int64, n_items: int) -> Int64:
    """Draw n items for each user, none of a pair that is met; `met` is sorted."""
    drawn: Int64 = random.integers(0, n_items, (len(users), n))
    wrong = np.ones_like(drawn, bool)
    while wrong.any():
        pairs = users[:, None] * n_items + drawn
        wrong = met[np.minimum(np.searchsorted(met, pairs), len(met) - 1)] == pairs
        drawn[wrong] = random.integers(0, n_items, np.count_nonzero(wrong))
    return drawn
