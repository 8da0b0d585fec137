"""What is written online: it counts at once, under its version, and against the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mcfast
import oracle
from serving_problems import N_ITEMS, N_USERS, K, made


def test_vectors_count_under_their_version_only(recaller, root):
    model = made()
    recaller.put_user(999, model.user_factors[3], model.user_biases[3])
    recaller.put_item(500, model.item_factors[0] * 50, 2.0)
    expected = model.recommend(103, N_ITEMS, exclude_seen=False)
    found = recaller.recall(999, N_ITEMS + 1)
    assert found.source == "folded"
    assert [i for i in found.ids if i != 500] == expected.ids.tolist()
    mcfast.publish(made(7), root)
    recaller.reload()
    assert recaller.recall(999, 5).source == "popular"
    assert 500 not in recaller.recall(100, 1000).ids
    assert recaller.item_attributes(500) == {}
    recaller.put_user(998, np.ones(K), version=1)
    assert recaller.recall(998, 5).source == "popular"
    mcfast.rollback(root)
    recaller.reload()
    assert recaller.recall(999, 5).source == "folded"
    assert recaller.recall(998, 5).source == "folded"
    assert recaller.recall(999, N_ITEMS + 1).ids.tolist() == found.ids.tolist()


def test_a_vector_replaces_the_published_one(recaller):
    model = made()
    recaller.put_user(100, model.user_factors[3], model.user_biases[3])
    seen = set(recaller.seen(100).tolist())
    assert seen == set(model.items.take(model.seen.of_user(0)).tolist())
    expected = [i for i in model.recommend(103, N_ITEMS, exclude_seen=False).ids if i not in seen]
    assert recaller.recall(100, N_ITEMS).ids.tolist() == expected


def test_forgetting(recaller, root):
    model = made()
    recaller.record(100, [1, 2])
    recaller.put_user(100, np.ones(K))
    recaller.forget(100)
    for _ in range(2):
        assert recaller.recall(100, 5).source == "popular"
        assert len(recaller.seen(100)) == 0
        mcfast.publish(model, root)  # trained before: it still holds the user
        recaller.reload()
    with mcfast.store.open("lmdb", next(root.glob("versions/3/arrays-*/table.bin")), readonly=True) as table:
        assert len(table) == N_USERS - 1
    recaller.record(100, [1])
    assert recaller.recall(100, 5).source == "popular"
    assert recaller.seen(100).tolist() == [1]
    mcfast.rollback(root, 1)
    recaller.reload()
    assert recaller.recall(100, 5).source == "popular"
    mcfast.publish(model, root)
    recaller.reload()
    assert recaller.recall(100, 5).source == "exact"
    assert 1 in recaller.seen(100)


@settings(max_examples=60)
@given(data=st.data())
def test_items_added_and_replaced_are_ranked_with_the_others(shared, data):
    """Against the oracle, over the whole catalogue as it then is."""
    recaller, model, added = shared
    number = st.integers(0, 2**32 - 1)
    random = np.random.default_rng(data.draw(number))
    for item in data.draw(st.lists(st.integers(N_ITEMS - 5, N_ITEMS + 8), max_size=3)):
        vector, bias = random.standard_normal(K).astype(np.float32), np.float32(random.standard_normal())
        if data.draw(st.booleans()):
            vector, bias = model.item_factors[0], model.item_biases[0]  # many equal scores
        recaller.put_item(item, vector, float(bias))
        added[item] = vector, bias
    new = sorted(item for item in added if item >= N_ITEMS)
    ids = np.concatenate([np.arange(N_ITEMS), new]).astype(np.int64)
    vectors = np.concatenate([model.item_factors, np.zeros((len(new), K), np.float32)])
    biases = np.concatenate([model.item_biases, np.zeros(len(new), np.float32)])
    for row, item in enumerate(ids.tolist()):
        if item in added:
            vectors[row], biases[row] = added[item]

    users = data.draw(st.lists(st.integers(0, N_USERS - 1), min_size=1, max_size=4))
    k = data.draw(st.integers(1, N_ITEMS + 20))
    exclude = data.draw(st.none() | st.lists(st.integers(0, N_ITEMS + 10), max_size=5))
    allow = data.draw(st.none() | st.lists(st.integers(N_ITEMS - 9, N_ITEMS + 10), max_size=30))
    found = recaller.recall_many([100 + u for u in users], k, exclude=exclude, allow=allow)
    truth = oracle.recall_scores(vectors, model.user_factors[users], "ip", biases)
    row_of = {item: row for row, item in enumerate(ids.tolist())}
    out = [sorted({*model.seen.of_user(u).tolist(), *(row_of[i] for i in exclude or () if i in row_of)}) for u in users]
    mask = None if allow is None else np.isin(ids, allow)
    rows, scores = oracle.nearest(truth, min(k, len(ids)), out, mask)
    np.testing.assert_array_equal(found.ids, np.where(rows < 0, -1, ids[rows]))
    offsets = model.mean + model.user_biases[users].astype(np.float64)
    np.testing.assert_array_equal(found.scores, (scores + offsets[:, None]).astype(np.float32))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    path = tmp_path_factory.mktemp("snapshot") / "serving"
    mcfast.publish(made(), path)
    with mcfast.open(path) as recaller:
        yield recaller, made(), {}


def test_publish_folds_in_whom_its_model_does_not_know(recaller, root):
    old, new = made(), made(9)
    scored = {3: 4.5, 50: 1.0, 51: 3.0, 999: 2.0}  # 999 is no item of the model
    recaller.record(777, list(scored), scores=list(scored.values()))
    recaller.record(776, [3, 4])  # without scores: liked
    recaller.put_item(500, np.ones(K), attributes={"title": "new"})
    recaller.put_item(501, np.ones(K))  # of which nothing will be recorded
    for user, score in ((100, 5.0), (103, 1.0), (100, 4.0)):
        recaller.record(user, [500], scores=[score])
    mcfast.publish(new, root)
    recaller.reload()

    def ridge(factors, residuals):
        features = np.column_stack([factors.astype(float), np.ones(len(factors))])
        gram = features.T @ features + 0.05 * len(features) * np.eye(K + 1)
        return np.linalg.solve(gram, features.T @ residuals)

    rows = [3, 50, 51]
    user = ridge(new.item_factors[rows], np.array([4.5, 1.0, 3.0]) - 3.5 - new.item_biases[rows])
    users = [0, 3]
    item = ridge(new.user_factors[users], np.array([4.0, 1.0]) - 3.5 - new.user_biases[users])
    found = recaller.recall(777, N_ITEMS + 5)
    assert found.source == "folded"
    assert set(range(N_ITEMS)) - set(found.ids.tolist()) == set(rows)
    expected = (
        3.5 + user[-1] + np.append(new.item_biases, item[-1]) + np.vstack([new.item_factors, item[:-1]]) @ user[:-1]
    )
    np.testing.assert_allclose(
        found.scores, np.where(found.ids == 500, expected[-1], expected[found.ids % N_ITEMS]), rtol=1e-4, atol=1e-4
    )
    assert recaller.item_attributes(500) == {"title": "new"}
    assert 500 in recaller.recall(101, N_ITEMS + 5).ids
    assert 500 not in recaller.recall(103, N_ITEMS + 5).ids
    assert 501 not in recaller.recall(101, N_ITEMS + 5).ids
    liked = recaller.recall(776, 5)
    again = recaller.recall_items([3, 4], 5)
    assert liked.source == "folded"
    assert liked.ids.tolist() == again.ids.tolist()
    np.testing.assert_allclose(liked.scores, again.scores, rtol=1e-5)
    mcfast.rollback(root)
    recaller.reload()
    assert {500, 501} < set(recaller.recall(101, N_ITEMS + 5).ids.tolist())
    assert old.n_items == N_ITEMS
