"""The forms in which other libraries get the items: as they are, or reduced to smallest distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .items import Float32, Items


@dataclass(frozen=True)
class Form:
    """Items, queries and a space for a library that knows neither offsets nor our padding.

    "raw" is the metric's own space; an offset becomes a column, which queries meet with a 1. "reduced" turns the
    largest inner product into the smallest distance, by a column that brings all items to one length (Bachrach et al.
    2014; Neyshabur and Srebro 2015).
    """

    items: Items
    name: str  # "raw" or "reduced"

    @property
    def space(self) -> str:
        """How the library must compare: "ip" or "l2"; cosine is the inner product of unit rows."""
        return "l2" if self.name == "reduced" else self.items.core_metric

    @property
    def columns(self) -> int:
        """Length of a vector in this form."""
        return self.items.dimension + (self.items.offsets is not None) + (self.name == "reduced")

    def vectors(self) -> Float32:
        """Return the items in this form."""
        items = self.items
        vectors = np.zeros((items.size, self.columns), np.float32)
        vectors[:, : items.dimension] = items.rows[:, : items.dimension]
        if items.offsets is not None:
            vectors[:, items.dimension] = items.offsets
        if self.name == "reduced" and items.size:
            squares = np.einsum("nk,nk->n", vectors, vectors, dtype=np.float64)
            vectors[:, -1] = np.sqrt(squares.max() - squares)
        return vectors

    def queries(self, queries: Float32) -> Float32:
        """Return prepared queries in this form."""
        vectors = np.zeros((len(queries), self.columns), np.float32)
        vectors[:, : self.items.dimension] = queries[:, : self.items.dimension]
        if self.items.offsets is not None:
            vectors[:, self.items.dimension] = 1
        return vectors
