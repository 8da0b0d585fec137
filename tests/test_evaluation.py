"""`evaluate` against the oracle, and the popularity baseline."""

import numpy as np
import pytest

import mcfast
import oracle


def problem(seed=0, n_users=40, n_items=60):
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(n_users * n_items)[:900]
    users, items, scores = pairs // n_items, pairs % n_items, rng.integers(0, 5, 900)
    train, test = slice(0, 600), slice(600, None)
    return (users[train], items[train], scores[train]), (users[test], items[test], scores[test])


@pytest.mark.parametrize("relevant", [None, 3])
@pytest.mark.parametrize("denominator", ["relevant", "min"])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_measures_are_the_oracles(relevant, denominator, exclude_seen):
    train, test = problem()
    model = mcfast.fit(train, factors=4, epochs=3)
    cuts = [3, 10, 100]
    got = mcfast.evaluate(
        model, test, cuts, relevant=relevant, recall_denominator=denominator, exclude_seen=exclude_seen, threads=2
    )
    users, items, scores = test
    wanted = scores > 0 if relevant is None else scores >= relevant
    known = model.users.rows(users, "users", "skip") >= 0
    people = np.unique(users[wanted & known])
    lists = model.recommend(people, 100, exclude_seen=exclude_seen).ids
    expected = [
        oracle.ranking_measures(lists[row][lists[row] >= 0], items[wanted & (users == user)], cuts)
        for row, user in enumerate(people)
    ]
    assert got["users"] == len(people)
    for cut in cuts:
        for name in ("recall", "precision", "ndcg", "map", "mrr", "hit_rate"):
            source = "capped_recall" if (name, denominator) == ("recall", "min") else name
            mean = np.mean([measures[cut][source] for measures in expected])
            assert got[f"{name}@{cut}"] == pytest.approx(mean, rel=1e-12), (name, cut)
        listed = lists[:, :cut][lists[:, :cut] >= 0]
        assert got[f"coverage@{cut}"] == pytest.approx(len(np.unique(listed)) / model.n_items)
    error = model.predict(users, items, unknown="mean").astype(float) - scores
    assert got["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert got["mae"] == pytest.approx(np.mean(np.abs(error)))


def test_threads_and_batches_do_not_matter(monkeypatch):
    train, test = problem()
    model = mcfast.fit(train, factors=4, epochs=3)
    one = mcfast.evaluate(model, test, 5, threads=1)
    assert mcfast.evaluate(model, test, 5, threads=7) == one
    monkeypatch.setattr("mcfast.measures.BATCH", 7)
    assert mcfast.evaluate(model, test, 5) == pytest.approx(one, rel=1e-12)


def test_unknown_items_are_misses_and_unknown_users_are_told():
    model = mcfast.Model.from_factors(np.ones((1, 1)), [[2.0], [1]], users=["u"], items=["i", "j"])
    test = (["u", "u", "x", "u"], ["i", "new", "i", "j"], [1, 1, 1, 0])
    got = mcfast.evaluate(model, test, 2)
    assert (got["rows"], got["unknown_rows"], got["unknown_users"], got["users"]) == (4, 2, 1, 1)
    assert got["recall@2"] == 0.5
    assert got["precision@2"] == 0.5
    assert got["ndcg@2"] == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_test_data_without_a_relevant_row():
    model = mcfast.Model.from_factors(np.ones((1, 1)), np.ones((2, 1)))
    got = mcfast.evaluate(model, ([0, 0], [0, 1], [0, 0]))
    assert got["users"] == 0
    assert np.isnan(got["recall@20"])
    assert got["rmse"] == 1


def test_popularity_ranks_by_count_without_what_was_seen():
    train = (["a", "b", "c", "a", "b", "a"], ["x", "x", "x", "y", "y", "z"], [1, 0, 5, 1, 1, 1])
    model = mcfast.popularity(train)
    assert model.recommend("c", k=2).ids.tolist() == ["y", "z"]
    assert model.recommend("a", k=1).counts == 0
    assert model.recommend("nobody", k=3, unknown="mean").ids.tolist() == ["x", "y", "z"]
    got = mcfast.evaluate(model, (["c"], ["y"], [1]), 1)
    assert got["recall@1"] == 1
    assert "rmse" not in got
    assert got["popular_share@1"] == 0


def test_only_candidates_are_ranked_and_relevant():
    train, test = problem()
    model = mcfast.fit(train, factors=4, epochs=3)
    chosen = [*range(0, 60, 3), 0, 1000]  # one twice, and the last one is not known
    got = mcfast.evaluate(model, test, [3, 10], candidates=chosen)
    users, items, scores = test
    wanted = (scores > 0) & np.isin(items, chosen)
    people = np.unique(users[wanted])
    lists = model.recommend(people, 10, allow=chosen).ids
    expected = [
        oracle.ranking_measures(row[row >= 0], items[wanted & (users == user)], [3, 10])
        for row, user in zip(lists, people, strict=True)
    ]
    assert got["users"] == len(people)
    for cut in (3, 10):
        assert got[f"recall@{cut}"] == pytest.approx(np.mean([m[cut]["recall"] for m in expected]))
    with pytest.raises(ValueError, match="candidates: got 1 ids, none of them known"):
        mcfast.evaluate(model, test, candidates=[1000])


def test_buckets_part_the_relevant_items_by_popularity():
    train, test = problem()
    model = mcfast.fit(train, factors=4, epochs=3)
    users, items = np.r_[test[0], test[0][:1]], np.r_[test[1], 1000]  # an item that is not known
    test = (users, items, np.r_[test[2], 1])
    got = mcfast.evaluate(model, test, 10, buckets=3, exclude_seen=False)
    assert mcfast.evaluate(model, test, 10, exclude_seen=False).items() <= got.items()

    ids, counts = np.unique(train[1], return_counts=True)
    order = sorted(range(len(ids)), key=lambda i: (-counts[i], model.items.rows(int(ids[i]))[0]))
    bucket_of, before = {1000: 3}, 0
    for i in order:
        bucket_of[int(ids[i])] = min(3, 1 + before * 3 // 600)
        before += counts[i]
    shares = np.bincount([bucket_of[item] for item in train[1].tolist()])[1:]
    assert (np.abs(shares - 200) <= counts.max()).all()
    for bucket in (1, 2, 3):
        recalls = []
        for user in np.unique(users):
            own = items[(users == user) & (test[2] > 0)].tolist()
            if relevant := {item for item in own if bucket_of.get(item) == bucket}:
                listed = model.recommend(int(user), 10, exclude_seen=False).ids
                recalls.append(len(relevant & set(listed.tolist())) / len(relevant))
        assert got[f"recall@10.bucket{bucket}"] == pytest.approx(np.mean(recalls)), bucket


def test_intervals_are_quantiles_of_resampled_means():
    train, test = problem()
    model = mcfast.fit(train, factors=4, epochs=3)
    got = mcfast.evaluate(model, test, 5, confidence=0.8, resamples=200, seed=3)
    assert mcfast.evaluate(model, test, 5).items() <= got.items()
    assert got == mcfast.evaluate(model, test, 5, confidence=0.8, resamples=200, seed=3, threads=2)
    assert got != mcfast.evaluate(model, test, 5, confidence=0.8, resamples=200, seed=4)

    users, items, scores = test
    people = model.users.take(np.unique(model.users.rows(users[scores > 0])))  # in the order of rows
    recalls = [
        oracle.ranking_measures(model.recommend(int(u), 5).ids, items[(users == u) & (scores > 0)], [5])[5]["recall"]
        for u in people
    ]
    random = np.random.default_rng(3)
    means = [np.mean(np.take(recalls, random.integers(0, len(people), len(people)))) for _ in range(200)]
    assert [got["recall@5.low"], got["recall@5.high"]] == pytest.approx(np.quantile(means, [0.1, 0.9]))


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    from mcfast.bootstrap import intervals

    random = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        low, high = intervals(random.exponential(size=(80, 1)), 0.9, 200, trial)
        held += low[0] <= 1 <= high[0]
    assert 0.8 <= held / 200 <= 0.95


def test_intervals_pass_over_users_without_a_value():
    from mcfast.bootstrap import intervals

    values = np.array([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan]])
    low, high = intervals(values, 0.9, 100, 0)
    assert (low[0], high[0]) == (1, 3)
    assert (low[1], high[1]) == (2, 2)
    assert np.isnan([low[2], high[2]]).all()
    assert np.isnan(intervals(np.empty((0, 2)), 0.9, 10, 0)).all()


def sampled_problem():
    """Everybody has met item 0 and is tested on item 1 and on an unknown one; the scores of items fall by row."""
    model = mcfast.Model.from_factors(np.ones((500, 1)), -np.arange(5.0)[:, None], seen=(np.arange(500), [0] * 500))
    return model, (np.repeat(np.arange(500), 2), np.tile([1, 99], 500), np.ones(1000))


def test_sampled_ranks_among_what_was_not_met():
    model, test = sampled_problem()
    got = mcfast.evaluate_sampled(model, test, [1, 2], negatives=7)
    assert got == {
        "rows": 500,
        "left_out": 500,
        "sampled7_hit_rate@1": 1,
        "sampled7_ndcg@1": 1,
        "sampled7_hit_rate@2": 1,
        "sampled7_ndcg@2": 1,
    }


def test_sampled_is_what_chance_gives():
    model, _ = sampled_problem()
    test = (np.arange(500), [3] * 500, np.ones(500))  # items 1, 2, 4 are drawn; 1 and 2 are better
    got = mcfast.evaluate_sampled(model, test, [1, 2, 3], negatives=2)
    assert got["sampled2_hit_rate@1"] == pytest.approx(1 / 9, abs=0.05)
    assert got["sampled2_hit_rate@2"] == pytest.approx(5 / 9, abs=0.07)
    assert got["sampled2_hit_rate@3"] == 1
    gains = np.array([1 / 9, 4 / 9, 4 / 9]) / np.log2([2, 3, 4])
    assert got["sampled2_ndcg@3"] == pytest.approx(gains.sum(), abs=0.03)
    assert mcfast.evaluate_sampled(model, test, [1, 2, 3], negatives=2, threads=2) == got
    assert mcfast.evaluate_sampled(model, test, [1, 2, 3], negatives=2, seed=1) != got


def test_sampled_counts_equal_scores_as_better():
    model = mcfast.Model.from_factors(np.ones((3, 1)), np.ones((9, 1)))
    got = mcfast.evaluate_sampled(model, ([0, 1, 2], [0, 1, 2], [1, 1, 1]), 5, negatives=5)
    assert got["sampled5_hit_rate@5"] == 0


def test_sampled_leaves_out_who_has_met_everything():
    model = mcfast.Model.from_factors(np.ones((2, 1)), np.ones((2, 1)), seen=([0, 0], [0, 1]))
    got = mcfast.evaluate_sampled(model, ([0, 1], [0, 1], [1, 1]))
    assert (got["rows"], got["left_out"]) == (1, 1)
    assert np.isnan(mcfast.evaluate_sampled(model, ([0], [0], [1]))["sampled100_ndcg@10"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 0}, "k: got 0, expected an integer >= 1"),
        ({"k": []}, "k: got no number"),
        ({"k": "20"}, "k: got '2'"),
        ({"relevant": float("nan")}, "relevant: got nan"),
        ({"buckets": 0}, "buckets: got 0, expected an integer in 1..100"),
        ({"confidence": 0}, "confidence: got 0.0, expected a finite number > 0 and <= 1"),
        ({"resamples": 1}, "resamples: got 1, expected an integer >= 10"),
        ({"candidates": 3.5}, "candidates"),
        ({"recall_denominator": "k"}, "recall_denominator: got 'k', expected one of 'relevant', 'min'"),
    ],
)
def test_evaluate_refuses(options, words):
    train, test = problem()
    model = mcfast.fit(train, factors=1, epochs=1)
    with pytest.raises((ValueError, TypeError), match=words):
        mcfast.evaluate(model, test, **options)


def test_evaluate_refuses_what_is_no_model():
    with pytest.raises(TypeError, match="model: got str, expected a Model or a baseline"):
        mcfast.evaluate("model", problem()[1])
