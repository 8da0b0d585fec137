"""Pairs (user, item) that occur more than once: found in C++, merged here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from .. import _core, checks
from ..checks import message

if TYPE_CHECKING:
    from .triples import Triples

Duplicates = Literal["last", "mean", "sum", "error"]


def without_duplicates(triples: Triples, duplicates: Duplicates, threads: int) -> Triples:
    """Return triples with every pair once, in its first place, as `Triples.from_arrays` says."""
    n_repeated, first = _core.first_of_pair(triples.users, triples.items, triples.n_users, triples.n_items, threads)
    if not n_repeated:
        return triples
    is_first = first == np.arange(len(first))
    repeats = np.flatnonzero(~is_first)
    if duplicates == "error":
        row = repeats[0]
        pair = f"user {triples.user_ids.values[triples.users[row]]}, item {triples.item_ids.values[triples.items[row]]}"
        got = f"{n_repeated} repeated pairs, the first one in row {row} ({pair})"
        raise ValueError(message("duplicates", got, 'each pair once, or "last", "mean" or "sum"'))
    heads = np.unique(first[repeats])
    members = np.sort(np.concatenate([heads, repeats]))
    merged = _merged(triples, heads, members, np.searchsorted(heads, first[members]), duplicates)
    return replace(merged.select(is_first), n_duplicates=n_repeated)


def _merged(
    triples: Triples,
    heads: npt.NDArray[np.int64],
    members: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    duplicates: Duplicates,
) -> Triples:
    """Give the heads score, weight and time of their groups: `members` are all triples of pairs that occur again."""
    values = [values.copy() for values in (triples.scores, triples.weights) if values is not None]
    times = triples.times
    is_latest = np.ones(len(members), bool)
    if times is not None:
        latest = np.full(len(heads), np.iinfo(np.int64).min)
        np.maximum.at(latest, group, times[members])
        is_latest = times[members] == latest[group]
        times = times.copy()
        times[heads] = latest
    if duplicates == "last":
        last = np.zeros(len(heads), np.int64)
        np.maximum.at(last, group[is_latest], members[is_latest])
        for column in values:
            column[heads] = column[last]
    else:
        counts = np.bincount(group) if duplicates == "mean" else 1
        for column in values:
            column[heads] = checks.floats(np.bincount(group, weights=column[members]) / counts, "scores", (None,))
    scores, *weights = values
    return replace(triples, scores=scores, times=times, weights=weights[0] if weights else None)
