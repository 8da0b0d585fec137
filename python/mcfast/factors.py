"""The factors of a model and what goes with them: vocabularies, biases, what was seen, how it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from . import _core, checks
from .data.ids import Ids
from .encoders import Encoder
from .scale import LINKS, Scale, bounds
from .seen import Seen

Float32 = npt.NDArray[np.float32]
F = TypeVar("F", bound="Factors")


class Factors:
    """What a `Model` holds; its questions are there."""

    def __init__(
        self,
        *,
        users: Ids,
        items: Ids,
        factors: int,
        user_rows: Float32,
        item_rows: Float32,
        user_biases: Float32,
        item_biases: Float32,
        mean: float = 0.0,
        scale: Scale | None = None,
        seen: Seen | None = None,
        parameters: Mapping[str, Any] | None = None,
        history: Sequence[Mapping[str, Any]] = (),
        metrics: Mapping[str, float] | None = None,
        predicts_scores: bool = True,
        user_encoder: Encoder | None = None,
        item_encoder: Encoder | None = None,
    ) -> None:
        self.users, self.items = users, items
        self.mean, self.scale = mean, scale or Scale()
        self.seen = Seen.empty(len(users)) if seen is None else seen
        self.parameters = dict(parameters or {})
        self.history = [dict(epoch) for epoch in history]
        self.metrics = dict(metrics or {})
        self.predicts_scores = predicts_scores
        self._factors = factors
        self.user_encoder, self.item_encoder = user_encoder, item_encoder
        self.user_rows, self.item_rows = _frozen(user_rows), _frozen(item_rows)
        self.user_biases, self.item_biases = _frozen(user_biases), _frozen(item_biases)

    @classmethod
    def from_factors(
        cls: type[F],
        user_factors: npt.ArrayLike,
        item_factors: npt.ArrayLike,
        *,
        users: Any = None,
        items: Any = None,
        user_biases: npt.ArrayLike | None = None,
        item_biases: npt.ArrayLike | None = None,
        mean: float = 0.0,
        link: str = "identity",
        clip: tuple[float, float] | None = None,
        seen: tuple[Any, Any] | None = None,
        predicts_scores: bool = True,
    ) -> F:
        """Make a model of vectors from elsewhere, a two-tower net say.

        Parameters
        ----------
        user_factors, item_factors : array_like
            (n_users, K) and (n_items, K) finite numbers, K in 1..1024; kept as float32.
        users, items : array_like, optional
            The ids of the rows, distinct; by default 0, 1, 2, ...
        user_biases, item_biases : array_like, optional
            (n_users,) and (n_items,); by default zeros.
        mean : float, default 0.0
            Added to every inner product.
        link : {"identity", "logit", "log"}, default "identity"
            Whether ``mean + b_u + b_i + <a_u, b_i>`` is the score, its log-odds or its logarithm.
        clip : (low, high), optional
            Bounds of the estimated scores.
        seen : (users, items), optional
            Pairs of ids to leave out of recommendations.
        predicts_scores : bool, default True
            Whether <a, b> estimates a score, so that RMSE means something.

        Returns
        -------
        Model

        Raises
        ------
        ValueError
            Shapes do not fit each other, or a number is not finite.
        UnknownIdError
            `seen` holds an id that is not among `users` and `items`.
        """
        a = checks.floats(user_factors, "user_factors", (None, None))
        checks.integer(a.shape[1], "the columns of user_factors", 1, 1024)
        b = checks.floats(item_factors, "item_factors", (None, a.shape[1]))
        user_ids, item_ids = _ids(users, len(a), "users"), _ids(items, len(b), "items")
        pairs = None
        if seen is not None:
            rows = user_ids.rows(seen[0], "seen"), item_ids.rows(seen[1], "seen")
            if len(rows[0]) != len(rows[1]):
                raise ValueError(checks.message("seen", f"{len(rows[0])} users and {len(rows[1])} items", "pairs"))
            pairs = Seen.of(*rows, len(a), checks.thread_count(None))
        biases = [
            np.zeros(n, np.float32) if value is None else checks.floats(value, name, (n,))
            for value, name, n in ((user_biases, "user_biases", len(a)), (item_biases, "item_biases", len(b)))
        ]
        return cls(
            users=user_ids,
            items=item_ids,
            factors=a.shape[1],
            user_rows=padded(a),
            item_rows=padded(b),
            user_biases=biases[0],
            item_biases=biases[1],
            mean=checks.real(mean, "mean"),
            scale=Scale(checks.choice(link, "link", LINKS), None if clip is None else bounds(clip)),
            seen=pairs,
            predicts_scores=checks.flag(predicts_scores, "predicts_scores"),
        )

    @property
    def factors(self) -> int:
        """The number of factors K."""
        return self._factors

    @property
    def n_users(self) -> int:
        """The number of users."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """The number of items."""
        return len(self.items)

    @property
    def user_factors(self) -> Float32:
        """The user factors, (n_users, K) float32, a view."""
        return self.user_rows[:, : self._factors]

    @property
    def item_factors(self) -> Float32:
        """The item factors, (n_items, K) float32, a view."""
        return self.item_rows[:, : self._factors]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the training; the model is then that of the last whole epoch."""
        return bool(self.parameters.get("interrupted", False))

    def __repr__(self) -> str:
        return (
            f"Model(users={self.n_users:,}, items={self.n_items:,}, factors={self._factors}, seen={len(self.seen):,})"
        )

    def _user_offsets(self) -> npt.NDArray[np.float64]:
        return self.mean + self.user_biases.astype(np.float64)


def padded(factors: Float32) -> Float32:
    """Return factors with zero columns up to a whole number of vectors."""
    width = -(-factors.shape[1] // _core.row_alignment) * _core.row_alignment
    out = np.zeros((len(factors), width), np.float32)
    out[:, : factors.shape[1]] = factors
    return out


def _frozen(array: Float32) -> Float32:
    view: Float32 = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _ids(values: Any, n: int, name: str) -> Ids:
    if values is None:
        return Ids(np.arange(n, dtype=np.int64))
    ids = Ids(values)
    if len(ids) != n:
        raise ValueError(checks.message(name, f"{len(ids)} ids", f"{n}, one for each row of factors"))
    return ids
