"""The trained model: two factor matrices, biases, vocabularies and what was seen, and the questions it answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _core, checks
from .data.ids import Ids
from .encoding import encode_items, encode_users
from .factors import Factors, Float32
from .folding import Folded, fold_user
from .folding_steps import Negatives
from .ranking import Found, Mask, Neighbours, Ranker, Recommendations, answer
from .recommender import Recommender
from .seen import Seen

if TYPE_CHECKING:
    import pyarrow as pa

Rows = npt.NDArray[np.int32]


class Model(Factors, Recommender):
    """A factor model: the score of user u and item i is estimated by ``mean + b_u + b_i + <a_u, b_i>``.

    That sum is the score itself, its log-odds or its logarithm: `scale` says which, and between which bounds scores
    lie. Items are ranked by the sum.

    Made by `mcfast.fit`, `Model.from_factors` or `mcfast.load`. It does not change; its arrays are read-only.

    Attributes
    ----------
    users, items : Ids
        The vocabularies: ids in row order.
    mean : float
        What every sum starts from; 0 without biases.
    scale : Scale
        From sums to scores: ``link``, one of "identity", "logit" and "log", and ``clip``, the bounds or None.
    user_biases, item_biases : numpy.ndarray
        (n_users,) and (n_items,) float32; zeros without biases.
    user_rows, item_rows : numpy.ndarray
        (n_users, width) and (n_items, width) float32: the factors, padded with zeros to whole vectors as the core takes
        them.
    seen : Seen
        The pairs that recommendations leave out.
    parameters : dict
        The arguments the model was trained with, defaults included.
    history : list of dict
        One record an epoch: number, loss, validation, seconds, learning_rate.
    metrics : dict
        Measures that were stored with the model.
    predicts_scores : bool
        Whether `predict` estimates scores; False where only the order means something.
    user_encoder, item_encoder : Encoder or None
        What vectors are made of, in a model with attributes or histories.
    """

    def predict(self, users: Any, items: Any, *, unknown: str = "raise", threads: int | None = None) -> Float32:
        """Estimate the scores of pairs, on the scale of the data.

        A model of logistic loss estimates probabilities, one of poisson loss means of counts. One of hinge loss tells
        two labels apart by the sign. Under the other losses it estimates the scores. `fit` may have set bounds.

        Parameters
        ----------
        users, items : array_like
            The ids of n pairs; a single id stands for n equal ones.
        unknown : {"raise", "mean"}, default "raise"
            What an unknown id does: raise, or take part as the mean user or item, whose bias and factors are 0.
        threads : int, optional
            By default all the process may use.

        Returns
        -------
        numpy.ndarray
            (n,) float32.

        Raises
        ------
        UnknownIdError
            An id is unknown, under ``unknown="raise"``.
        ValueError
            The numbers of users and items differ.
        """
        user_rows, item_rows = (
            self._rows(self.users, users, "users", unknown),
            self._rows(self.items, items, "items", unknown),
        )
        if len(user_rows) != len(item_rows):
            if 1 not in (len(user_rows), len(item_rows)):
                got = f"{len(user_rows)} users and {len(item_rows)} items"
                raise ValueError(checks.message("users, items", got, "equally many, or one of one side"))
            user_rows, item_rows = (np.ascontiguousarray(x) for x in np.broadcast_arrays(user_rows, item_rows))
        return self.predict_rows(user_rows, item_rows, checks.thread_count(threads))

    def predict_rows(self, users: Rows, items: Rows, threads: int) -> Float32:
        """Estimate the scores of pairs of rows; row -1 takes part as the mean."""
        return self.scale.scores(self._sums(users, items, threads))

    def _sums(self, users: Rows, items: Rows, threads: int) -> Float32:
        known = (users >= 0) & (items >= 0)
        everything = bool(known.all())
        sums = _core.predict_pairs(
            self.user_rows,
            self.item_rows,
            self._user_offsets(),
            self.item_biases,
            users if everything else users[known],
            items if everything else items[known],
            threads,
        )
        if everything:
            return sums
        out = _or_else(self._user_offsets(), users, self.mean) + _or_else(self.item_biases, items, 0)
        out[known] = sums
        return out.astype(np.float32)

    def predict_block(self, users: Any, items: Any, *, threads: int | None = None) -> Float32:
        """Estimate every score of some users with some items: a piece of the completed matrix.

        Parameters
        ----------
        users, items : array_like
            n and m ids.
        threads : int, optional
            By default all the process may use.

        Returns
        -------
        numpy.ndarray
            (n, m) float32.

        Raises
        ------
        UnknownIdError
            An id is unknown.
        """
        user_rows, item_rows = self.users.rows(users, "users"), self.items.rows(items, "items")
        sums = _core.predict_block(
            self.user_rows[user_rows],
            self.item_rows[item_rows],
            self._user_offsets()[user_rows],
            self.item_biases[item_rows],
            checks.thread_count(threads),
        )
        return self.scale.scores(sums)

    def rank_rows(
        self, users: Rows, k: int, excluded: Seen | None, allow: Mask | None, threads: int, progress: bool | None
    ) -> Found:
        """Find the k best item rows for each user row; row -1 takes part as the mean user."""
        rows, scores, counts = self.ranker.search(self.user_rows, users, k, excluded, allow, threads, progress)
        offsets = _or_else(self._user_offsets(), users, self.mean)
        return rows, self.scale.scores(scores + offsets[:, None]), counts

    @cached_property
    def ranker(self) -> Ranker:
        """The items, prepared for search by sums, without what is the same for all items of a user."""
        return Ranker(self.item_rows, self.item_biases, checks.thread_count(None))

    def similar_items(
        self, items: Any, k: int = 10, *, metric: str = "cosine", threads: int | None = None
    ) -> Recommendations:
        """Find the k items whose factors are nearest to those of each item, itself left out.

        Parameters
        ----------
        items : array_like or a single id
            The ids of n items.
        k : int, default 10
            How many.
        metric : {"cosine", "ip"}, default "cosine"
            Cosine or inner product of the factors; biases are ignored. The cosine of a zero vector is 0.
        threads : int, optional
            By default all the process may use.

        Returns
        -------
        Recommendations

        Raises
        ------
        UnknownIdError
            An id is unknown.
        ValueError
            `k` is not positive, or the metric is another.
        """
        return self._similar(self.items, self.item_rows, items, "items", k, metric, threads)

    def similar_users(
        self, users: Any, k: int = 10, *, metric: str = "cosine", threads: int | None = None
    ) -> Recommendations:
        """Find the k users whose factors are nearest to those of each user; as `similar_items`."""
        return self._similar(self.users, self.user_rows, users, "users", k, metric, threads)

    def fold_in(self, items: Any, scores: npt.ArrayLike | None = None) -> Folded:
        """Find the vector of a user whom the model does not know, out of a few scores.

        Of all vectors p and biases b, the ones that minimise the sum over the n scores y of
        ``(y - mean - b_i - b - <p, q_i>)^2 + regularization (|p|^2 + b^2)``: ridge regression, in closed form,
        with the items as they are. The bias stays 0 in a model without biases. Where sums are logarithms or log-odds,
        y is that of the score with half a case added: ``log(y + 1/2)``, or ``log((y + 1/2) / (3/2 - y))``.

        Under a ranking loss the items are those the user took, as positives in training: the vector is that of their
        history, where the model was fitted with ``history``; else what a few steps along the gradient of the loss make
        of the mean of the items, against the items that negatives come from. The same items give the same vector.

        Parameters
        ----------
        items : array_like or a single id
            The ids of n items, n at least 1.
        scores : array_like, optional
            (n,) finite numbers. By default each item is liked: one point above what the average user gives it. Under a
            ranking loss they only tell which items are positives.

        Returns
        -------
        Folded
            ``(vector, bias)``, as `Recaller.put_user` takes them.

        Raises
        ------
        UnknownIdError
            An item is unknown.
        ValueError
            There are no items, or not as many scores as items, or one is not finite; or, under a ranking loss, none is
            positive.
        """
        rows = self.items.rows(items, "items")
        if not len(rows):
            raise ValueError(checks.message("items", "none", "at least one item"))
        worth = None if scores is None else checks.floats(scores, "scores", (len(rows),)).astype(np.float64)
        folded = fold_user(self, rows, worth)
        if folded is None:
            raise ValueError(checks.message("scores", "no positive", "one at least, to learn from"))
        return folded

    def encode_items(self, table: Any, *, threads: int | None = None) -> Float32:
        """Make vectors of items, new ones too, out of their attributes.

        Parameters
        ----------
        table : path or table
            As `item_features` of `mcfast.fit`, with the same columns. Items that the model was trained on take part
            with what it knows of them. Values that it has not met are passed over.
        threads : int, optional
            By default all the process may use.

        Returns
        -------
        numpy.ndarray
            (n, K) float32, a row for each of the table, as `Recaller.put_item` takes them.

        Raises
        ------
        ValueError, TypeError
            The model has no attributes of items, or the table lacks a column or has another type there.
        """
        return encode_items(self, table, checks.thread_count(threads))

    def encode_users(
        self, table: Any = None, *, history: Sequence[Any] | None = None, threads: int | None = None
    ) -> Float32:
        """Make vectors of users, new ones too, out of their attributes and what they took.

        Parameters
        ----------
        table : path or table, optional
            As `user_features` of `mcfast.fit`, with the same columns. Users that the model was trained on take part
            with their own id; the others with the one that `id_dropout` has trained.
        history : sequence of array_like, optional
            For each user (each row of the table) the ids of items, the latest last; [] where there are none.
        threads : int, optional
            By default all the process may use.

        Returns
        -------
        numpy.ndarray
            (n, K) float32, a row a user, as `Recaller.put_user` takes them.

        Raises
        ------
        UnknownIdError
            An item is unknown.
        ValueError, TypeError
            Neither is given, or one that the model was not fitted with; numbers of users differ; or a column is missing
            or of another type.
        """
        return encode_users(self, table, history, checks.thread_count(threads))

    def to_arrow(self) -> tuple[pa.Table, pa.Table]:
        """Return users and items as Arrow tables with columns id, factors (a list of K float32) and bias."""
        return (
            _table(self.users, self.user_factors, self.user_biases),
            _table(self.items, self.item_factors, self.item_biases),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a directory, or replace the model that stands there, in one step.

        Parameters
        ----------
        path : path-like
            The directory; its parent must exist. ``docs/format.md`` gives the bytes.

        Raises
        ------
        FormatError
            Something else than a model stands there.
        OSError
            The disk is full or not writable; what stood there is as it was.
        """
        from .model_files import save

        save(self, path)

    @cached_property
    def negatives(self) -> Negatives:
        """What users are set against who are folded in, under a ranking loss."""
        return Negatives.of(self.parameters, self.seen.item_counts(self.n_items))

    @cached_property
    def _neighbours(self) -> dict[tuple[str, str], Neighbours]:
        """What was prepared for similar users or items, by side and metric."""
        return {}

    def _similar(
        self, ids: Ids, vectors: Float32, values: Any, name: str, k: int, metric: str, threads: int | None
    ) -> Recommendations:
        rows = ids.rows(values, name)
        checks.choice(metric, "metric", ("cosine", "ip"))
        k, workers = checks.integer(k, "k", 1), checks.thread_count(threads)
        neighbours = self._neighbours.get((name, metric))
        if neighbours is None:
            neighbours = self._neighbours[name, metric] = Neighbours(vectors, metric, workers)
        return answer(values, ids, neighbours.search(rows, k, workers))


def _or_else(values: npt.NDArray[Any], rows: Rows, otherwise: float) -> npt.NDArray[np.float64]:
    """Return the values of rows, `otherwise` for row -1."""
    out = np.full(len(rows), otherwise, np.float64)
    out[rows >= 0] = values[rows[rows >= 0]]
    return out


def _table(ids: Ids, factors: Float32, biases: Float32) -> pa.Table:
    import pyarrow as pa

    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(factors).ravel()), factors.shape[1])
    return pa.table({"id": pa.array(ids.values), "factors": lists, "bias": pa.array(biases)})
