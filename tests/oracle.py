"""The truth, in plain Python and NumPy. Never imports mcfast."""

import numpy as np

# --- data ---------------------------------------------------------------------------------------------------------


def encode(values):
    """Rows by first appearance, and the distinct values in that order."""
    row_of = {}
    return [row_of.setdefault(value, len(row_of)) for value in values], list(row_of)


def merge_duplicates(triples, mode):
    """Merge rows (user, item, score, time or None) that share a pair, by "last", "mean" or "sum"."""
    groups = {}
    for place, (user, item, score, time) in enumerate(triples):
        groups.setdefault((user, item), []).append((0 if time is None else time, place, score))
    merged = []
    for (user, item), rows in groups.items():
        last_time, _, last_score = max(rows)
        total = np.float64(0)
        for _, _, score in rows:
            total += np.float64(score)
        score = {"last": last_score, "mean": total / len(rows), "sum": total}[mode]
        merged.append((user, item, np.float32(score), last_time))
    return merged


def score_log(events, points, ignore):
    """Score rows (user, item, action, time): points of each pair's distinct actions, and its last time."""
    pairs = {}
    for user, item, action, time in events:
        if action not in ignore:
            actions, times = pairs.setdefault((user, item), (set(), []))
            actions.add(action)
            times.append(time)
    return [
        (user, item, np.float32(sum(points[action] for action in points if action in actions)), max(times))
        for (user, item), (actions, times) in pairs.items()
    ]
