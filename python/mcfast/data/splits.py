"""Cuts of triples into a part to train on and a part to test on, which share their vocabularies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import checks
from ..checks import message

if TYPE_CHECKING:
    from .ids import Rows
    from .triples import Times, Triples


def random(triples: Triples, fraction: float = 0.1, *, seed: int = 0) -> tuple[Triples, Triples]:
    """Draw the test part at random.

    Parameters
    ----------
    triples : Triples
        What to cut.
    fraction : float, default 0.1
        The share of the test part, in 0..1; rounded to whole triples.
    seed : int, default 0
        The test part is the last of ``np.random.default_rng(seed).permutation(n)``.

    Returns
    -------
    train, test : Triples
        In the order of the permutation.
    """
    order = np.random.default_rng(checks.integer(seed, "seed", 0)).permutation(len(triples))
    n_train = len(triples) - _n_test(triples, fraction)
    return triples.select(order[:n_train]), triples.select(order[n_train:])


def temporal(triples: Triples, fraction: float | None = None, *, after: int | None = None) -> tuple[Triples, Triples]:
    """Take the latest triples as the test part.

    Parameters
    ----------
    triples : Triples
        What to cut; with times.
    fraction : float, optional
        The share of the test part, in 0..1, 0.1 if `after` is not given either; rounded to whole triples. Of triples
        with equal times the later rows count as later.
    after : int, optional
        Instead of `fraction`: the test part is what has a greater time, in the unit of the times.

    Returns
    -------
    train, test : Triples
        Each in the order of the input.

    Raises
    ------
    ValueError
        There are no times, or both `fraction` and `after` are given.
    """
    times = _times(triples)
    if after is not None:
        if fraction is not None:
            raise ValueError(message("fraction, after", "both", "one of them"))
        is_test = times > checks.integer(after, "after", -(2**63), 2**63 - 1)
    else:
        is_test = np.zeros(len(triples), bool)
        n_test = _n_test(triples, 0.1 if fraction is None else fraction)
        is_test[np.argsort(times, kind="stable")[len(triples) - n_test :]] = True
    return triples.select(~is_test), triples.select(is_test)


def leave_last(triples: Triples, n: int = 1) -> tuple[Triples, Triples]:
    """Take the last triples of each user as the test part.

    Parameters
    ----------
    triples : Triples
        What to cut; with times.
    n : int, default 1
        How many of each user, >= 1. Users with at most `n` triples stay in the training part whole. Of triples with
        equal times the later rows count as later.

    Returns
    -------
    train, test : Triples
        Each in the order of the input.

    Raises
    ------
    ValueError
        There are no times, or `n` is less than 1.
    """
    times = _times(triples)
    n = checks.integer(n, "n", 1)
    order = np.lexsort((times, triples.users))
    counts = np.bincount(triples.users, minlength=triples.n_users)
    ends = np.cumsum(counts)[triples.users[order]]
    from_end = ends - np.arange(len(triples))  # 1 for the last triple of a user
    is_test = np.zeros(len(triples), bool)
    is_test[order] = (from_end <= n) & (counts[triples.users[order]] > n)
    return triples.select(~is_test), triples.select(is_test)


def cold_items(triples: Triples, fraction: float = 0.2, *, seed: int = 0) -> tuple[Triples, Triples]:
    """Hold out items whole: the test part has every triple of the items drawn, the training part none.

    Parameters
    ----------
    triples : Triples
        What to cut.
    fraction : float, default 0.2
        The share, in 0..1, of the items that have a triple; rounded to whole items.
    seed : int, default 0
        Of the draw.

    Returns
    -------
    train, test : Triples
        Each in the order of the input. Rank the cold items alone with ``evaluate(..., candidates=...)``.
    """
    return _held_out(triples, triples.items, fraction, seed)


def cold_users(triples: Triples, fraction: float = 0.2, *, seed: int = 0) -> tuple[Triples, Triples]:
    """Hold out users whole: as `cold_items`, with users."""
    return _held_out(triples, triples.users, fraction, seed)


def _held_out(triples: Triples, rows: Rows, fraction: float, seed: int) -> tuple[Triples, Triples]:
    there = np.unique(rows)
    order = np.random.default_rng(checks.integer(seed, "seed", 0)).permutation(len(there))
    drawn = there[order[: round(len(there) * checks.real(fraction, "fraction", 0, 1))]]
    is_test = np.isin(rows, drawn)
    return triples.select(~is_test), triples.select(is_test)


def _n_test(triples: Triples, fraction: float) -> int:
    return round(len(triples) * checks.real(fraction, "fraction", 0, 1))


def _times(triples: Triples) -> Times:
    if triples.times is None:
        raise ValueError(message("triples", "triples without times", "times, to tell what came later"))
    return triples.times
