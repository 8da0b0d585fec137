"""The data of a training: fit for its loss, over one vocabulary, in a part to train on and one to validate on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from . import checks
from .data.ids import Ids
from .data.triples import Triples, as_triples
from .model import Model
from .seen import Seen


def over(users: Ids, items: Ids, data: Triples) -> Triples:
    """Return the triples over given vocabularies, to which their own new ids are added."""
    user_ids, user_rows = users.union(data.user_ids)
    item_ids, item_rows = items.union(data.item_ids)
    return replace(data, users=user_rows[data.users], items=item_rows[data.items], user_ids=user_ids, item_ids=item_ids)


def split(
    data: Triples, validation: Any, check: Callable[[Triples, str], object], *, seed: int, threads: int
) -> tuple[Triples, Triples | None, Triples]:
    """Return what to train on, what to validate on, and both together; all over one vocabulary.

    `check` raises, naming its second argument, where the loss does not know such scores.
    """
    if validation is None:
        return data, None, data
    if isinstance(validation, Real):
        return *split_fraction(data, validation, seed), data
    given = as_triples(validation, threads=threads, name="validation")
    check(given, "validation scores")
    held_out = over(data.user_ids, data.item_ids, given)
    # A union keeps the rows of its first side.
    train = replace(data, times=None, user_ids=held_out.user_ids, item_ids=held_out.item_ids)
    both = replace(
        train,
        users=np.concatenate([train.users, held_out.users]),
        items=np.concatenate([train.items, held_out.items]),
        scores=np.concatenate([train.scores, held_out.scores]),
        weights=None if train.weights is None else np.concatenate([train.weights, np.ones(len(held_out), np.float32)]),
    )
    return train, held_out, both


def split_fraction(data: Triples, validation: Real, seed: int) -> tuple[Triples, Triples]:
    """Return what to train on and what to validate on, that fraction of all; neither may be empty."""
    fraction = checks.real(validation, "validation", 0, 1, above=True)
    train, held_out = data.split_random(fraction, seed=seed)
    if not len(train) or not len(held_out):
        got = f"{fraction:g} of {len(data)} triples"
        raise ValueError(checks.message("validation", got, "a fraction that leaves triples on both sides"))
    return train, held_out


def seen_pairs(data: Triples, init: Model | None, *, positive: bool, threads: int) -> Seen:
    """Return the pairs that recommendations leave out; those of `init` are kept."""
    users, items = data.users, data.items
    if positive:
        users, items = users[data.scores > 0], items[data.scores > 0]
    if init is not None:
        old_users, old_items = init.seen.pairs()
        users, items = np.concatenate([old_users, users]), np.concatenate([old_items, items])
    return Seen.of(users, items, data.n_users, threads)
