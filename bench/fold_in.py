"""Users folded into models of ranking beside users that were trained: Recall@20 on MovieLens-100K.

python bench/fold_in.py

Ratings of 4 and more, 80:20. A tenth of the users is left out of a model whole, and folded in out of their training
part; another model is trained with them. Recall@20 of their test part, of those items that can be among 20. Beside it:
ridge regression to 1, the mean of the items' vectors, and what is most popular.
"""

from __future__ import annotations

import numpy as np

import mcfast
from mcfast import datasets
from mcfast.folding import regularization, ridge

CUT = 20
COMMON = {"factors": 64, "n_negatives": 128, "progress": False}
COSINE = {"loss": "softmax", "similarity": "cosine"}
MODELS = {
    "softmax, cosine": COSINE | {"epochs": 30},
    "softmax, ip": {"loss": "softmax", "epochs": 20, "regularization": 0.003},
    "bsl, cosine": {"loss": "bsl", "similarity": "cosine", "epochs": 30, "temperature": 0.15},
    "bpr, ip": {"loss": "bpr", "epochs": 40, "regularization": 0.01},
    "softmax, cosine, histories": COSINE | {"epochs": 15, "history": True},
}


def recall(model: mcfast.Model, scores: np.ndarray, taken: np.ndarray, wanted: set) -> float:
    scores = np.array(scores, np.float64)
    scores[model.items.rows(taken, "taken")] = -np.inf
    best = model.items.values[np.argpartition(-scores, CUT)[:CUT]]
    return len(wanted & set(best.tolist())) / min(len(wanted), CUT)


def main() -> None:
    triples = datasets.movielens_100k().triples
    train, test = triples.select(triples.scores >= 4).split_random(0.2, seed=1)
    users = np.random.default_rng(5).permutation(train.n_users)[: train.n_users // 10]
    rest = train.select(~np.isin(train.users, users))
    for name, options in MODELS.items():
        full, part = (mcfast.fit(data, **COMMON, **options) for data in (train, rest))
        popular = part.seen.item_counts(part.n_items)
        strength = regularization(part.parameters)
        measured = []
        for user in users:
            id = train.user_ids.values[user]
            taken = train.item_ids.values[train.items[train.users == user]]
            wanted = set(test.item_ids.values[test.items[test.user_ids.values[test.users] == id]].tolist())
            known = taken[np.isin(taken, part.items.values)]
            if not len(known) or not wanted:
                continue
            own = part.item_factors[part.items.rows(known, "known")]
            vectors = {
                "folded in": part.fold_in(known).vector,
                "ridge": ridge(own, np.ones(len(own)), strength, biased=False).vector,
                "mean": own.mean(axis=0),
            }
            of_full = full.item_factors @ full.user_factors[full.users.rows([id], "user")[0]]
            row = {"trained": recall(full, of_full, taken, wanted)}
            row |= {way: recall(part, part.item_factors @ vector, known, wanted) for way, vector in vectors.items()}
            measured.append(row | {"popular": recall(part, popular, known, wanted)})
        means = "   ".join(f"{way} {np.mean([row[way] for row in measured]):.4f}" for way in measured[0])
        print(f"{name:<27} {len(measured)} users   {means}", flush=True)


if __name__ == "__main__":
    main()
