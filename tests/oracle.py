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


# --- recall -------------------------------------------------------------------------------------------------------


def dots(a, b):
    """All inner products of the rows of `a` and `b`, canonical: float64, 16 lanes, then the lanes halved and added."""
    width = -(-a.shape[1] // 16) * 16
    a, b = (np.pad(x.astype(np.float64), ((0, 0), (0, width - x.shape[1]))) for x in (a, b))
    lanes = np.zeros((len(a), len(b), 16))
    for k in range(0, width, 16):
        lanes += a[:, None, k : k + 16] * b[None, :, k : k + 16]
    while lanes.shape[2] > 1:
        half = lanes.shape[2] // 2
        lanes = lanes[:, :, :half] + lanes[:, :, half:]
    return lanes[:, :, 0]


def unit(vectors):
    """Rows divided by their length, in float64, rounded to float32; zeros stay."""
    lengths = np.sqrt([dots(row[None], row[None])[0, 0] for row in vectors])[:, None]
    return np.divide(vectors, lengths, where=lengths > 0, out=np.zeros(vectors.shape)).astype(np.float32)


def recall_scores(vectors, queries, metric, offsets=None):
    """The canonical score of every item for every query, (queries, items) float32."""
    if metric == "cosine":
        vectors, queries = unit(vectors), unit(queries)
    scores = dots(queries, vectors)
    if metric == "l2":
        squares = [np.array([dots(row[None], row[None])[0, 0] for row in x]) for x in (queries, vectors)]
        scores = np.minimum(2 * scores - squares[1][None] - squares[0][:, None], 0)
    elif offsets is not None:
        scores = scores + offsets.astype(np.float64)
    with np.errstate(over="ignore"):
        return scores.astype(np.float32)


def nearest(scores, k, excluded=None, allow=None):
    """The k best items of each row of scores, ties to the lower row, padded with -1 and -inf."""
    rows = np.full((len(scores), k), -1)
    values = np.full((len(scores), k), -np.inf, np.float32)
    for q, row in enumerate(scores):
        left = [i for i in range(len(row)) if allow is None or allow[i]]
        left = [i for i in left if excluded is None or i not in set(excluded[q])]
        best = sorted(left, key=lambda i: (-row[i], i))[:k]
        rows[q, : len(best)], values[q, : len(best)] = best, row[best]
    return rows, values
