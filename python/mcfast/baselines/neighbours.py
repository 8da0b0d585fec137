"""Neighbours of items: an item is recommended to those who like the items most similar to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..data.triples import Triples, as_triples
from ..progress import bar
from ..ranking import Float32, Rows
from .blocks import BlockRecommender, best, cooccurrences


def item_knn(
    triples: Any,
    *,
    neighbours: int = 200,
    shrinkage: float = 0.0,
    weighting: str = "idf",
    threads: int | None = None,
    progress: bool | None = None,
) -> ItemNeighbours:
    """Make a recommender out of the similarities of items.

    The similarity of items i and j is ``sum of w_u over users who like both / (|i| |j| + shrinkage)``, where
    ``|i|^2 = sum of w_u over users who like i``: the cosine of weighted columns, less where few users like both. The
    score of item j is the sum of its similarities with those liked items that have it among their neighbours.

    Parameters
    ----------
    triples : Triples, tuple of arrays, (n, 3) array, table or path
        The training data. A score above 0 is a like.
    neighbours : int, default 200
        How many most similar items are kept of each.
    shrinkage : float, default 0.0
        At least 0.
    weighting : {"idf", "none"}, default "idf"
        What a user weighs: ``log(n_items / liked items)^2``, or 1. Under the cosine, BM25 comes to the former: its
        normalisation of lengths cancels out.
    threads : int, optional
        By default all the process may use.
    progress : bool, optional
        Show a progress bar; by default on a terminal, after two seconds.

    Returns
    -------
    ItemNeighbours
        Which `recommend` and `mcfast.evaluate` ask as they do a model.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range, or `triples` is not usable data.
    """
    parameters = {
        "baseline": "item_knn",
        "neighbours": checks.integer(neighbours, "neighbours", 1),
        "shrinkage": checks.real(shrinkage, "shrinkage", 0),
        "weighting": checks.choice(weighting, "weighting", ("idf", "none")),
    }
    workers = checks.thread_count(threads)
    return ItemNeighbours(as_triples(triples, threads=workers), parameters, workers, progress)


class ItemNeighbours(BlockRecommender):
    """What `item_knn` makes.

    Attributes
    ----------
    neighbour_rows : numpy.ndarray
        (n_items, neighbours) int64: the rows of the most similar items, best first.
    similarities : numpy.ndarray
        (n_items, neighbours) float32; 0 where there are fewer.
    """

    def __init__(self, triples: Triples, parameters: dict[str, Any], threads: int, progress: bool | None) -> None:
        super().__init__(triples, parameters, threads)
        n = len(self.items)
        k = min(parameters["neighbours"], n)
        sizes = np.diff(self.liked.indptr)
        weights = np.log(n / np.maximum(sizes, 1)) ** 2 if parameters["weighting"] == "idf" else np.ones(len(sizes))
        lengths = np.sqrt(np.bincount(self.liked.rows, np.repeat(weights, sizes), minlength=n))
        self.neighbour_rows = np.empty((n, k), np.int64)
        self.similarities = np.empty((n, k), np.float32)
        with bar(n, "neighbours", show=progress, unit="item") as shown:
            for start, common in cooccurrences(self.liked, n, weights):
                part = slice(start, start + len(common))
                scale = np.outer(lengths[part], lengths) + parameters["shrinkage"]
                similar = np.divide(common, scale, out=np.zeros_like(common), where=scale > 0).astype(np.float32)
                np.fill_diagonal(similar[:, start:], 0)
                self.neighbour_rows[part], self.similarities[part] = best(similar, k)
                shown.update(len(common))

    def score_block(self, users: Rows) -> Float32:
        """Return the sums of similarities."""
        n, k = len(self.items), self.similarities.shape[1]
        own = self.liked.select(users)
        owners = np.repeat(np.arange(len(users)), np.diff(own.indptr))
        scores = np.zeros(len(users) * n)
        step = max(1, (1 << 24) // k)  # liked items at a time
        for start in range(0, len(owners), step):
            rows = own.rows[start : start + step]
            cells = owners[start : start + step, None] * n + self.neighbour_rows[rows]
            scores += np.bincount(cells.ravel(), self.similarities[rows].ravel(), minlength=len(scores))
        return scores.reshape(len(users), n).astype(np.float32)
