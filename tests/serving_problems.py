"""Served folders for tests: a small model with many equal scores, published."""

import numpy as np

import mcfast

N_USERS, N_ITEMS, K = 30, 200, 6


def made(seed=0, *, users=None, items=None, biases=True, seen=True):
    """A model with many equal scores, users 100, 101 ... and items 0, 1 ... unless others are given."""
    random = np.random.default_rng(seed)
    users = np.arange(100, 100 + N_USERS) if users is None else users
    items = np.arange(N_ITEMS) if items is None else items
    item_factors = random.standard_normal((len(items), K))
    item_factors[5:10] = item_factors[0]
    pairs = None
    if seen:
        cells = random.permutation(len(users) * len(items))[: len(users) * len(items) // 4]
        pairs = (
            np.asarray(users, object)[cells // len(items)].tolist(),
            np.asarray(items, object)[cells % len(items)].tolist(),
        )
    return mcfast.Model.from_factors(
        random.standard_normal((len(users), K)),
        item_factors,
        users=users,
        items=items,
        user_biases=random.standard_normal(len(users)) if biases else None,
        item_biases=np.round(random.standard_normal(len(items))) if biases else None,
        mean=3.5 if biases else 0.0,
        seen=pairs,
    )
