"""What a model answers, against plain NumPy."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mcfast
import oracle

GOLDEN = Path(__file__).parent / "golden"


def make(n_users=7, n_items=11, k=5, seed=0, **options):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((n_users, k)), rng.standard_normal((n_items, k))
    options.setdefault("user_biases", rng.standard_normal(n_users))
    options.setdefault("item_biases", rng.standard_normal(n_items))
    options.setdefault("users", [f"u{i}" for i in range(n_users)])
    options.setdefault("items", np.arange(n_items) * 10 - 30)
    return mcfast.Model.from_factors(a, b, mean=3.5, **options)


def scores_of(model):
    """Every score, in float64."""
    a, b = model.user_factors.astype(float), model.item_factors.astype(float)
    return model.mean + model.user_biases.astype(float)[:, None] + model.item_biases.astype(float) + a @ b.T


def test_factors_are_views_that_cannot_be_changed():
    model = make()
    assert model.user_factors.shape == (7, 5)
    assert model.item_factors.shape == (11, 5)
    assert np.shares_memory(model.user_factors, model.user_factors)
    for array in (model.user_factors, model.item_factors, model.user_biases, model.item_biases):
        assert array.dtype == np.float32
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("k", [1, 2, 15, 16, 17, 64, 100])
def test_predict(k):
    model = make(k=k)
    expected = scores_of(model)
    block = model.predict_block(model.users.values, model.items.values)
    np.testing.assert_allclose(block, expected, rtol=1e-6, atol=1e-6)
    users, items = np.meshgrid(model.users.values, model.items.values, indexing="ij")
    pairs = model.predict(users.ravel(), items.ravel())
    np.testing.assert_array_equal(pairs.reshape(block.shape), block)
    for threads in (1, 2, 7):
        np.testing.assert_array_equal(model.predict(users.ravel(), items.ravel(), threads=threads), pairs)


def test_predict_one_user_for_many_items():
    model = make()
    np.testing.assert_array_equal(
        model.predict("u3", model.items.values), model.predict_block(["u3"], model.items.values)[0]
    )
    assert model.predict("u3", -30).shape == (1,)


def test_predict_of_unknown_ids():
    model = make()
    with pytest.raises(mcfast.UnknownIdError, match="users: got unknown ids 'x', expected ids among the 7 known ones"):
        model.predict(["u0", "x"], [0, 0])
    got = model.predict(["u0", "x", "u0", "x"], [0, 0, 7, 7], unknown="mean")
    item = model.items.rows([0])[0]
    expected = [scores_of(model)[0, item], 3.5 + model.item_biases[item], 3.5 + model.user_biases[0], 3.5]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_predict_refuses_lists_of_different_length():
    with pytest.raises(ValueError, match="users, items: got 2 users and 3 items, expected equally many"):
        make().predict(["u0", "u1"], [0, 10, 20])


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**31), st.booleans())
@settings(max_examples=60, deadline=None)
def test_recommend_is_the_ranking_of_the_oracle(n_users, n_items, k, seed, exclude_seen):
    rng = np.random.default_rng(seed)
    n_seen = rng.integers(0, n_users * n_items // 2 + 1)
    pairs = rng.integers(0, n_users, n_seen), rng.integers(0, n_items, n_seen)
    model = make(n_users, n_items, 6, seed, users=None, items=None, seen=pairs)
    got = model.recommend(np.arange(n_users), k, exclude_seen=exclude_seen)
    padded_users, padded_items = (np.pad(x, ((0, 0), (0, 10))) for x in (model.user_factors, model.item_factors))
    for user in range(n_users):
        excluded = pairs[1][pairs[0] == user] if exclude_seen else []
        rows, scores = oracle.top_k(padded_users[user], padded_items, k, model.item_biases, exclude=excluded)
        count = len(rows)
        assert got.counts[user] == count
        np.testing.assert_array_equal(got.ids[user, :count], rows)
        assert (got.ids[user, count:] == -1).all()
        assert (got.scores[user, count:] == -np.inf).all()
        np.testing.assert_array_equal(
            got.scores[user, :count], model.predict_block([user], rows)[0] if count else scores
        )


def test_recommend_one_user_has_no_leading_dimension():
    model = make()
    one, many = model.recommend("u2", k=4), model.recommend(["u2"], k=4)
    assert one.ids.shape == one.scores.shape == (4,)
    assert one.counts == 4
    np.testing.assert_array_equal(one.ids, many.ids[0])


def test_recommend_restricted_and_excluding():
    model = make()
    allowed = model.recommend("u0", k=5, allow=[0, 10, 999_999])
    assert set(allowed.ids[:2].tolist()) == {0, 10}
    assert allowed.ids[2:].tolist() == [-1, -1, -1]
    assert allowed.counts == 2
    without = model.recommend("u0", k=11, exclude=[0, 10, 999_999])
    assert without.counts == 9
    assert not {0, 10} & set(without.ids.tolist())
    both = model.recommend("u0", k=5, allow=[0, 10], exclude=[10])
    assert both.ids[0] == 0
    assert both.counts == 1
    with pytest.raises(ValueError, match="allow: got 1 ids, none of them known"):
        model.recommend("u0", allow=[999_999])
    assert model.recommend("u0", k=3, allow=[]).counts == 0


def test_recommend_for_unknown_users_follows_the_item_biases():
    model = make(seen=(["u0"], [0]))
    with pytest.raises(mcfast.UnknownIdError, match="users"):
        model.recommend("nobody")
    got = model.recommend(["nobody"], k=11, unknown="mean")
    np.testing.assert_array_equal(model.items.rows(got.ids[0]), np.argsort(-model.item_biases, kind="stable"))
    np.testing.assert_allclose(got.scores[0], 3.5 + np.sort(model.item_biases)[::-1], rtol=1e-6)


@pytest.mark.parametrize("k", [0, -1])
def test_recommend_refuses_k(k):
    with pytest.raises(ValueError, match=f"k: got {k}, expected an integer >= 1"):
        make().recommend("u0", k=k)


def test_recommend_with_string_items_pads_with_none():
    model = make(items=[f"i{i}" for i in range(11)], seen=(["u1"] * 10, [f"i{i}" for i in range(10)]))
    got = model.recommend(["u1", "u2"], k=3)
    assert got.ids[0].tolist() == ["i10", None, None]
    assert None not in got.ids[1]
    everything = make(seen=(["u1"] * 11, make().items.values))
    assert everything.recommend("u1", k=3).counts == 0


def test_recommend_over_several_batches_equals_one_by_one(monkeypatch):
    model = make(n_users=50, users=None)
    expected = model.recommend(np.arange(50), k=4)
    monkeypatch.setattr("mcfast.ranking.BATCH", 7)
    for part, whole in zip(model.recommend(np.arange(50), k=4), expected, strict=True):
        np.testing.assert_array_equal(part, whole)


@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_similar(metric):
    model = make(k=6)
    got = model.similar_items(model.items.values, k=4, metric=metric)
    b = model.item_factors.astype(float)
    if metric == "cosine":
        b = b / np.linalg.norm(b, axis=1, keepdims=True)
    scores = b @ b.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(model.items.rows(got.ids.ravel()).reshape(-1, 4), order)
    np.testing.assert_allclose(got.scores, np.take_along_axis(scores, order, 1), rtol=1e-5, atol=1e-6)
    one = model.similar_users("u1", k=20, metric=metric)
    assert one.counts == 6
    assert "u1" not in one.ids.tolist()
    assert one.ids[6:].tolist() == [None] * 14


def test_similar_of_a_zero_vector_is_zero():
    model = mcfast.Model.from_factors(np.ones((1, 2)), [[0, 0], [1, 2], [-1, 3]])
    got = model.similar_items(0, k=2)
    assert got.scores.tolist() == [0, 0]
    assert got.ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"a": [[np.nan, 1]]}, r"user_factors: got nan at \[0, 0\], expected finite numbers"),
        ({"b": [[1, np.inf]]}, r"item_factors: got inf at \[0, 1\]"),
        ({"b": [[1.0, 2, 3]]}, r"item_factors: got shape \(1, 3\), expected numbers of shape \(any, 2\)"),
        ({"a": ["xy"]}, "user_factors: got values of dtype <U2"),
        ({"a": np.ones((1, 1025)), "b": np.ones((1, 1025))}, r"got 1025, expected an integer in 1\.\.1024"),
        ({"a": [[1e300, 1]]}, "user_factors: got 1e\\+300"),
        ({"users": [1, 2]}, "users: got 2 ids, expected 1, one for each row of factors"),
        ({"item_biases": [1, 2]}, r"item_biases: got shape \(2,\), expected numbers of shape \(1,\)"),
        ({"mean": float("nan")}, "mean: got nan, expected a finite number"),
        ({"seen": ([0], [])}, "seen: got 1 users and 0 items"),
    ],
)
def test_from_factors_refuses(change, words):
    arguments = {"a": [[1.0, 2]], "b": [[3.0, 4]], **change}
    with pytest.raises((ValueError, TypeError), match=words):
        mcfast.Model.from_factors(arguments.pop("a"), arguments.pop("b"), **arguments)


def test_from_factors_takes_any_layout():
    a = np.asfortranarray(np.arange(12.0).reshape(4, 3))[::2]
    model = mcfast.Model.from_factors(a, np.ones((2, 3), np.float16))
    np.testing.assert_array_equal(model.user_factors, a.astype(np.float32))


def test_to_arrow():
    model = make()
    users, items = model.to_arrow()
    assert users.column_names == items.column_names == ["id", "factors", "bias"]
    assert users["id"].to_pylist() == model.users.values.tolist()
    np.testing.assert_array_equal(np.array(items["factors"].to_pylist(), np.float32), model.item_factors)
    np.testing.assert_array_equal(items["bias"].to_numpy(), model.item_biases)


@pytest.mark.parametrize("items", [None, ["", "é", "x" * 10_000, *(str(i) for i in range(8))]])
def test_save_and_load(tmp_path, items):
    model = make(items=items, seen=(["u1", "u1"], make(items=items).items.values[:2]))
    model.save(tmp_path / "m")
    got = mcfast.load(tmp_path / "m")
    assert got.users == model.users
    assert got.items == model.items
    assert (got.mean, got.parameters, got.history, got.metrics) == (model.mean, model.parameters, model.history, {})
    for name in ("user_factors", "item_factors", "user_biases", "item_biases"):
        np.testing.assert_array_equal(getattr(got, name), getattr(model, name))
    np.testing.assert_array_equal(got.seen.rows, model.seen.rows)
    for x, y in zip(got.recommend(["u1", "u2"], k=12), model.recommend(["u1", "u2"], k=12), strict=True):
        np.testing.assert_array_equal(x, y)
    got.save(tmp_path / "m")  # over the files it is mapped from
    np.testing.assert_array_equal(mcfast.load(tmp_path / "m").user_factors, model.user_factors)


def test_golden_file_of_format_1():
    model = mcfast.load(GOLDEN / "model-1")
    assert model.users.values.tolist() == ["ann", "bob", "çem"]
    assert model.items.values.tolist() == [-5, 7, 2**40, 0]
    assert (model.factors, model.mean, model.n_users, model.n_items) == (3, 2.5, 3, 4)
    np.testing.assert_array_equal(model.user_factors, np.arange(9, dtype=np.float32).reshape(3, 3) / 8)
    np.testing.assert_array_equal(model.item_factors, np.arange(12, dtype=np.float32).reshape(4, 3) / -4)
    assert model.user_biases.tolist() == [0.5, 0.25, -1]
    assert model.item_biases.tolist() == [0, 1, 2, 3]
    assert model.recommend("bob", k=4).ids.tolist() == [-5, 7, 0, -1]
    assert model.metrics == {"validation_rmse": 0.875}
    assert model.history[0]["number"] == 1
