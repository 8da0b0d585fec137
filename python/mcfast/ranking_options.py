"""What `mcfast.fit` is asked for under a ranking loss, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, checks
from .data.histories import LONGEST
from .encoders import padded

SOURCES = ("uniform", "popularity", "in-batch", "hard", "all")
# Of losses with a sum of exponentials, under cosine: cosines alone would be too close together. The others must not be
# satisfied by a small difference, and keep to 1.
COSINE_TEMPERATURE = {"softmax": 0.1, "bsl": 0.1}
NEGATIVE_WEIGHT = {"ccl": 150.0}
MARGIN = {"pairwise-hinge": 0.5, "ccl": 0.8}
ID_DROPOUT = 0.1
USES_MARGIN = ("pairwise-hinge", "ccl")
USES_WEIGHT = ("bsl", "logistic", "ccl")
USES_LOGQ = ("softmax", "bsl")

WHY_NOT_EXPOSED = (
    "what was shown and not taken was picked because it suits the user: told apart from what was taken, it teaches to "
    "rank what is shown, not to find it among everything"
)

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Ranking:
    """Arguments of `mcfast.fit` that belong to ranking losses, with what None stood for."""

    similarity: str
    positive: float | None
    temperature: float
    learn_temperature: bool
    logq: float | str
    negatives: dict[str, float]
    n_negatives: int
    popularity_exponent: float
    negative_weight: float
    margin: float
    mask_known: bool
    hard_pool: int
    exposed: str | None
    subsampling: float
    dropout: float
    optimizer: str
    batch_size: int
    history: int  # the most items of one; 0: none
    id_dropout: float
    hidden: int  # units of a hidden layer, a multiple of what rows are aligned to; 0: none

    def sources(self) -> list[tuple[str, int]]:
        """Share out the negatives of a tile, to the one: the sums of the shares are rounded."""
        ends = np.rint(np.cumsum(list(self.negatives.values())) * self.n_negatives).astype(int)
        counts = np.diff(ends, prepend=0)
        return [(name, int(n)) for name, n in zip(self.negatives, counts, strict=True) if n > 0]


def is_ranking(loss: str, negatives: Any) -> bool:
    """Say whether a loss sets positives against sampled negatives; "logistic" does if negatives are asked for."""
    return loss in _core.ranking_losses and (loss not in _core.losses or negatives is not None)


def refuse(given: Mapping[str, Any], defaults: Mapping[str, Any], whose: str) -> None:
    """Raise if an argument that a loss does not know is not at its default."""
    for name, value in given.items():
        usual = defaults[name]
        if value is not usual and not (isinstance(value, str | int | float) and value == usual):
            raise ValueError(checks.message(name, type(value).__name__, f"nothing with {whose}"))


def ranking_options(
    loss: str,
    *,
    hard_given: bool,
    described: bool,
    similarity: str,
    positive: float | None,
    temperature: float | str | None,
    logq: float | str,
    negatives: str | Mapping[str, float] | None,
    n_negatives: int,
    popularity_exponent: float,
    negative_weight: float | None,
    margin: float | None,
    mask_known: bool,
    hard_pool: int,
    exposed: str | None,
    subsampling: float,
    dropout: float,
    optimizer: str,
    batch_size: int,
    history: bool | int,
    id_dropout: float | None,
    hidden: int,
) -> Ranking:
    """Check the arguments; see `mcfast.fit`."""
    checks.choice(similarity, "similarity", ("ip", "cosine"))
    learn = temperature == "learnt"
    usual = COSINE_TEMPERATURE.get(loss, 1.0) if similarity == "cosine" else 1.0
    if isinstance(temperature, str) and not learn:
        raise ValueError(checks.message("temperature", repr(temperature), 'a number > 0 or "learnt"'))
    shares = _shares(negatives)
    corrected = logq == "corrected"
    if isinstance(logq, str) and not corrected:
        raise ValueError(checks.message("logq", repr(logq), 'a number in 0..1 or "corrected"'))
    if loss not in USES_LOGQ and logq != 0:
        raise ValueError(checks.message("logq", repr(logq), f"0 with loss={loss!r}: it corrects a softmax"))
    if corrected and "hard" in shares:
        raise ValueError(checks.message("logq", "'corrected' with hard negatives", "a number: hard ones are not drawn"))
    if margin is not None and loss not in USES_MARGIN:
        raise ValueError(checks.message("margin", margin, f"none with loss={loss!r}"))
    if negative_weight is not None and loss not in USES_WEIGHT:
        raise ValueError(checks.message("negative_weight", negative_weight, f"none with loss={loss!r}"))
    if exposed is not None:
        checks.choice(exposed, "exposed", ("ignore", "hard"))
    for name, wanted in (("exposed", exposed == "hard"), ("hard_negatives", hard_given)):
        if wanted and "hard" not in shares:
            raise ValueError(checks.message(name, "hard negatives", "negatives to have a share of 'hard'"))
    if exposed == "hard" and hard_given:
        raise ValueError(checks.message("exposed", "'hard'", "no hard_negatives beside it"))
    if isinstance(history, bool | np.bool_):
        longest = LONGEST if history else 0
    else:
        longest = checks.integer(history, "history", 1, 1 << 20)
    composed = described or longest > 0
    if id_dropout is not None and not composed:
        raise ValueError(checks.message("id_dropout", id_dropout, "none without attributes or history"))
    units = padded(checks.integer(hidden, "hidden", 0, 4096))
    if units and not composed:
        raise ValueError(checks.message("hidden", hidden, "0 without attributes or history"))
    return Ranking(
        similarity=similarity,
        positive=None if positive is None else checks.real(positive, "positive"),
        temperature=usual
        if temperature is None or isinstance(temperature, str)
        else checks.real(temperature, "temperature", 0, above=True),
        learn_temperature=learn,
        logq=logq if isinstance(logq, str) else checks.real(logq, "logq", 0, 1),
        negatives=shares,
        n_negatives=checks.integer(n_negatives, "n_negatives", 1, 1 << 20),
        popularity_exponent=checks.real(popularity_exponent, "popularity_exponent"),
        negative_weight=NEGATIVE_WEIGHT.get(loss, 1.0)
        if negative_weight is None
        else checks.real(negative_weight, "negative_weight", 0, above=True),
        margin=MARGIN.get(loss, 0.0) if margin is None else checks.real(margin, "margin"),
        mask_known=checks.flag(mask_known, "mask_known"),
        hard_pool=checks.integer(hard_pool, "hard_pool", 1, 1 << 24),
        exposed=exposed,
        subsampling=checks.real(subsampling, "subsampling", 0, 1),
        dropout=checks.real(dropout, "dropout", 0, 0.99),
        optimizer=checks.choice(optimizer, "optimizer", ("adagrad", "adam")),
        batch_size=checks.integer(batch_size, "batch_size", 1, 1 << 20),
        history=longest,
        id_dropout=(ID_DROPOUT if composed else 0.0)
        if id_dropout is None
        else checks.real(id_dropout, "id_dropout", 0, 1),
        hidden=units,
    )


def _shares(negatives: str | Mapping[str, float] | None) -> dict[str, float]:
    """Return the share of each source of negatives; they sum to 1."""
    given = {"uniform": 1.0} if negatives is None else {negatives: 1.0} if isinstance(negatives, str) else negatives
    if not isinstance(given, Mapping) or not given:
        raise TypeError(checks.message("negatives", negatives, "a source, or a mapping of sources to shares"))
    shares = {
        checks.choice(name, "negatives", SOURCES): checks.real(share, f"negatives[{name!r}]", 0, above=True)
        for name, share in given.items()
    }
    if "all" in shares and len(shares) > 1:
        raise ValueError(checks.message("negatives", "'all' and others", "'all' alone: nothing is left to draw"))
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}
