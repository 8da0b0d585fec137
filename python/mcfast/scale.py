"""From what mean, biases and inner product add up to, to the scale of the data: a link function and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks

LINKS = ("identity", "logit", "log")
LINK_OF = {"ratings": "identity", "labels": "logit", "counts": "log", "signs": "identity"}  # by what a loss is of

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """How sums become scores. Neither part changes an order, but for the ties that it makes.

    Attributes
    ----------
    link : {"identity", "logit", "log"}, default "identity"
        What a sum is of the expected score: itself, its log-odds or its logarithm.
    clip : (float, float), optional
        The bounds of scores.
    """

    link: str = "identity"
    clip: tuple[float, float] | None = None

    def scores(self, sums: npt.NDArray[np.floating[Any]]) -> Float32:
        """Return the scores; minus infinity, which stands where there is no item, stays."""
        if self.link == "identity" and self.clip is None:
            return sums.astype(np.float32, copy=False)
        values = np.asarray(sums, np.float64)
        with np.errstate(over="ignore"):
            if self.link == "logit":
                values = 1 / (1 + np.exp(-values))
            elif self.link == "log":
                values = np.exp(values)
            if self.clip is not None:
                values = np.clip(values, *self.clip)
            return np.where(np.isneginf(sums), sums, values).astype(np.float32)

    def sums(self, scores: Float64) -> Float64:
        """Return about what sums single scores speak for.

        Labels 0 and 1 have no finite log-odds, and a count of 0 no logarithm: half a case is added to each, as in the
        empirical logit. What lies outside of 0..1, or below 0, counts as what is nearest there.
        """
        if self.link == "identity":
            return scores
        if self.link == "log":
            return np.log(np.maximum(scores, 0) + 0.5)
        labels = np.clip(scores, 0, 1)
        return np.log((labels + 0.5) / (1.5 - labels))

    @classmethod
    def stored(cls, fields: Mapping[str, Any]) -> Scale:
        """Return the scale that the fields of a manifest tell of; in old ones there are none."""
        clip = fields.get("clip")
        return cls(str(fields.get("link", "identity")), None if clip is None else bounds(clip))

    def fields(self) -> dict[str, Any]:
        """Return the fields of a manifest."""
        return {"link": self.link, "clip": None if self.clip is None else list(self.clip)}


def bounds(clip: Any) -> tuple[float, float]:
    """Return bounds, or raise unless they are two numbers, the lower one first."""
    if not isinstance(clip, list | tuple) or len(clip) != 2:
        raise TypeError(checks.message("clip", clip, "True, False or (low, high)"))
    low = checks.real(clip[0], "clip[0]")
    return low, checks.real(clip[1], "clip[1]", low)
