"""The inverse of a large matrix, in its own memory."""

from __future__ import annotations

import numpy as np

from ..progress import bar
from ..ranking import Float32

PANEL = 1024  # columns swept at a time


def invert(matrix: Float32, progress: bool | None = None) -> None:
    """Invert a symmetric positive definite matrix in place, by sweeps of panels over the lower triangle.

    A sweep of the rows and columns k turns D = A[k, k] into -1/D, A[i, k] into A[i, k] / D and A[i, j] into
    A[i, j] - A[i, k] A[k, j] / D; after all of them A is minus its inverse.
    """
    n = len(matrix)
    starts = range(0, n, PANEL)
    with bar(len(starts), "invert", show=progress, unit="panel") as shown:
        for first in starts:
            last = min(first + PANEL, n)
            panel = np.concatenate([matrix[first:last, :first].T, matrix[first:, first:last]])
            pivot = np.linalg.inv(panel[first:last].astype(np.float64)).astype(np.float32)
            scaled = panel @ pivot
            for start in starts:
                if start != first:
                    stop = min(start + PANEL, n)
                    matrix[start:stop, :stop] -= scaled[start:stop] @ panel[:stop].T
            matrix[last:, first:last] = scaled[last:]
            matrix[first:last, :first] = scaled[:first].T
            matrix[first:last, first:last] = -pivot
            shown.update(1)
    for start in starts:  # the upper triangle is the lower one's
        stop = min(start + PANEL, n)
        rows = matrix[start:stop]
        np.negative(rows[:, :stop], out=rows[:, :stop])
        matrix[:start, start:stop] = rows[:, :start].T
        lower = np.tril(rows[:, start:stop])
        rows[:, start:stop] = lower + np.tril(lower, -1).T
