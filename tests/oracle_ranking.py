"""Ranking losses in NumPy, float64. Never imports mcfast."""

import numpy as np

# Each loss of a positive's score z and negatives' scores x: its value, and its derivatives by z and by x. `margin` and
# `weight` are those of the losses that have them.


def softmax(z, x, margin, weight):
    most = max(z, x.max(initial=-np.inf))
    own, others = np.exp(z - most), np.exp(x - most)
    total = own + others.sum()
    return most + np.log(total) - z, own / total - 1, others / total


def bsl(z, x, margin, weight):
    others = np.exp(x - x.max())
    return weight * (x.max() + np.log(others.sum())) - z, -1.0, weight * others / others.sum()


def bpr(z, x, margin, weight):
    slopes = 1 / (1 + np.exp(z - x)) / len(x)
    return np.logaddexp(0, x - z).mean(), -slopes.sum(), slopes


def pairwise_hinge(z, x, margin, weight):
    slopes = (margin - z + x > 0) / len(x)
    return np.maximum(0, margin - z + x).mean(), -slopes.sum(), slopes


def logistic(z, x, margin, weight):
    value = np.logaddexp(0, -z) + weight * np.logaddexp(0, x).mean()
    return value, -1 / (1 + np.exp(z)), weight / len(x) / (1 + np.exp(-x))


def ccl(z, x, margin, weight):
    return 1 - z + weight * np.maximum(0, x - margin).mean(), -1.0, weight * (x > margin) / len(x)


LOSSES = {
    "softmax": softmax,
    "bsl": bsl,
    "bpr": bpr,
    "pairwise-hinge": pairwise_hinge,
    "logistic": logistic,
    "ccl": ccl,
}


def score(a, b, cosine, temperature):
    """The score of two vectors, and its derivatives by them."""
    if not cosine:
        return a @ b / temperature, b / temperature, a / temperature
    s, t = np.linalg.norm(a), np.linalg.norm(b)
    c = a @ b / (s * t)
    return c / temperature, (b / t - c * a / s) / (s * temperature), (a / s - c * b / t) / (t * temperature)


def pair_loss(user, positive, negatives, loss, cosine, temperature, corrections, margin=0.0, weight=1.0):
    """The loss of one positive against negatives, and its derivatives by user, positive, negatives, log temperature."""
    z, by_user, by_item = score(user, positive, cosine, temperature)
    parts = [score(user, negative, cosine, temperature) for negative in negatives]
    scores = np.array([part[0] for part in parts])
    value, slope, slopes = LOSSES[loss](z, scores - corrections, margin, weight)
    of_user = slope * by_user + sum(s * part[1] for s, part in zip(slopes, parts, strict=True))
    of_negatives = np.array([s * part[2] for s, part in zip(slopes, parts, strict=True)])
    return value, of_user, slope * by_item, of_negatives, -(slope * z + slopes @ scores)


class Rows:
    """The vectors of one side and their optimiser: row-wise AdaGrad, or Adam with a mean square and a clock a row."""

    def __init__(self, rows, cosine, optimizer, factors=None):
        self.rows, self.cosine, self.optimizer = rows.astype(np.float64), cosine, optimizer
        self.factors = factors or rows.shape[1]  # that are not padding
        self.squares, self.counts = np.zeros(len(rows)), np.zeros(len(rows), int)
        self.momentum = np.zeros(rows.shape)

    def step(self, row, gradient, rate):
        x = self.rows[row]
        if self.cosine and x.any():
            gradient = gradient - (gradient @ x) / (x @ x) * x
        square = (gradient**2).sum() / self.factors
        if self.optimizer == "adagrad":
            self.squares[row] += square
            move = gradient / np.sqrt(self.squares[row] + 1e-20)
        else:
            self.counts[row] += 1
            t = self.counts[row]
            self.squares[row] = 0.999 * self.squares[row] + 0.001 * square
            self.momentum[row] = 0.9 * self.momentum[row] + 0.1 * gradient
            move = self.momentum[row] / (1 - 0.9**t) / np.sqrt(self.squares[row] / (1 - 0.999**t) + 1e-20)
        x = x - rate * move
        self.rows[row] = x / np.linalg.norm(x) if self.cosine and x.any() else x


def epoch_of_one_step(
    pairs, users, items, loss, rate, temperature, l2=0.0, mask=None, corrections=None, margin=0.0, weight=1.0
):
    """One step on all pairs, every item being a negative of each pair but those that `mask` names for its user.

    Returns the mean loss before the step, and the derivative of the sum by the logarithm of the temperature.
    """
    n = len(items.rows)
    of_users, of_items = np.zeros(users.rows.shape), np.zeros(items.rows.shape)
    total = by_temperature = 0.0
    for user, item in pairs:
        left = np.array([j for j in range(n) if j not in ({item} if mask is None else mask[user])])
        value, a, b, c, t = pair_loss(
            users.rows[user], items.rows[item], items.rows[left], loss, users.cosine, temperature,
            np.zeros(len(left)) if corrections is None else corrections[left], margin, weight,
        )  # fmt: skip
        total += value
        by_temperature += t
        of_users[user] += a + l2 * users.rows[user]
        of_items[item] += b + l2 * items.rows[item]
        of_items[left] += c
    for row in sorted({user for user, _ in pairs}):
        users.step(row, of_users[row], rate)
    for row in range(n):
        items.step(row, of_items[row], rate)
    return total / len(pairs), by_temperature


def parts(terms, row, without=None):
    """The parameters that a row is the sum of, and their coefficients; its history leaves out one item."""
    indptr, parameters, coefficients, _, _, histories, first_item, power, _ = terms
    last = indptr[row + 1]
    history = last if histories is None else histories[row]
    own = list(zip(parameters[indptr[row] : history].tolist(), coefficients[indptr[row] : history], strict=True))
    others = [p for p in parameters[history:last].tolist() if without is None or p != first_item + without]
    return own + [(p, len(others) ** -power) for p in others]


def tower_rows(terms, width):
    """The parameters that are weights of a tower."""
    units = terms[8]
    return range(terms[3] - (2 * units + 1 + -(-units // width)) if units else terms[3], terms[3])


def composed(terms, table, made):
    """A sum of parameters with what a tower adds; and a function from its slope to those of the sum and the table."""
    x, units = sum(by * table[p] for p, by in made), terms[8]
    if not units:
        return x, lambda d: (d, np.zeros(table.shape))
    w = table[tower_rows(terms, table.shape[1]).start :]
    w1, w2, b2, b1 = w[:units], w[units : 2 * units], w[2 * units], w[2 * units + 1 :].ravel()
    z = w1 @ x + b1[:units]

    def back(d):
        slopes, d_z = np.zeros(table.shape), (w2 @ d) * (z > 0)
        of_b1 = np.zeros(b1.shape)
        of_b1[:units] = d_z
        own = np.outer(d_z, x), np.outer(np.maximum(z, 0), d), d[None], of_b1.reshape(-1, len(x))
        slopes[tower_rows(terms, table.shape[1]).start :] = np.concatenate(own)
        return d + d_z @ w1, slopes

    return x + np.maximum(z, 0) @ w2 + b2, back


def composed_step(pairs, tables, terms, loss, cosine, temperature, l2=0.0, margin=0.0, weight=1.0):
    """The loss of all pairs, every other item being a negative of each, where both sides are sums of parameters.

    Returns the sum of the losses, that with the penalty, and the derivatives of the latter by both tables.
    """
    n_items = len(terms[1][0]) - 1
    slopes = [np.zeros(table.shape) for table in tables]

    def add(side, made, back, slope):
        of_sum, of_tower = back(slope)
        slopes[side] += of_tower
        for p, by in made:
            slopes[side][p] += by * of_sum

    total = penalty = 0.0
    items = [parts(terms[1], i) for i in range(n_items)]
    made_items = [composed(terms[1], tables[1], made) for made in items]
    of_items = np.array([x for x, _ in made_items])
    for user, item in pairs:
        left = [j for j in range(n_items) if j != item]
        made = parts(terms[0], user, item)
        x, back = composed(terms[0], tables[0], made)
        value, a, b, c, _ = pair_loss(
            x, of_items[item], of_items[left], loss, cosine, temperature, np.zeros(len(left)), margin, weight
        )
        total += value
        if not cosine:
            penalty += l2 / 2 * (x @ x + of_items[item] @ of_items[item])
            a, b = a + l2 * x, b + l2 * of_items[item]
        add(0, made, back, a)
        add(1, items[item], made_items[item][1], b)
        for j, slope in zip(left, c, strict=True):
            add(1, items[j], made_items[j][1], slope)
    return total, total + penalty, slopes
