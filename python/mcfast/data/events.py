"""Triples from a log of events: how much interest a user showed in an item, as a score."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core, checks
from ..checks import message, shown
from . import columns, tables
from .ids import Ids, Rows, encode
from .tables import Column
from .triples import Triples

EXPOSURE = "exposure"
POINTS = {EXPOSURE: 0.0, "click": 1.0, "like": 1.0, "collect": 1.0, "share": 1.0}

Mask = npt.NDArray[np.bool_]


def score_events(
    source: Any,
    *,
    user: Column = "user",
    item: Column = "item",
    event: Column | None = None,
    actions: Mapping[str, str] | Sequence[str] | None = None,
    points: Mapping[Any, float] | None = None,
    ignore: Collection[Any] = (),
    time: Column | None = None,
    separator: str | None = None,
    header: bool = True,
    threads: int | None = None,
) -> Triples:
    """Score the interest that events show: by default one point each for click, like, collect and share, so 0..4.

    The score of a pair (user, item) is the sum of the points of its actions, each counted once however often it
    happened: 0 for one that was exposed and nothing more. An action counts with or without an exposure.

    Parameters
    ----------
    source : path or table
        A log, in any of the forms that `read_triples` takes.
    user, item : str or int
        The columns of ids, by name or by place.
    event : str or int
        Of a long log, one row an event: the column that names the action.
    actions : mapping of str to str, or list of str
        Of a wide log, one row an exposure: the columns, bools or 0 and 1, that say which actions followed it, mapped to
        the names of these; in a list, columns that are named after them. Either this or `event` is to be given.
    points : mapping, optional
        Points for each action, instead of ``{"exposure": 0, "click": 1, "like": 1, "collect": 1, "share": 1}``. Every
        row of a wide log earns those of "exposure", if any.
    ignore : collection
        Actions to leave out. Users, items and pairs that have no other do not appear.
    time : str or int, optional
        The column of times. The time of a pair is that of its last event.
    separator, header, threads
        As in `read_triples`.

    Returns
    -------
    Triples
        In the order in which the pairs first appear. Events of one pair are no duplicates: `n_duplicates` is 0.

    Raises
    ------
    ValueError
        Neither or both of `event` and `actions` are given; an action is neither in the table of points nor ignored; a
        column of actions holds something else than 0 and 1; no events are left; a column or an id is missing.
    TypeError
        A column is not of its kind.

    Examples
    --------
    >>> mcfast.score_events("log.parquet", user="uid", item="iid", event="action")  # doctest: +SKIP
    >>> mcfast.score_events(frame, actions={"is_click": "click", "is_like": "like"})  # doctest: +SKIP
    """
    if (event is None) == (actions is None):
        raise ValueError(message("event, actions", "both" if event is not None else "neither", "one of them"))
    checks.flag(header, "header")
    threads = checks.thread_count(threads)
    points = POINTS if points is None else points
    table = {name: checks.real(value, f"points[{name!r}]") for name, value in points.items()}
    ignored = {ignore} if isinstance(ignore, str) else set(ignore)
    flags = _named(actions, table, ignored)

    wanted = {
        "users": user,
        "items": item,
        "times": time,
        "event": event,
        **{_role(column): column for column in flags},
    }
    chosen = {role: column for role, column in wanted.items() if column is not None}
    given = tables.read(source, chosen, numbers=(), separator=separator, header=header, threads=threads)
    users, user_ids = encode(given.pop("users"), f"column {user!r}", threads)
    items, item_ids = encode(given.pop("items"), f"column {item!r}", threads)
    times = None if time is None else columns.times(given.pop("times"), f"column {time!r}")
    if event is not None:
        codes, names = encode(given.pop("event"), f"column {event!r}", threads)
        _check_known(names.values.tolist(), table, ignored, f"column {event!r}")
        kept = ~np.isin(codes, [code for code, name in enumerate(names.values.tolist()) if name in ignored])
        if not kept.all():
            codes, times = codes[kept], None if times is None else times[kept]
            users, user_ids = _only(users[kept], user_ids, threads)
            items, item_ids = _only(items[kept], item_ids, threads)
        happened = {name: codes == code for code, name in enumerate(names.values.tolist())}
    else:
        happened = {EXPOSURE: np.ones(len(users), bool)}
        for column, action in flags.items():
            mask = _zero_or_one(given.pop(_role(column)), f"column {column!r}")
            happened[action] = mask | happened.get(action, False)
    if not len(users):
        raise ValueError(message("source", "no events", "at least one that is not ignored"))

    first, pair = _pairs(users, items, len(user_ids), len(item_ids), threads)
    scores = np.zeros(len(first))
    # In the table's order, so that a sum of fractions does not depend on the order of the events.
    for action, value in table.items():
        if action in happened:
            once = np.zeros(len(first), bool)
            once[pair[happened[action]]] = True
            scores += value * once
    if times is not None:
        last = times[first]
        np.maximum.at(last, pair, times)
        times = last
    return Triples(users[first], items[first], checks.floats(scores, "points", (None,)), times, user_ids, item_ids)


def _named(
    actions: Mapping[str, str] | Sequence[str] | None, table: Mapping[Any, float], ignored: set[Any]
) -> dict[str, str]:
    """Return the action that each column of a wide log tells of, without those ignored."""
    if actions is None:
        return {}
    if isinstance(actions, str):
        raise TypeError(message("actions", shown(actions), "a mapping from columns to actions, or a list of columns"))
    named = dict(actions) if isinstance(actions, Mapping) else {name: name for name in actions}
    _check_known(named.values(), table, ignored, "actions")
    return {column: action for column, action in named.items() if action not in ignored}


def _role(column: str) -> str:
    return f"action {column}"


def _check_known(names: Iterable[Any], table: Mapping[Any, float], ignored: set[Any], name: str) -> None:
    unknown = [action for action in names if action not in table and action not in ignored]
    if unknown:
        shown = ", ".join(map(repr, unknown[:3])) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        known = ", ".join(map(repr, table))
        raise ValueError(message(name, f"the actions {shown}", f"those in the table of points ({known}) or in ignore"))


def _only(rows: Rows, ids: Ids, threads: int) -> tuple[Rows, Ids]:
    """Give rows new numbers, over the ids that they use."""
    rows, used = _core.encode([rows.astype(np.int64)], threads)
    return rows, Ids(ids.take(used))


def _zero_or_one(values: Any, name: str) -> Mask:
    numbers = columns.scores(values, name)
    mask: Mask = numbers == 1
    wrong = np.flatnonzero(~mask & (numbers != 0))
    if len(wrong):
        raise ValueError(message(name, f"{numbers[wrong[0]]:g} in row {wrong[0]}", "0 or 1"))
    return mask


def _pairs(
    users: Rows, items: Rows, n_users: int, n_items: int, threads: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first event of each pair, and the pair of each event."""
    everything = np.arange(len(users))
    n_repeated, first_of = _core.first_of_pair(users, items, n_users, n_items, threads)
    if not n_repeated:
        return everything, everything
    is_first = first_of == everything
    return np.flatnonzero(is_first), (np.cumsum(is_first) - 1)[first_of]
