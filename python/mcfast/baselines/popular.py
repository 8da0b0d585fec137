"""The most popular items, for everybody."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..data.triples import as_triples
from ..factors import padded
from ..model import Model
from ..seen import Seen


def popularity(triples: Any, *, threads: int | None = None) -> Model:
    """Make a model that ranks items by the number of users they have met.

    Parameters
    ----------
    triples : Triples, tuple of arrays, (n, 3) array, table or path
        The training data.
    threads : int, optional
        By default all the process may use.

    Returns
    -------
    Model
        The biases of its items are the counts; it predicts no scores.
    """
    workers = checks.thread_count(threads)
    data = as_triples(triples, threads=workers)
    return Model(
        users=data.user_ids,
        items=data.item_ids,
        factors=1,
        user_rows=padded(np.zeros((data.n_users, 1), np.float32)),
        item_rows=padded(np.zeros((data.n_items, 1), np.float32)),
        user_biases=np.zeros(data.n_users, np.float32),
        item_biases=np.bincount(data.items, minlength=data.n_items).astype(np.float32),
        seen=Seen.of(data.users, data.items, data.n_users, workers),
        parameters={"baseline": "popularity"},
        predicts_scores=False,
    )
