"""Answers for whom no version knows: out of a few items, or out of a vector from elsewhere. And items like an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import checks
from ..errors import UnknownIdError
from ..folding import Float64, Folded, above_average, is_unit, latest, regularization, ridge
from ..folding_steps import descend, is_ranking, positives, tower
from ..scale import Scale
from ..seen import Seen
from ..store import keys
from ..store.keys import Id
from .answers import EXACT, FOLDED, Recalled, RecalledMany
from .catalogue import Catalogue, Int32, Int64
from .queries import Queries, Wanted, best_source
from .served import Served
from .version import Version

Scored = tuple[list[Id], Float64 | None]


class Newcomers(Served):
    """The part of `Recaller` that needs no user of the version."""

    def fold_in(self, user: Id, items: Any = None, scores: Any = None) -> Folded | None:
        """Give a user a vector out of a few items, in place of the one they have; it counts from the next request on.

        Ridge regression in closed form, as in `Model.fold_in`. For a user of the version the new scores are added to
        what the vector was learned from: the result is what solving with all scores, old and new, would give. Under a
        ranking loss a vector of the history, or a few steps along the gradient of the loss, also as there; for a user
        of the version from the published vector, with all items that they took.

        Parameters
        ----------
        user : int or str
            The id, known or not.
        items : sequence of int or str, optional
            Ids of items; unknown ones are passed over. By default those that were recorded of the user.
        scores : array_like, optional
            (n,) finite numbers. An item without a score is liked: one point above what the average user gives it.

        Returns
        -------
        Folded or None
            The vector and the bias, which count until the version changes. None if no item is known: nothing happens.

        Raises
        ------
        TypeError, ValueError
            An argument is not as described; ids are all integers or all strings, as in the model.
        OSError
            The disk is full or not writable.
        """
        given = None if items is None else _scored(items, scores)
        version = self._version
        key, long = self._encoded_user(user, version)
        online = self._live.look([key], version.number)
        state = online.users.get(0)
        if given is None:
            met = state.interactions if state else {}
            given = list(met), np.array([np.nan if score is None else score for score in met.values()], np.float64)
        published = None
        if not (state and state.forgotten):
            values = version.table.get_encoded([key], {0: long} if long else {})
            if values.found[0]:
                published = Folded(values.vectors[0], float(values.biases[0])), values.seen_rows
        folded = _fold(self._catalogue_of(version, online.items_changed), given, published)
        if folded is not None:
            self._live.put_user((key, long), folded.vector, folded.bias, version.number)
        return folded

    def recall_items(
        self,
        items: Any,
        k: int = 20,
        *,
        scores: Any = None,
        exclude_seen: bool = True,
        exclude: Any = None,
        allow: Any = None,
        filter: Any = None,
        exact: bool = False,
        threads: int = 1,
    ) -> Recalled:
        """Return the k items that somebody will want who is only known by a few items.

        Parameters
        ----------
        items : sequence of int or str
            Ids of items; unknown ones are passed over. Where none is known, popular items come.
        k : int, default 20
            How many.
        scores : array_like, optional
            (n,) finite numbers, as in `fold_in`.
        exclude_seen : bool, default True
            Leave those items out.
        exclude, allow, filter, exact, threads
            As in `Recaller.recall`.

        Returns
        -------
        Recalled
            ``(ids, scores, source, version)``, where source is "folded" or "popular".

        Raises
        ------
        TypeError, ValueError
            An argument has a wrong type or range.
        """
        wanted = Wanted.checked(k, exclude_seen, exclude, allow, filter, exact, threads)
        found = self._recall_items([_scored(items, scores)], wanted)
        n = found.counts[0]
        return Recalled(found.ids[0, :n], found.scores[0, :n], found.sources[0], found.version)

    def recall_items_many(
        self,
        items: Sequence[Any],
        k: int = 20,
        *,
        scores: Sequence[Any] | None = None,
        exclude_seen: bool = True,
        exclude: Any = None,
        allow: Any = None,
        filter: Any = None,
        exact: bool = False,
        threads: int | None = None,
    ) -> RecalledMany:
        """Return the k items for each of n lists of items, all from one version.

        Parameters
        ----------
        items : sequence of sequences of int or str
            The lists, each as in `recall_items`.
        scores : sequence of array_like or None, optional
            The scores of each list.
        k, exclude_seen, exclude, allow, filter, exact
            As in `recall_items`.
        threads : int, optional
            By default all the process may use.

        Returns
        -------
        RecalledMany
        """
        wanted = Wanted.checked(k, exclude_seen, exclude, allow, filter, exact, threads)
        worth = [None] * len(items) if scores is None else list(scores)
        if len(worth) != len(items):
            raise ValueError(checks.message("scores", f"{len(worth)} lists", f"{len(items)}, as many as of items"))
        return self._recall_items([_scored(*pair) for pair in zip(items, worth, strict=True)], wanted)

    def recall_vectors(
        self,
        vectors: Any,
        k: int = 20,
        *,
        exclude: Any = None,
        allow: Any = None,
        filter: Any = None,
        exact: bool = False,
        threads: int | None = None,
    ) -> RecalledMany:
        """Return the k best items of each vector; their scores are the inner product plus the bias of the item.

        Parameters
        ----------
        vectors : array_like, shape (n, K)
            Finite numbers.
        k, exclude, allow, filter, exact, threads
            As in `Recaller.recall_many`.

        Returns
        -------
        RecalledMany

        Raises
        ------
        TypeError, ValueError
            An argument has a wrong type, shape or range.
        """
        wanted = Wanted.checked(k, False, exclude, allow, filter, exact, threads)

        def answer(version: Version) -> RecalledMany:
            queries = checks.floats(vectors, "vectors", (None, version.index.dimension))
            n = len(queries)
            known, biases = np.ones(n, np.bool_), np.zeros(n, np.float32)
            asked = Queries(version, queries, biases, known, 0.0, Scale(), best_source(version), Seen.empty(n))
            return asked.answer(self._current_catalogue(version), wanted)

        return self._with_version(answer)

    def similar_items(
        self, item: Id, k: int = 10, *, exclude: Any = None, allow: Any = None, filter: Any = None, threads: int = 1
    ) -> Recalled:
        """Return the k items whose vectors have the largest cosine with that of an item, itself left out.

        All items are compared, by an exact index of vectors of length 1, which the first call makes: as much memory
        again as the vectors take.

        Parameters
        ----------
        item : int or str
            The id.
        k : int, default 10
            How many.
        exclude, allow, filter, threads
            As in `Recaller.recall`.

        Returns
        -------
        Recalled
            ``(ids, scores, source, version)``: scores are cosines, and source is "exact".

        Raises
        ------
        UnknownIdError
            There is no such item.
        TypeError, ValueError
            An argument has a wrong type or range.
        """
        encoded, _ = keys.encode(item, "item")
        wanted = Wanted.checked(k, False, exclude, allow, filter, True, threads)

        def answer(version: Version) -> Recalled:
            keys.check_kind([encoded], "item", version.items.is_integer, len(version.items))
            catalogue = self._current_catalogue(version)
            rows = catalogue.rows([item])
            if not len(rows):
                raise UnknownIdError(checks.message("item", repr(item), "an item that is served"))
            allowed = catalogue.allowed(wanted.allow, wanted.filter)
            if wanted.exclude:
                allowed = np.ones(len(catalogue), np.bool_) if allowed is None else allowed.copy()
                allowed[catalogue.rows(wanted.exclude)] = False
            found, scores = catalogue.similar(int(rows[0]), wanted.k, allowed, wanted.threads)
            return Recalled(catalogue.ids(found), scores, EXACT, version.number)

        return self._with_version(answer)

    def _recall_items(self, lists: list[Scored], wanted: Wanted) -> RecalledMany:
        def answer(version: Version) -> RecalledMany:
            catalogue = self._current_catalogue(version)
            n = len(lists)
            folded = [_fold(catalogue, scored, None) for scored in lists]
            vectors, biases = np.zeros((n, version.index.dimension), np.float32), np.zeros(n, np.float32)
            for i, found in enumerate(folded):
                if found is not None:
                    vectors[i], biases[i] = found
            rows = [catalogue.rows(items) for items, _ in lists]
            given = np.repeat(np.arange(n), [len(own) for own in rows]).astype(np.int32)
            met = Seen.of(given, np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int32), n, 1)
            known = np.array([found is not None for found in folded], np.bool_)
            queries = Queries(version, vectors, biases, known, version.mean, version.scale, FOLDED, met)
            return queries.answer(catalogue, wanted)

        return self._with_version(answer)


def _fold(catalogue: Catalogue, scored: Scored, published: tuple[Folded, Int32] | None) -> Folded | None:
    """Fold in a user; None where no item is known. `published` is their solution so far, and the rows it is of."""
    items, scores = scored
    version = catalogue.version
    rows = catalogue.find(items)
    known = rows >= 0
    if not known.any():
        return None
    rows, scores = rows[known], None if scores is None else scores[known]
    if is_ranking(version.info["parameters"]):
        return _fold_ranked(catalogue, rows, scores, published)
    vectors, biases = catalogue.vectors(rows)
    start, learned = None, None
    if published is not None:
        start, seen = published
        learned = catalogue.vectors(np.setdiff1d(seen, rows))[0]
    return ridge(
        vectors,
        above_average(None if scores is None else version.scale.sums(scores), version.mean + biases.astype(np.float64)),
        regularization(version.info["parameters"]),
        biased=version.index.offsets is not None,
        unit=is_unit(version.info["parameters"]),
        start=start,
        learned=learned,
    )


def _fold_ranked(
    catalogue: Catalogue, rows: Int64, scores: Float64 | None, published: tuple[Folded, Int32] | None
) -> Folded | None:
    """As `_fold`; None where nothing is positive, either."""
    version = catalogue.version
    parameters = version.info["parameters"]
    taken = latest(rows[positives(parameters, scores, len(rows))])
    if not len(taken):
        return None
    history = version.history
    if published is None and history is not None and len(own := taken[taken < len(version.items)]):
        made = tower(history[0], history[1 + own[: parameters["history"]]], is_unit(parameters))
        return Folded(made, 0.0)
    start, bias = None, 0.0
    if published is not None:
        (start, bias), seen = published
        taken = np.union1d(seen, taken)
    negatives = version.negatives.without(taken)
    others = catalogue.vectors(negatives.rows)[0]
    return Folded(descend(parameters, catalogue.vectors(taken)[0], others, negatives, start), bias)


def _scored(items: Any, scores: Any) -> Scored:
    ids = keys.normalized(items, "items")
    return ids, None if scores is None else checks.floats(scores, "scores", (len(ids),)).astype(np.float64)
