"""The recall of one user, as services ask most: what `Queries` answers, without the arrays that many users need.

A search takes the caches of the processor. What Python does afterwards costs by the code and the objects that it
touches, several times what it costs in a loop of its own; so here it touches little.
"""

from __future__ import annotations

import numpy as np

from ..recall.filters import EVERYTHING, Filter
from ..store.record import Value
from .answers import FOLDED, Recalled
from .catalogue import Catalogue
from .live import OnlineUser
from .queries import Wanted, best_source

_NONE = np.zeros(0, np.int32)


def recall(catalogue: Catalogue, published: Value | None, online: OnlineUser | None, wanted: Wanted) -> Recalled | None:
    """Answer for a user, given what the version and the live store know; None where only `Queries` can."""
    version = catalogue.version
    k = min(wanted.k, len(version.items))
    if not (k and wanted.is_plain and catalogue.is_published):
        return None
    value, source = published, best_source(version)
    seen = _NONE if published is None else published.seen
    if online is not None:
        if online.forgotten:
            return None
        if online.vector is not None:
            value, source = online.vector, FOLDED
        if online.interactions:
            seen = np.union1d(seen, catalogue.rows(online.interactions)).astype(np.int32)
    if value is None:
        return None
    filters = Filter(np.array([0, len(seen)]), seen, None) if wanted.exclude_seen else EVERYTHING
    found, sums = version.index.search_checked(value.vector[None], k, filters, wanted.threads)
    rows, sums = found[0], sums[0]
    if rows[-1] < 0:  # fewer are left
        rows = rows[rows >= 0]
        sums = sums[: len(rows)]
    scores = version.scale.scores(sums + np.array([version.mean + value.bias]))
    return Recalled(version.items.values.take(rows), scores, source, version.number)
