"""The items of an index as the core wants them, and queries brought to the same form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core, checks

METRICS = ("ip", "cosine", "l2")
PRECISIONS = ("float32", "float16")

Float32 = checks.Float32
MOST_ITEMS = 2**31 - 1


@dataclass(frozen=True)
class Items:
    """Checked item vectors, the metric they are searched by, and what does not depend on how they are searched."""

    rows: npt.NDArray[Any]  # (n, width) float32 or float16: padded with zeros to the core's width, unit rows for cosine
    offsets: Float32 | None  # (n,): added to the inner product
    metric: str
    dimension: int

    @classmethod
    def checked(cls, vectors: Any, metric: str, offsets: Any, threads: int) -> Items:
        """Copy and check what a user gave `build`; see there."""
        metric = checks.choice(metric, "metric", METRICS)
        vectors = checks.floats(vectors, "vectors", (None, None))
        n, dimension = vectors.shape
        if dimension == 0 or n > MOST_ITEMS:
            raise ValueError(checks.message("vectors", f"shape {vectors.shape}", f"1..{MOST_ITEMS} rows and a column"))
        if offsets is not None and metric != "ip":
            raise ValueError(checks.message("offsets", f"an array with metric={metric!r}", "None, or metric='ip'"))
        offsets = checks.floats(offsets, "offsets", (n,), optional=True)
        offsets = None if offsets is None else offsets.copy()
        return cls(_prepared(vectors, metric, threads), offsets, metric, dimension)

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.rows)

    @property
    def floats(self) -> Float32:
        """The rows as float32."""
        return self.rows.astype(np.float32, copy=False)

    @property
    def core_rows(self) -> npt.NDArray[Any]:
        """The rows as the core takes them: of float16 the bits."""
        return self.rows if self.rows.dtype == np.float32 else self.rows.view(np.uint16)

    def rounded(self, dtype: Any) -> Items:
        """Return the items with vectors rounded to a type, which is what they are from then on."""
        if self.rows.dtype == dtype:
            return self
        with np.errstate(over="ignore"):
            rows = self.rows.astype(dtype)
        if not np.isfinite(rows).all():
            largest = f"{np.finfo(dtype).max:,.0f}"
            got = f"a number of size {np.abs(self.rows).max():g}"
            raise ValueError(checks.message("vectors", got, f"numbers of size {largest} at most, in float16"))
        return replace(self, rows=rows)

    @property
    def core_metric(self) -> str:
        """What the core calls the metric: cosine is the inner product of unit rows."""
        return "l2" if self.metric == "l2" else "ip"

    @property
    def memory(self) -> int:
        """Bytes of the arrays."""
        return self.rows.nbytes + (0 if self.offsets is None else self.offsets.nbytes)

    def queries(self, queries: Any) -> Float32:
        """Check queries, one vector or rows of them, and return rows in the form of the items' own."""
        queries = np.asarray(queries)
        expected = (self.dimension,) if queries.ndim == 1 else (None, self.dimension)
        return self.prepared(checks.floats(queries, "queries", expected).reshape(-1, self.dimension))

    def prepared(self, queries: Float32) -> Float32:
        """Return rows of queries in the form of the items' own; themselves where they are in it."""
        if self.metric != "cosine" and self.dimension == self.rows.shape[1]:
            return np.ascontiguousarray(queries, np.float32)
        return _prepared(queries, self.metric, threads=1)


def _prepared(vectors: Float32, metric: str, threads: int) -> Float32:
    """Return a copy with padded rows, and for cosine of length 1; a row of zeros stays."""
    n, dimension = vectors.shape
    rows = np.zeros((n, -(-dimension // _core.row_alignment) * _core.row_alignment), np.float32)
    rows[:, :dimension] = vectors
    return _core.unit_rows(rows, threads) if metric == "cosine" else rows
