"""The problems that figures are measured on, so that every figure is of the same work.

``python bench/problems.py DIR`` writes the 18 M training set: train.csv and test.csv with a header, and the same as raw
arrays (u.bin, i.bin int32, y.bin float32; ut.bin, it.bin, yt.bin of the test part).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CHUNK = 1 << 20  # scores planted at a time; part of the law, since it orders the draws


class Part(NamedTuple):
    """Triples as three arrays: users int32, items int32, scores float32."""

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]


def ml20m_shape(
    n_users: int = 138_000, n_items: int = 27_000, n: int = 20_000_000, rank: int = 16, seed: int = 0
) -> tuple[Part, Part]:
    """Draw triples in the shape of MovieLens-20M, their scores planted.

    Users and items follow Zipf-like laws (exponents 0.75 and 0.9, offsets 20 and 10); pairs are distinct, ids shuffled.
    The score is 3.5 + b_u + b_i + 0.5 <a_u, b_i> + 0.75 noise, with b ~ 0.4 N(0, 1) and factors ~ N(0, 1) / rank^0.25,
    rounded to halves and clipped to 0.5..5.

    Parameters
    ----------
    n_users, n_items : int
        The size of the matrix.
    n : int
        The number of observed cells; fewer where the draws hold fewer distinct pairs.
    rank : int
        The number of planted factors.
    seed : int
        Of all draws but the split, which is always by ``default_rng(1)``.

    Returns
    -------
    train, test : Part
        Nine tenths and one tenth: 18.0 M and 2.0 M triples by default.
    """
    rng = np.random.default_rng(seed)
    user_law, item_law = (np.arange(n_users) + 20.0) ** -0.75, (np.arange(n_items) + 10.0) ** -0.9
    draws = int(n * 1.35)
    keys = _draw(rng, user_law, draws) * n_items + _draw(rng, item_law, draws)
    keys = rng.permutation(np.unique(keys))[:n]
    users = rng.permutation(n_users)[keys // n_items].astype(np.int32)
    items = rng.permutation(n_items)[keys % n_items].astype(np.int32)

    a, b = (rng.standard_normal((m, rank)).astype(np.float32) / rank**0.25 for m in (n_users, n_items))
    user_biases, item_biases = (0.4 * rng.standard_normal(m) for m in (n_users, n_items))
    scores = np.empty(len(users), np.float32)
    for start in range(0, len(users), CHUNK):
        u, i = users[start : start + CHUNK], items[start : start + CHUNK]
        taste = 0.5 * np.einsum("nk,nk->n", a[u], b[i])
        noise = 0.75 * rng.standard_normal(len(u))
        scores[start : start + CHUNK] = 3.5 + user_biases[u] + item_biases[i] + taste + noise
    scores = np.clip(np.round(scores * 2) / 2, 0.5, 5).astype(np.float32)

    held_out = np.random.default_rng(1).random(len(users)) < 0.1
    train, test = (Part(users[rows], items[rows], scores[rows]) for rows in (~held_out, held_out))
    return train, test


def vectors(
    n: int, k: int = 64, n_queries: int = 2000, seed: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Draw item vectors from 500 clusters, with lognormal norms (sigma 0.3), and queries from the same clusters.

    Parameters
    ----------
    n, n_queries : int
        How many items and queries.
    k : int
        The length of a vector.
    seed : int
        Of all draws.

    Returns
    -------
    items, queries : numpy.ndarray
        (n, k) and (n_queries, k), float32.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((500, k))

    def near_centres(m: int) -> npt.NDArray[np.float32]:
        return (centres[rng.integers(0, 500, m)] * 0.7 + 0.7 * rng.standard_normal((m, k))).astype(np.float32)

    items = near_centres(n)
    items *= np.exp(0.3 * rng.standard_normal((n, 1))).astype(np.float32) / 8
    return items, near_centres(n_queries) / 8


def write(folder: Path, train: Part, test: Part) -> None:
    """Write both parts as CSV (user, item, score) and as raw arrays."""
    import pyarrow as pa
    from pyarrow import csv

    folder.mkdir(parents=True, exist_ok=True)
    for name, suffix, part in (("train", "", train), ("test", "t", test)):
        for letter, array in zip("uiy", part, strict=True):
            array.tofile(folder / f"{letter}{suffix}.bin")
        csv.write_csv(pa.table(dict(zip(("user", "item", "score"), part, strict=True))), folder / f"{name}.csv")


def _draw(rng: np.random.Generator, law: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.int64]:
    """Draw `n` of the numbers 0..len(law)-1, each in proportion to its entry."""
    return np.minimum(np.searchsorted(np.cumsum(law / law.sum()), rng.random(n)), len(law) - 1).astype(np.int64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the 18 M training set, as CSV and as raw arrays.")
    parser.add_argument("folder", type=Path)
    write(parser.parse_args().folder, *ml20m_shape())
