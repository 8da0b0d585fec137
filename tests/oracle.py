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


def top_k(user, items, k, offsets=None, exclude=(), allow=None):
    """Rows and scores of the k best items for one user, fewer where fewer are left."""
    scores = recall_scores(items, user[None], "ip", offsets)
    rows, values = nearest(scores, k, [exclude], allow)
    real = rows[0] >= 0
    return rows[0][real], values[0][real]


# --- kernels and training -----------------------------------------------------------------------------------------


def predictions(users, items, user_offsets, item_offsets):
    """All predictions: the canonical score, rounded to float32, plus the user's offset, rounded again."""
    scores = recall_scores(items, users, "ip", item_offsets)
    return (scores.astype(np.float64) + user_offsets[:, None]).astype(np.float32)


def squared(score, prediction):
    """The squared loss, half the square, and minus its derivative by the prediction. So are those below."""
    error = score - prediction
    return 0.5 * error**2, error


def absolute(score, prediction):
    error = score - prediction
    return abs(error), np.sign(error)


def huber(score, prediction):
    error = score - prediction
    return (0.5 * error**2 if abs(error) < 1 else abs(error) - 0.5), np.clip(error, -1, 1)


def logistic(score, prediction):
    """Labels or probabilities, and log-odds."""
    return np.logaddexp(0, prediction) - score * prediction, score - 1 / (1 + np.exp(-prediction))


def poisson(score, prediction):
    """Counts, and the logarithm of their mean."""
    return np.exp(prediction) - score * prediction, score - np.exp(prediction)


def hinge(score, prediction):
    """Labels -1 and 1."""
    return max(0.0, 1 - score * prediction), score * (score * prediction < 1)


class Side:
    """What training changes on one side, in float64: factors, biases, and AdaGrad's sums, which start at 1."""

    def __init__(self, factors, biases):
        self.factors, self.biases = factors.astype(np.float64), biases.astype(np.float64)
        self.factor_sums, self.bias_sums = np.ones(len(factors)), np.ones(len(factors))

    def step(self, row, factor_descent, bias_descent, learning_rate, l1=0, nonnegative=False, biases=True):
        """Step along minus the gradient, shrink by L1; the sums grow by the gradient's (mean) square afterwards."""
        rate = learning_rate / np.sqrt(self.factor_sums[row])
        moved = self.factors[row] + rate * factor_descent
        moved = np.sign(moved) * np.maximum(np.abs(moved) - rate * l1, 0)
        self.factors[row] = np.maximum(moved, 0) if nonnegative else moved
        if biases:
            self.biases[row] += learning_rate / np.sqrt(self.bias_sums[row]) * bias_descent
        self.factor_sums[row] += np.mean(factor_descent**2)
        self.bias_sums[row] += bias_descent**2


def sgd_epoch(triples, users, items, learning_rate, l2, loss=squared, offset=0.0, **how):
    """One step a triple (user, item, score, weight) in the given order on two Sides.

    `l2` is of users, items and biases; `how` goes to `Side.step`. Returns the sum of the losses before each step.
    """
    total = 0.0
    for user, item, score, weight in triples:
        p, q, b, c = users.factors[user].copy(), items.factors[item].copy(), users.biases[user], items.biases[item]
        value, descent = (weight * x for x in loss(score, p @ q + b + c + offset))
        total += value
        of_user, of_item, of_bias = l2
        users.step(user, descent * q - of_user * p, descent - of_bias * b, learning_rate, **how)
        items.step(item, descent * p - of_item * q, descent - of_bias * c, learning_rate, **how)
    return total


# --- evaluation ---------------------------------------------------------------------------------------------------


def ranking_measures(ranked, relevant, cuts):
    """Measures of one user's list, best first, at each cut; NDCG is binary, its ideal cut at min(k, relevant)."""
    relevant = set(relevant)
    measures = {}
    for k in cuts:
        hits = [item in relevant for item in ranked[:k]]
        most = min(k, len(relevant))
        gain = sum(hit / np.log2(rank + 2) for rank, hit in enumerate(hits))
        ideal = sum(1 / np.log2(rank + 2) for rank in range(most))
        precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
        measures[k] = {
            "recall": sum(hits) / len(relevant),
            "capped_recall": sum(hits) / most,
            "precision": sum(hits) / k,
            "ndcg": gain / ideal,
            "map": sum(precisions) / most,
            "mrr": next((1 / (rank + 1) for rank, hit in enumerate(hits) if hit), 0.0),
            "hit_rate": float(any(hits)),
        }
    return measures


# --- baselines ----------------------------------------------------------------------------------------------------


def ease(likes, regularization):
    """The matrix B of EASE out of a dense 0/1 matrix of likes (users, items)."""
    inverse = np.linalg.inv(likes.T @ likes + regularization * np.eye(likes.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def item_knn(likes, neighbours, shrinkage, weighting):
    """The similarities of items, in each row those of its neighbours, out of a dense 0/1 matrix of likes."""
    n_items = likes.shape[1]
    idf = np.log(n_items / np.maximum(likes.sum(1), 1)) ** 2
    weights = idf if weighting == "idf" else np.ones(len(likes))
    common = (likes.T * weights) @ likes
    lengths = np.sqrt(np.diag(common))
    out = np.zeros((n_items, n_items))
    for i in range(n_items):
        scale = lengths[i] * lengths + shrinkage
        similar = [common[i, j] / scale[j] if j != i and scale[j] > 0 else 0.0 for j in range(n_items)]
        for j in sorted(range(n_items), key=lambda j: (-np.float32(similar[j]), j))[:neighbours]:
            out[i, j] = similar[j]
    return out


# --- composed rows ------------------------------------------------------------------------------------------------


def tower(table, units, x):
    """What a hidden layer makes of rows, by the last rows of a table; and what its units get before they are cut."""
    width = table.shape[1]
    weights = table[len(table) - (2 * units + 1 + -(-units // width)) :]
    w1, w2, b2, b1 = weights[:units], weights[units : 2 * units], weights[2 * units], weights[2 * units + 1 :]
    z = x @ w1.T + b1.ravel()[:units]
    return x + np.maximum(z, 0) @ w2 + b2, z


def compose(indptr, parameters, coefficients, default_id, table, rows, dropped, unit, units=0):
    """Rows as sums of parameter rows, the first term of each being its id, which the default id replaces if dropped."""
    out = np.zeros((len(rows), table.shape[1]))
    for i, row in enumerate(rows):
        for t in range(indptr[row], indptr[row + 1]):
            replaced = dropped is not None and dropped[i] and t == indptr[row]
            out[i] += float(coefficients[t]) * table[default_id if replaced else parameters[t]]
    out = tower(table, units, out)[0] if units else out
    lengths = np.sqrt((out**2).sum(axis=1, keepdims=True))
    return np.divide(out, lengths, out=out, where=lengths > 0) if unit else out
