"""Looking around in a version: items by their title, and items as points on a map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import checks
from .newcomers import Newcomers
from .version import Version

TITLE = "title"


class Browsing(Newcomers):
    """The part of `Recaller` by which a person finds their way."""

    @property
    def attributes(self) -> list[str]:
        """The names of the attributes of items."""
        return self._version.item_attributes.names

    def find_items(self, text: str, k: int = 20, *, attribute: str = TITLE) -> npt.NDArray[np.object_]:
        """Return the ids of published items of which an attribute has a text somewhere, the most popular ones first.

        Parameters
        ----------
        text : str
            The text, in upper or lower case.
        k : int, default 20
            How many ids at most.
        attribute : str, default "title"
            The attribute; none is found where items have no such one.
        """
        k = checks.integer(k, "k", 1)

        def answer(version: Version) -> npt.NDArray[np.object_]:
            rows = version.popular_rows
            has = version.item_attributes.having(text, attribute, version.items)
            return version.items.take(rows[np.flatnonzero(has[rows])[:k]])

        return self._with_version(answer)

    def map_items(self, n: int = 1000) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float32]]:
        """Lay the most popular items out in the two directions in which their vectors differ most.

        Parameters
        ----------
        n : int, default 1000
            How many items at most.

        Returns
        -------
        ids : numpy.ndarray
            Of the items, the most popular one first.
        places : numpy.ndarray
            (len(ids), 2) float32, the first principal components.
        """
        n = checks.integer(n, "n", 1)

        def answer(version: Version) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float32]]:
            rows = version.popular_rows[:n]
            places = np.zeros((len(rows), 2), np.float32)
            if len(rows):
                vectors = version.index.rows[rows].astype(np.float64)
                vectors -= vectors.mean(axis=0)
                _, directions = np.linalg.eigh(vectors.T @ vectors)
                places[:] = vectors @ directions[:, :-3:-1]
            return version.items.take(rows), places

        return self._with_version(answer)
