"""Exact searches over the factors of a model, in batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from .bits import packed
from .data.ids import Ids
from .progress import bar
from .seen import Seen

BATCH = 4096  # queries searched at a time: bounds memory, and Ctrl-C is heard between batches

Float32 = npt.NDArray[np.float32]
Found = tuple[npt.NDArray[np.int64], Float32, npt.NDArray[np.int64]]
Mask = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int32]


class Recommendations(NamedTuple):
    """The best items of some users, or the most similar items of some items.

    Attributes
    ----------
    ids : numpy.ndarray
        (n, k) ids, best first; where fewer than k are left, None (or -1 for integer ids).
    scores : numpy.ndarray
        (n, k) float32, equal to `Model.predict` within 1e-5; -inf where fewer than k are left.
    counts : numpy.ndarray
        (n,) int64, how many of each row are real.

    Notes
    -----
    Asked with one id instead of a list, the leading dimension is missing.
    """

    ids: npt.NDArray[Any]
    scores: Float32
    counts: npt.NDArray[np.int64]


class Ranker:
    """Items in rows that can be searched for those of the largest inner product with a query, plus an offset.

    Parameters
    ----------
    rows : numpy.ndarray
        (n, width) float32, padded.
    offsets : numpy.ndarray or None
        (n,) float32.
    threads : int
        For the preparation.
    """

    def __init__(self, rows: Float32, offsets: Float32 | None, threads: int) -> None:
        self._index = _core.Exact(rows, offsets, threads)

    def search(
        self,
        vectors: Float32,
        chosen: Rows,
        k: int,
        excluded: Seen | None,
        allow: Mask | None,
        threads: int,
        progress: bool | None,
    ) -> Found:
        """Find the k best rows for each chosen row of `vectors`; row -1 stands for a zero vector.

        `excluded` holds rows to leave out for each row of `vectors`, `allow` is 0 for rows to leave out for all.
        """
        rows = np.empty((len(chosen), k), np.int64)
        scores = np.empty((len(chosen), k), np.float32)
        counts = np.empty(len(chosen), np.int64)
        words = None if allow is None else packed(allow)
        with bar(len(chosen), "rank", show=progress, unit="query") as shown:
            for start in range(0, len(chosen), BATCH):
                part = slice(start, start + BATCH)
                batch = chosen[part]
                queries = vectors[np.maximum(batch, 0)]
                queries[batch < 0] = 0
                out = Seen.empty(len(batch)) if excluded is None else excluded.select(batch)
                rows[part], scores[part], counts[part] = self._index.search(
                    queries, k, out.indptr, out.rows, words, threads
                )
                shown.update(len(batch))
        return rows, scores, counts


class Neighbours:
    """Rows that can be searched for those nearest to one of them.

    Parameters
    ----------
    rows : numpy.ndarray
        (n, width) float32, padded.
    metric : {"cosine", "ip"}
        What is near.
    threads : int
        For the preparation.
    """

    def __init__(self, rows: Float32, metric: str, threads: int) -> None:
        self._rows = _core.unit_rows(rows, threads) if metric == "cosine" else rows
        self._ranker = Ranker(self._rows, None, threads)

    def search(self, chosen: Rows, k: int, threads: int) -> Found:
        """Find the k rows nearest to each chosen one, itself left out."""
        n = len(self._rows)
        itself = Seen(np.arange(n + 1, dtype=np.int64), np.arange(n, dtype=np.int32))
        return self._ranker.search(self._rows, chosen, k, itself, None, threads, None)


def answer(asked: Any, ids: Ids, found: Found) -> Recommendations:
    """Return what was found under its ids, without the leading dimension where one id was asked for."""
    rows, scores, counts = found
    if isinstance(asked, str | int | np.integer):
        return Recommendations(ids.take(rows[0]), scores[0], counts[0])
    return Recommendations(ids.take(rows), scores, counts)
