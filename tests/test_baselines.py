"""Baselines against dense matrices, and asked as a model is asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcfast
import oracle
from mcfast.baselines import blocks, inversion
from mcfast.seen import Seen


def problem(n_users=50, n_items=30, seed=0):
    """Likes with some structure, and exposures without a like."""
    random = np.random.default_rng(seed)
    affinity = random.normal(size=(n_users, 3)) @ random.normal(size=(3, n_items)) + random.normal(size=n_items)
    likes = (affinity > 1.5).astype(float)
    likes[4] = 0  # likes nothing
    likes[:, 5] = 0  # liked by nobody
    exposed = (likes > 0) | (random.random(likes.shape) < 0.1)
    users, items = np.nonzero(exposed)
    order = random.permutation(len(users))
    users, items = users[order], items[order]
    everything = mcfast.Triples(
        users.astype(np.int32),
        items.astype(np.int32),
        likes[users, items].astype(np.float32),
        None,
        mcfast.Ids(np.arange(n_users) * 10),
        mcfast.Ids([f"item {i}" for i in range(n_items)]),
    )
    return likes, exposed, everything


SHAPES = pytest.mark.parametrize("shape", [(50, 30), (30, 50)], ids=["fewer items", "fewer users"])


@pytest.fixture(params=[1 << 22, 70], ids=["one block", "small blocks"])
def block(request, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", request.param)


@SHAPES
@pytest.mark.parametrize("panel", [7, 1024])
def test_ease_is_the_oracles(shape, panel, block, monkeypatch):
    monkeypatch.setattr(inversion, "PANEL", panel)
    likes, _, triples = problem(*shape)
    model = mcfast.ease(triples, regularization=3.0)
    expected = likes @ oracle.ease(likes, 3.0)
    np.testing.assert_allclose(model.score_block(np.arange(shape[0], dtype=np.int32)), expected, rtol=0, atol=2e-6)


@SHAPES
@pytest.mark.parametrize("neighbours", [1, 4, 100])
@pytest.mark.parametrize(("shrinkage", "weighting"), [(0.0, "none"), (0.0, "idf"), (2.5, "idf")])
def test_item_knn_is_the_oracles(shape, neighbours, shrinkage, weighting, block):
    likes, _, triples = problem(*shape)
    model = mcfast.item_knn(triples, neighbours=neighbours, shrinkage=shrinkage, weighting=weighting)
    expected = likes @ oracle.item_knn(likes, neighbours, shrinkage, weighting)
    np.testing.assert_allclose(model.score_block(np.arange(shape[0], dtype=np.int32)), expected, rtol=1e-5, atol=1e-7)


MAKERS = pytest.mark.parametrize("make", [mcfast.ease, mcfast.item_knn], ids=["ease", "item_knn"])


@MAKERS
@SHAPES
def test_recommend_is_a_sort_of_the_scores(make, shape, block):
    _, exposed, triples = problem(*shape)
    model = make(triples)
    rows = np.arange(shape[0], dtype=np.int32)
    scores = model.score_block(rows)
    chosen = [f"item {i}" for i in range(0, shape[1], 2)]
    cases = [({}, exposed), ({"exclude_seen": False}, exposed & False)]
    cases.append(
        ({"allow": chosen, "exclude": ["item 2", "item 999"]}, exposed | np.isin(np.arange(shape[1]) % 2, [1]))
    )
    cases[-1][1][:, 2] = True
    for options, out in cases:
        got = model.recommend(rows * 10, 12, **options)
        for user in rows:
            order = [i for i in np.lexsort((np.arange(shape[1]), -scores[user])) if not out[user, i]][:12]
            assert got.ids[user].tolist() == [f"item {i}" for i in order] + [None] * (12 - len(order))
            assert got.scores[user].tolist() == scores[user, order].tolist() + [-np.inf] * (12 - len(order))
            assert got.counts[user] == len(order)


@MAKERS
def test_unknown_users(make):
    model = make(problem()[2])
    with pytest.raises(mcfast.UnknownIdError, match="users: got unknown ids 7"):
        model.recommend([0, 7])
    got = model.recommend([7, 0], 3, unknown="mean")
    assert got.ids[0].tolist() == ["item 0", "item 1", "item 2"]
    assert got.scores[0].tolist() == [0, 0, 0]
    assert got.ids[1].tolist() == model.recommend(0, 3).ids.tolist()


@MAKERS
def test_pairs_score_as_blocks_do(make, block):
    model = make(problem()[2])
    random = np.random.default_rng(0)
    users, items = random.integers(-1, 50, 200).astype(np.int32), random.integers(-1, 30, 200).astype(np.int32)
    scores = model.score_block(np.arange(50, dtype=np.int32))
    expected = np.where((users < 0) | (items < 0), 0, scores[users, items])
    assert model.predict_rows(users, items, 1).tolist() == expected.tolist()


@MAKERS
def test_evaluate_takes_baselines(make):
    _, _, triples = problem(200, 40)
    train, test = triples.split_random(0.2)
    got = mcfast.evaluate(make(train), test, 5)
    popular = mcfast.evaluate(mcfast.popularity(train), test, 5)
    assert "rmse" not in got
    assert got["users"] == popular["users"]
    assert got["ndcg@5"] > 1.2 * popular["ndcg@5"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda t: mcfast.ease(t, regularization=0), "regularization: got 0.0, expected a finite number > 0"),
        (
            lambda t: mcfast.ease(t, most=29),
            r"triples: got 50 users and 30 items, expected at most 29 of one of them: EASE would take 0\.0 GB",
        ),
        (lambda t: mcfast.item_knn(t, neighbours=0), "neighbours: got 0, expected an integer >= 1"),
        (lambda t: mcfast.item_knn(t, shrinkage=-1), "shrinkage: got -1.0, expected a finite number >= 0"),
        (lambda t: mcfast.item_knn(t, weighting="bm25"), "weighting: got 'bm25', expected one of 'idf', 'none'"),
    ],
)
def test_wrong_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make(problem()[2])


def test_popularity_of_attributes():
    items = {"id": ["a", "b", "c", "new", "other"], "tag": [["x"], ["x", "y"], ["y"], ["x", "z"], ["z"]]}
    met = ["a", "a", "a", "b", "b", "c", "new", "other"]
    triples = mcfast.Triples.from_arrays([1, 2, 3, 1, 2, 1, 1, 1], met, [1] * 8)
    train = triples.select(slice(0, 6))  # likes: a 3, b 2, c 1
    train.scores[4] = 0  # b 1
    model = mcfast.popularity(train, item_features=items)
    # x: (3 + 1) / 2 a training item, y: (1 + 1) / 2, z: none
    assert model.item_biases.tolist() == [2, 1.5, 1, 1, 0]
    assert model.recommend(3, 5).ids.tolist() == ["b", "c", "new", "other", None]


# --- what they are made of ----------------------------------------------------------------------------------------


@given(st.data())
def test_best(data):
    n, width, k = (data.draw(st.integers(1, most)) for most in (4, 9, 12))
    numbers = st.sampled_from([-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-40, 0.5, 3e38])
    scores = np.array(data.draw(st.lists(numbers, min_size=n * width, max_size=n * width)), np.float32)
    scores = scores.reshape(n, width)
    places, values = blocks.best(scores, k)
    for row, got, worth in zip(scores, places, values, strict=True):
        assert got.tolist() == sorted(range(width), key=lambda i: (-row[i], i))[:k]
        assert worth.tolist() == row[got].tolist()


@given(st.data())
def test_cooccurrences_and_sums(data):
    n_sets, n = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 7))
    held = np.array(data.draw(st.lists(st.booleans(), min_size=n_sets * n, max_size=n_sets * n))).reshape(n_sets, n)
    owners, rows = (x.astype(np.int32) for x in np.nonzero(held))
    sets = Seen.of(owners, rows, n_sets, 1)
    weights = np.arange(1.0, n_sets + 1)
    block = data.draw(st.sampled_from([1, 5, 1000]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        starts, parts = zip(*blocks.cooccurrences(sets, n, weights), strict=True)
        assert list(starts) == np.cumsum([0, *map(len, parts[:-1])]).tolist()
        assert np.concatenate(parts).tolist() == ((held.T * weights) @ held).tolist()
        matrix = np.arange(n * 3, dtype=np.float32).reshape(n, 3)
        assert blocks.sums_of_rows(matrix, sets).tolist() == (held @ matrix).tolist()
    back = blocks.transposed(sets, n)
    assert [back.of_user(row).tolist() for row in range(n)] == [
        np.flatnonzero(held[:, row]).tolist() for row in range(n)
    ]


def test_inversion_of_an_ill_conditioned_matrix(monkeypatch):
    monkeypatch.setattr(inversion, "PANEL", 16)
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.normal(size=(100, 100)))[0]
    matrix = (basis * np.geomspace(1, 1000, 100)) @ basis.T
    got = matrix.astype(np.float32)
    inversion.invert(got)
    np.testing.assert_allclose(got, np.linalg.inv(matrix), atol=2e-4)
    assert (got == got.T).all()
