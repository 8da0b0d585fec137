"""The most popular items, for everybody."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..data.features import Features
from ..data.triples import Triples, as_triples
from ..factors import padded
from ..model import Model
from ..seen import Seen


def popularity(triples: Any, *, item_features: Any = None, threads: int | None = None) -> Model:
    """Make a model that ranks items by the number of users they have met.

    Parameters
    ----------
    triples : Triples, tuple of arrays, (n, 3) array, table or path
        The training data.
    item_features : path or table, optional
        Attributes of items, as `mcfast.data.features.Features.of` takes them: items are ranked by the popularity of
        their attributes instead, which new items have, too. That of a value, a tag or an author say, is the mean number
        of likes (scores above 0) of the items that have it and occur in the training data; that of an item is the mean
        over its values. Numbers take no part.
    threads : int, optional
        By default all the process may use.

    Returns
    -------
    Model
        The biases of its items are the counts or means; it predicts no scores.
    """
    workers = checks.thread_count(threads)
    data = as_triples(triples, threads=workers)
    counts = np.bincount(data.items, minlength=data.n_items).astype(np.float64)
    if item_features is not None:
        counts = _of_attributes(data, counts > 0, item_features)
    return Model(
        users=data.user_ids,
        items=data.item_ids,
        factors=1,
        user_rows=padded(np.zeros((data.n_users, 1), np.float32)),
        item_rows=padded(np.zeros((data.n_items, 1), np.float32)),
        user_biases=np.zeros(data.n_users, np.float32),
        item_biases=counts.astype(np.float32),
        seen=Seen.of(data.users, data.items, data.n_users, workers),
        parameters={"baseline": "popularity"},
        predicts_scores=False,
    )


def _of_attributes(data: Triples, trained: npt.NDArray[np.bool_], table: Any) -> npt.NDArray[np.float64]:
    """Return the popularity of the attributes of each item."""
    features, encoded = Features.of(table, data.item_ids, "item_features")
    likes = np.bincount(data.items[data.scores > 0], minlength=data.n_items)
    owners = np.repeat(np.arange(data.n_items), np.diff(encoded.indptr))
    counted = trained[owners]
    sums, having = (
        np.bincount(encoded.values[counted], of[owners[counted]], minlength=features.n_values)
        for of in (likes, trained)
    )
    means = sums / np.maximum(having, 1)
    return np.bincount(owners, encoded.shares * means[encoded.values], minlength=data.n_items).astype(np.float64)
