"""The questions behind `Model.encode_users` and `Model.encode_items`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import checks
from .data.features import Encoded, ids_of
from .data.histories import Histories
from .data.ids import Ids
from .encoders import Encoder, without_attributes

if TYPE_CHECKING:
    from .model import Model

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


def encode_items(model: Model, table: Any, threads: int) -> Float32:
    """See `Model.encode_items`."""
    encoder = model.item_encoder
    if encoder is None:
        raise ValueError(checks.message("table", "attributes", "none: the model was fitted without item_features"))
    rows, encoded = _attributes(encoder, table, model.items)
    return encoder.rows(encoded, rows, None, threads)[:, : model.factors]


def encode_users(model: Model, table: Any, history: Sequence[Any] | None, threads: int) -> Float32:
    """See `Model.encode_users`."""
    encoder = model.user_encoder
    if table is None and history is None:
        raise ValueError(checks.message("table, history", "neither", "what users are made of"))
    if encoder is None:
        name, got = ("table", "attributes") if history is None else ("history", "items")
        raise ValueError(checks.message(name, got, "none: the model was fitted without user_features and history"))
    histories = None
    if history is not None:
        if not encoder.n_items:
            raise ValueError(checks.message("history", "items", "none: the model was fitted without history"))
        longest = int(model.parameters["history"])
        histories = Histories.of_lists(history, model.items, "history", longest)
    if table is None:
        assert history is not None
        n = len(history)
        blank = without_attributes(n)
        encoded = blank._replace(numbers=np.zeros((n, encoder.features.n_numbers), np.float32))
        rows = np.full(n, -1, np.int32)
    else:
        rows, encoded = _attributes(encoder, table, model.users)
    if histories is not None and len(histories.indptr) != len(rows) + 1:
        got = f"{len(histories.indptr) - 1} lists and {len(rows)} rows of the table"
        raise ValueError(checks.message("history", got, "equally many"))
    return encoder.rows(encoded, rows, histories, threads)[:, : model.factors]


def _attributes(encoder: Encoder, table: Any, known: Ids) -> tuple[Int32, Encoded]:
    """Return the rows of the ids of a table, -1 for new ones, and what it says of them."""
    ids = ids_of(table, "table")
    rows = known.rows(ids.values, "ids of table", "skip")
    return rows, encoder.features.encode(table, ids, "table")
