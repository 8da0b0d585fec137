"""What the console shows beside recalled items: a user's history, items by title, versions, and the map of items."""

from __future__ import annotations

from typing import Any

from ..snapshot import versions
from . import ids
from .service import Answer, Service

HISTORY = 200  # seen items that are told
POINTS = 1500
GROUPS = 8
TITLE = "title"
OTHERS = "other"


def user(service: Service, id: str) -> Answer:
    """Tell what is known of a user."""
    recaller = service.recaller
    user = ids.Kinds.of(recaller).user(id)
    seen = recaller.seen(user).tolist()
    shown = seen[-HISTORY:][::-1]
    return {
        "user_id": user,
        "attributes": recaller.user_attributes(user),
        "seen": shown,
        "titles": [recaller.item_attributes(item) for item in shown],
        "n_seen": len(seen),
        "version": recaller.version,
    }


def find(service: Service, text: str, k: int) -> Answer:
    """Find items by a text in their title, or by their id."""
    recaller = service.recaller
    service.check_k(k)
    found = recaller.find_items(text, k).tolist() if text else []
    own = [item for item in ids.Kinds.of(recaller).known_items([text]) if recaller.item_attributes(item)]
    listed = list(dict.fromkeys([*own, *found]))[:k]
    return {
        "items": [{"id": item, "attributes": recaller.item_attributes(item)} for item in listed],
        "version": recaller.version,
    }


def listed(service: Service) -> Answer:
    """List the versions that there are."""
    names = ("number", "current", "created", "users", "items", "factors", "index")
    return {"versions": [{name: getattr(one, name) for name in names} for one in versions(service.settings.root)]}


def lay_out(service: Service, attribute: str | None) -> Answer:
    """Lay the most popular items out on a map, grouped by an attribute."""
    recaller = service.recaller
    names = recaller.attributes
    if attribute is not None and attribute not in names:
        raise ValueError(f"attribute: got {attribute!r}, expected one of {', '.join(map(repr, names)) or 'none'}")
    if attribute is None:
        attribute = next((name for name in names if name != TITLE), None)
    items, places = recaller.map_items(POINTS)
    told = [recaller.item_attributes(item) for item in items.tolist()]
    values = [None if attribute is None else _first(known.get(attribute)) for known in told]
    counts: dict[str, int] = {}
    for value in values:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    largest = sorted(counts, key=lambda value: (-counts[value], value))[:GROUPS]
    points = [
        {
            "id": item,
            "title": str(known.get(TITLE, item)),
            "x": float(x),
            "y": float(y),
            "group": value if value is None or value in largest else OTHERS,
        }
        for item, known, (x, y), value in zip(items.tolist(), told, places, values, strict=True)
    ]
    return {"points": points, "attribute": attribute, "attributes": names, "version": recaller.version}


def _first(value: Any) -> str | None:
    """Return an attribute as text; of a list the first entry, and of a year its decade."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, int) and not isinstance(value, bool) and 1000 <= value < 3000:
        return f"{value // 10 * 10}s"
    return None if value is None else str(value)
