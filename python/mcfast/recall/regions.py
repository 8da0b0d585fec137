"""The index of regions: approximate search near a query, as far as a recall asks for, which it learns when built.

Items are cut into regions by k-means; for inner products, of one direction, and of about one score with the queries
that come from there. A search goes through them from the one whose best item is expected to score most, and ends where
an item would need more than `reach` standard deviations of its region's scores to enter the k best: late for queries
that lie between regions and where filters leave little, soon for others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .. import checks, files
from .._core import Regions, cut
from .approximate import Promise
from .changing import ChangingIndex
from .exact import ExactIndex
from .filters import EVERYTHING, Filter
from .items import PRECISIONS, Float32, Items
from .judge import Judge, Measured
from .protocol import Int64, Saved

LADDER = (*(round(1.07**step, 3) for step in range(42)), np.inf)  # reaches that are tried; the last takes all regions
HALVINGS = 2  # of the step between what suffices and what does not
KS = (1, 10, 100)  # where reach is learnt
HELD_OUT = 512  # queries that recall is measured on
ARRAYS = ("order", "regions", "directions")
LEAST_ITEMS = 24  # a centre on average, by default


class RegionsIndex(ChangingIndex):
    """Finds most of the k best items: the share that it was built for."""

    backend = "regions"
    approximate = True
    _core: Regions

    def __init__(self, items: Items, arrays: dict[str, Any], about: dict[str, Any], threads: int) -> None:
        super().__init__(items, threads)
        self._arrays = arrays
        self._about = about
        order, regions, directions = (arrays[name] for name in ARRAYS)
        self._reaches = _reaches(about["reach"])
        self._core = Regions(items.core_rows, items.offsets, items.core_metric, order, regions, directions, threads)

    @property
    def is_exact(self) -> bool:
        """Whether every answer is exact: the recall asked for took all regions."""
        return all(reach == np.inf for _, reach in self._reaches)

    @property
    def memory(self) -> int:
        """Bytes in memory: the vectors, their codes, and the regions; mapped arrays are counted whole."""
        arrays = sum(int(array.nbytes) for array in self._arrays.values())
        return super().memory + arrays

    @classmethod
    def _build(
        cls,
        items: Items,
        threads: int,
        *,
        centres: int | None = None,
        seed: int = 0,
        recall: float = 0.95,
        queries: Any = None,
        precision: str = "float32",
    ) -> RegionsIndex:
        items = items.rounded(checks.choice(precision, "precision", PRECISIONS))
        number = _default_centres(items.size) if centres is None else checks.integer(centres, "centres", 1, 1 << 20)
        seed = checks.integer(seed, "seed", 0, 2**63 - 1)
        promise = Promise.checked(items, recall, queries, seed, HELD_OUT)
        made = cut(items.floats, items.offsets, items.core_metric, promise.queries, number, seed, threads)
        arrays: dict[str, Any] = dict(zip(ARRAYS, made, strict=True))
        if queries is not None:
            arrays["queries"] = promise.queries  # to learn anew from, once many items have changed
        about: dict[str, Any] = {
            "parameters": {"centres": number, "seed": seed},
            "regions": len(arrays["regions"]),
            **promise.about,
            "reach": {},
        }
        if items.size:
            judge = Judge(ExactIndex(items, threads), promise.queries, KS, threads)
            about |= cls(items, arrays, about, threads)._learnt(judge, promise.recall)
        return cls(items, arrays, about, threads)

    def _learnt(self, judge: Judge, target: float) -> dict[str, Any]:
        """Return for each k the least reach that is sure of the recall asked for, and the curve that was measured."""
        curve: dict[float, Measured] = {}

        def suffices(k: int, reach: float) -> bool:
            def search(queries: Float32, k: int) -> tuple[Int64, Float32]:
                return self._near(queries, k, EVERYTHING, 1, reach)

            if reach not in curve:
                curve[reach] = judge.measure(search)
            return curve[reach].at_least[k] >= target

        found: dict[int, float] = {}
        for low, reach in pairwise((0.0, *LADDER)):
            for k in judge.ks:
                if k not in found and suffices(k, reach):
                    found[k] = _bisected(low, reach, partial(suffices, k))
            if len(found) == len(judge.ks):
                break
        return {
            "reach": {str(k): _shown(reach) for k, reach in found.items()},
            "recall": {str(k): curve[found[k]].recall[k] for k in judge.ks},
            "curve": [{"reach": _shown(reach), **curve[reach].plain} for reach in sorted(curve)],
        }

    def _reach(self, k: int) -> float:
        """Return how far to go for the k best: as for the next smaller k learnt, which has further to go."""
        return next(reach for least, reach in self._reaches if least <= k)

    @classmethod
    def _load(cls, items: Items, threads: int, directory: files.Directory) -> RegionsIndex:
        arrays = {name: directory.arrays[name] for name in (*ARRAYS, "queries") if name in directory.arrays}
        return cls(items, arrays, directory.fields["about"], threads)._changed(directory.arrays)

    def _rebuilt(self, items: Items) -> RegionsIndex:
        about = self._about["parameters"]
        chosen = about["centres"] if about["centres"] != _default_centres(self._items.size) else None
        queries = self._arrays.get("queries")
        return RegionsIndex._build(
            items,
            self._threads,
            centres=chosen,
            seed=about["seed"],
            recall=self._about["recall_target"],
            queries=None if queries is None else queries[:, : items.dimension],
            precision=items.rows.dtype.name,
        )

    def _become(self, other: RegionsIndex) -> None:
        super()._become(other)
        self._arrays, self._about, self._reaches = other._arrays, other._about, other._reaches

    def _save(self) -> Saved:
        changes = self._changes()
        return Saved({"about": self._about}, arrays={**self._arrays, **changes.arrays}, format=changes.format)

    def _describe(self) -> dict[str, Any]:
        return self._about

    def _search(self, queries: Float32, k: int, filters: Filter, threads: int) -> tuple[Int64, Float32]:
        return self._near(queries, k, filters, threads, self._reach(k))

    def _search_exactly(self, queries: Float32, k: int, filters: Filter, threads: int) -> tuple[Int64, Float32]:
        return self._near(queries, k, filters, threads, np.inf)

    def _near(self, queries: Float32, k: int, filters: Filter, threads: int, reach: float) -> tuple[Int64, Float32]:
        rows, scores, _ = self._core.search(queries, k, *filters.arrays, threads, reach)
        return rows, scores


def _reaches(learnt: dict[str, float | None]) -> list[tuple[int, float]]:
    """Return the least k that each reach is for, descending; without one, all regions are taken."""
    known = [(int(k), np.inf if reach is None else float(reach)) for k, reach in learnt.items()]
    return [*sorted(known, reverse=True), (0, np.inf)]


def _shown(reach: float) -> float | None:
    """Return a reach as JSON has it."""
    return None if reach == np.inf else reach


def _bisected(low: float, high: float, suffices: Callable[[float], bool]) -> float:
    """Return about the least reach that suffices, as `high` does and `low` does not; unless these are 0 or infinity."""
    if low == 0 or high == np.inf:
        return high
    for _ in range(HALVINGS):
        middle = round((low * high) ** 0.5, 3)
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def _default_centres(n_items: int) -> int:
    """Return about half the root of the number of items, a power of two."""
    root: float = max(n_items, 1) ** 0.5
    return min(1 << max(round(math.log2(root / 2)), 0), max(n_items // LEAST_ITEMS, 1))
