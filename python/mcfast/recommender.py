"""What recommends: the questions that a model and a baseline answer alike, and that `mcfast.evaluate` asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks
from .data.ids import Ids
from .ranking import Float32, Found, Mask, Recommendations, Rows, answer
from .seen import Seen


class Recommender(ABC):
    """Ranks the items that it knows for the users that it knows.

    Attributes
    ----------
    users, items : Ids
        The vocabularies: ids in row order.
    seen : Seen
        The pairs that recommendations leave out.
    predicts_scores : bool
        Whether its scores estimate those of the data; False where only their order means something.
    """

    users: Ids
    items: Ids
    seen: Seen
    predicts_scores: bool

    @abstractmethod
    def rank_rows(
        self,
        users: Rows,
        k: int,
        excluded: Seen | None,
        allow: Mask | None,
        threads: int,
        progress: bool | None,
    ) -> Found:
        """Find the k best item rows for each user row, -1 standing for an unknown user.

        `excluded` holds item rows to leave out for each row of `users` (the vocabulary), `allow` is 0 for item rows to
        leave out for all. Equal scores are ordered by item row; short lists are padded with -1.
        """

    @abstractmethod
    def predict_rows(self, users: Rows, items: Rows, threads: int) -> Float32:
        """Return the scores of pairs of rows; row -1 takes part as the mean."""

    def recommend(
        self,
        users: Any,
        k: int = 20,
        *,
        exclude_seen: bool = True,
        allow: Any = None,
        exclude: Any = None,
        unknown: str = "raise",
        threads: int | None = None,
        progress: bool | None = None,
    ) -> Recommendations:
        """Find the k items with the largest estimated scores for each user, exactly.

        Parameters
        ----------
        users : array_like or a single id
            The ids of n users.
        k : int, default 20
            How many items; more than there are gives a short answer, padded.
        exclude_seen : bool, default True
            Leave out what the user has seen.
        allow : array_like, optional
            Ids of the only items that may be recommended. Ids that are not known are passed over.
        exclude : array_like, optional
            Ids of items that may not be recommended. Ids that are not known are passed over.
        unknown : {"raise", "mean"}, default "raise"
            What an unknown user does: raise, or get what the mean user gets: the items with the largest biases.
        threads : int, optional
            By default all the process may use.
        progress : bool, optional
            Show a progress bar; by default on a terminal, after two seconds.

        Returns
        -------
        Recommendations
            Equal scores are ordered by item row.

        Raises
        ------
        UnknownIdError
            A user is unknown, under ``unknown="raise"``.
        ValueError
            `k` is not positive, or no id of `allow` is known.
        """
        rows = self.rank_rows(
            self._rows(self.users, users, "users", unknown),
            checks.integer(k, "k", 1),
            self.seen if checks.flag(exclude_seen, "exclude_seen") else None,
            allowed(self.items, allow, exclude),
            checks.thread_count(threads),
            progress,
        )
        return answer(users, self.items, rows)

    def _rows(self, ids: Ids, values: Any, name: str, unknown: str) -> Rows:
        checks.choice(unknown, "unknown", ("raise", "mean"))
        return ids.rows(values, name, "raise" if unknown == "raise" else "skip")


def allowed(items: Ids, allow: Any, exclude: Any, name: str = "allow") -> npt.NDArray[np.uint8] | None:
    """Return which item rows may be ranked, None for all, out of ids; those that are not known are passed over."""
    if allow is None and exclude is None:
        return None
    mask = np.full(len(items), allow is None, np.uint8)
    if allow is not None:
        rows = items.rows(allow, name, "skip")
        if len(rows) and (rows < 0).all():
            raise ValueError(checks.message(name, f"{len(rows)} ids, none of them known", "ids of items"))
        mask[rows[rows >= 0]] = 1
    if exclude is not None:
        rows = items.rows(exclude, "exclude", "skip")
        mask[rows[rows >= 0]] = 0
    return mask
