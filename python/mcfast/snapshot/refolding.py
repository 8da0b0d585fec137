"""What is written online, in the space of a new version: users and items that its model does not know are folded in."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..data.ids import Ids, Rows
from ..folding import Float64, fold_item, fold_user
from ..model import Model
from ..store import keys
from ..store.keys import Id
from .live import Key, Live
from .values import encode_item, encode_vector


def fold_anew(model: Model, live: Live, version: int) -> None:
    """Give users and items that the model does not know vectors in its space, out of what was recorded.

    Users need interactions with items that the model knows; an item without a score is liked, as in
    `Recaller.fold_in`. Items need to have been put online, and scores by known users.
    """
    put_online = {item.id: item.attributes for item in live.all_items()}
    users: list[tuple[Key, bytes]] = []
    by_item: defaultdict[Id, dict[int, float]] = defaultdict(dict)
    for user, met in live.all_interactions():
        scored = {item: score for item, score in met.items() if score is not None}
        row = _row(model.users, user)
        if row >= 0:
            for item in scored.keys() & put_online.keys():
                by_item[item][row] = scored[item]
            continue
        known = {
            row: np.nan if score is None else score
            for item, score in met.items()
            if (row := _row(model.items, item)) >= 0
        }
        folded = fold_user(model, *_arrays(known)) if known else None
        if folded is not None:
            key = keys.encode(user, "user")
            users.append((key, encode_vector(*folded, key[1])))
    items = []
    for item, known in by_item.items():
        if _row(model.items, item) < 0:
            key = keys.encode(item, "item")
            items.append((key, encode_item(*fold_item(model, *_arrays(known)), key[1], put_online[item])))
    if users or items:
        live.put_folded(users, items, version)


def _row(ids: Ids, id: Id) -> int:
    return int(ids.rows(id, "ids", "skip")[0]) if isinstance(id, int) == ids.is_integer else -1


def _arrays(scores: dict[int, float]) -> tuple[Rows, Float64]:
    n = len(scores)
    return np.fromiter(scores, np.int32, n), np.fromiter(scores.values(), np.float64, n)
