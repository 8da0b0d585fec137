"""Recommenders that score all items for some users at a time, and what they are made of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.triples import Triples
from ..progress import bar
from ..ranking import Float32, Found, Mask, Rows
from ..recommender import Recommender
from ..seen import Seen

BLOCK = 1 << 22  # numbers handled at a time

Int64 = npt.NDArray[np.int64]


class BlockRecommender(Recommender):
    """Scores all items for some users at a time; only the order of its scores means something.

    Parameters
    ----------
    triples : Triples
        The training data. A pair with a score above 0 is liked; every pair is seen.
    parameters : mapping
        What it was made with.
    threads : int
        For the preparation.

    Attributes
    ----------
    liked : Seen
        The liked items of each user.
    parameters : dict
        What it was made with.
    """

    predicts_scores = False

    def __init__(self, triples: Triples, parameters: Mapping[str, Any], threads: int) -> None:
        self.users, self.items = triples.user_ids, triples.item_ids
        self.seen = Seen.of(triples.users, triples.items, triples.n_users, threads)
        liked = triples.scores > 0
        self.liked = Seen.of(triples.users[liked], triples.items[liked], triples.n_users, threads)
        self.parameters = dict(parameters)

    @abstractmethod
    def score_block(self, users: Rows) -> Float32:
        """Return the scores (len(users), n_items) of all items for rows of users."""

    def rank_rows(
        self, users: Rows, k: int, excluded: Seen | None, allow: Mask | None, threads: int, progress: bool | None
    ) -> Found:
        """Find the k best item rows for each user row; for row -1 all scores are 0."""
        n = len(users)
        found = np.full((n, k), -1, np.int64), np.full((n, k), -np.inf, np.float32), np.zeros(n, np.int64)
        size = max(1, BLOCK // len(self.items))
        with bar(n, "rank", show=progress, unit="user") as shown:
            for start in range(0, n, size):
                part = slice(start, min(start + size, n))
                scores = self._scores(users[part])
                if excluded is not None:
                    out = excluded.select(users[part])
                    scores[np.repeat(np.arange(len(scores)), np.diff(out.indptr)), out.rows] = -np.inf
                if allow is not None:
                    scores[:, allow == 0] = -np.inf
                rows, values = best(scores, k)
                real = values > -np.inf
                width = rows.shape[1]
                found[0][part, :width] = np.where(real, rows, -1)
                found[1][part, :width], found[2][part] = values, real.sum(axis=1)
                shown.update(len(scores))
        return found

    def predict_rows(self, users: Rows, items: Rows, threads: int) -> Float32:
        """Return the scores of pairs of rows, 0 for row -1."""
        out = np.zeros(len(users), np.float32)
        known = np.flatnonzero((users >= 0) & (items >= 0))
        known = known[np.argsort(users[known], kind="stable")]
        rows, starts = np.unique(users[known], return_index=True)
        ends = np.append(starts, len(known))
        size = max(1, BLOCK // len(self.items))
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            places = known[ends[start] : ends[start + len(some)]]
            out[places] = self.score_block(some)[np.searchsorted(some, users[places]), items[places]]
        return out

    def _scores(self, users: Rows) -> Float32:
        known = users >= 0
        if known.all():
            return self.score_block(users)
        scores = np.zeros((len(users), len(self.items)), np.float32)
        if known.any():
            scores[known] = self.score_block(users[known])
        return scores


def best(scores: Float32, k: int) -> tuple[Int64, Float32]:
    """Return places and values of the k largest numbers of each row, all if there are fewer; equal ones by place."""
    n = scores.shape[1]
    k = min(k, n)
    bits = (scores + np.float32(0)).view(np.int32)  # without negative zeros
    ordered = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))  # as integers, in the order of the numbers
    keys = (ordered.astype(np.int64) << 32) + (n - 1 - np.arange(n))
    top = -np.sort(-np.partition(keys, n - k, axis=1)[:, n - k :], axis=1)
    places = n - 1 - (top & 0xFFFFFFFF)
    return places, np.take_along_axis(scores, places, axis=1)


def transposed(sets: Seen, n: int) -> Seen:
    """Return which sets, by row, hold each of the n rows."""
    owners, rows = sets.pairs()
    order = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(np.int64)
    return Seen(indptr, owners[order])


def expanded(starts: Int64, counts: Int64) -> Int64:
    """Return the places start .. start + count - 1 of all stretches, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts - starts, counts)


def cooccurrences(
    sets: Seen, n: int, weights: npt.NDArray[np.float64] | None = None
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Count, for each two of n rows, the sets that hold both, each with its weight.

    Yields
    ------
    start : int
        The first row of a block.
    counts : numpy.ndarray
        (rows of the block, n) float64.
    """
    holders = transposed(sets, n)
    sizes = np.diff(sets.indptr)
    work = np.concatenate([[0], np.cumsum(sizes[holders.rows])])[holders.indptr]  # before each row
    start = 0
    while start < n:
        most = np.searchsorted(work, work[start] + BLOCK, side="right") - 1
        stop = min(max(start + 1, most), start + max(1, BLOCK // n), n)
        owners = holders.rows[holders.indptr[start] : holders.indptr[stop]]
        lengths = sizes[owners]
        places = expanded(sets.indptr[owners], lengths)
        local = np.repeat(np.arange(stop - start), np.diff(holders.indptr[start : stop + 1]))
        cells = np.repeat(local * n, lengths) + sets.rows[places]
        weight = None if weights is None else np.repeat(weights[owners], lengths)
        counts = np.bincount(cells, weight, minlength=(stop - start) * n)
        yield start, counts.reshape(stop - start, n).astype(np.float64, copy=False)
        start = stop


def sums_of_rows(matrix: Float32, sets: Seen) -> Float32:
    """Return, for each set, the sum of the rows of a matrix that it holds."""
    out = np.zeros((len(sets.indptr) - 1, matrix.shape[1]), np.float32)
    size = max(1, BLOCK // matrix.shape[1])  # rows gathered at a time
    start = 0
    while start < len(out):
        stop = max(start + 1, int(np.searchsorted(sets.indptr, sets.indptr[start] + size, side="right")) - 1)
        indptr = sets.indptr[start : stop + 1] - sets.indptr[start]
        full = np.flatnonzero(np.diff(indptr))
        if len(full):
            rows = matrix[sets.rows[sets.indptr[start] : sets.indptr[stop]]]
            out[start + full] = np.add.reduceat(rows, indptr[full], axis=0)
        start = stop
    return out
