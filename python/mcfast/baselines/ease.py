"""EASE (Steck: "Embarrassingly shallow autoencoders for sparse data", WWW 2019): a linear model in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..data.triples import Triples, as_triples
from ..ranking import Float32, Rows
from ..seen import Seen
from .blocks import BlockRecommender, cooccurrences, sums_of_rows, transposed
from .inversion import invert

MOST = 30_000


def ease(
    triples: Any,
    *,
    regularization: float = 300.0,
    most: int = MOST,
    threads: int | None = None,
    progress: bool | None = None,
) -> Ease:
    """Make the linear model that predicts each like of a user from the user's other likes.

    Of all matrices B (n_items, n_items) with a zero diagonal, the one that minimises ``|X - X B|^2 + regularization
    |B|^2``, X being the 0/1 matrix of likes. With P the inverse of ``X'X + regularization I``, ``B = -P / diag(P)`` by
    columns. Where there are fewer users than items, the same scores come from the inverse M of ``XX' + regularization
    I``, since ``X P = M X``.

    Parameters
    ----------
    triples : Triples, tuple of arrays, (n, 3) array, table or path
        The training data. A score above 0 is a like.
    regularization : float, default 300.0
        Above 0. The more data, the more: hundreds to thousands.
    most : int, default 30,000
        What is inverted has a row for each item, or for each user if they are fewer; more than this raises. With n
        rows it takes 4 n^2 bytes (3.6 GB at 30,000) in place and n^3 multiplications (about 3 minutes on 2 cores).
    threads : int, optional
        Of the preparation, by default all the process may use. The inversion is NumPy's matrix product, which has
        threads of its own, and may differ in the last bits with their number.
    progress : bool, optional
        Show a progress bar; by default on a terminal, after two seconds.

    Returns
    -------
    Ease
        Which `recommend` and `mcfast.evaluate` ask as they do a model.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range, there are too many items and users, or `triples` is not usable data.
    """
    strength = checks.real(regularization, "regularization", 0, above=True)
    most = checks.integer(most, "most", 1)
    workers = checks.thread_count(threads)
    data = as_triples(triples, threads=workers)
    n = min(data.n_users, data.n_items)
    if n > most:
        got = f"{data.n_users} users and {data.n_items} items"
        gigabytes = 4e-9 * n * n
        raise ValueError(
            checks.message("triples", got, f"at most {most} of one of them: EASE would take {gigabytes:.1f} GB")
        )
    return Ease(data, {"baseline": "ease", "regularization": strength}, workers, progress)


class Ease(BlockRecommender):
    """What `ease` makes."""

    def __init__(self, triples: Triples, parameters: dict[str, Any], threads: int, progress: bool | None) -> None:
        super().__init__(triples, parameters, threads)
        strength = parameters["regularization"]
        self._likers = transposed(self.liked, len(self.items))
        self._by_items = len(self.items) <= len(self.users)
        sets, n = (self.liked, len(self.items)) if self._by_items else (self._likers, len(self.users))
        matrix = np.empty((n, n), np.float32)
        for start, counts in cooccurrences(sets, n):
            matrix[start : start + len(counts)] = counts
        np.fill_diagonal(matrix, matrix.diagonal() + np.float32(strength))
        invert(matrix, progress)
        if self._by_items:
            matrix /= -matrix.diagonal()
            np.fill_diagonal(matrix, 0)
        else:
            self._scales = -strength / (1 - _quadratic_forms(matrix, self._likers))
        self._matrix = matrix

    def score_block(self, users: Rows) -> Float32:
        """Return ``X B`` for some users."""
        own = self.liked.select(users)
        if self._by_items:
            return sums_of_rows(self._matrix, own)
        columns = np.ascontiguousarray(self._matrix[users].T)  # the matrix is symmetric
        scores = sums_of_rows(columns, self._likers).T * self._scales.astype(np.float32)
        scores[np.repeat(np.arange(len(users)), np.diff(own.indptr)), own.rows] += 1
        return np.ascontiguousarray(scores)


def _quadratic_forms(matrix: Float32, sets: Seen) -> npt.NDArray[np.float64]:
    """Return the sum of the entries among the rows and columns of each set."""
    return np.array(
        [
            matrix[np.ix_(own, own)].sum(dtype=np.float64)
            for own in (sets.of_user(row) for row in range(len(sets.indptr) - 1))
        ]
    )
