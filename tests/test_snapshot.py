"""Served folders: what is published is what is recalled, and what is written online counts."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mcfast
import oracle

N_USERS, N_ITEMS, K = 30, 200, 6


def made(seed=0, *, users=None, items=None, biases=True, seen=True):
    """A model with many equal scores, users 100, 101 ... and items 0, 1 ... unless others are given."""
    random = np.random.default_rng(seed)
    users = np.arange(100, 100 + N_USERS) if users is None else users
    items = np.arange(N_ITEMS) if items is None else items
    item_factors = random.standard_normal((len(items), K))
    item_factors[5:10] = item_factors[0]
    pairs = None
    if seen:
        cells = random.permutation(len(users) * len(items))[: len(users) * len(items) // 4]
        pairs = (
            np.asarray(users, object)[cells // len(items)].tolist(),
            np.asarray(items, object)[cells % len(items)].tolist(),
        )
    return mcfast.Model.from_factors(
        random.standard_normal((len(users), K)),
        item_factors,
        users=users,
        items=items,
        user_biases=random.standard_normal(len(users)) if biases else None,
        item_biases=np.round(random.standard_normal(len(items))) if biases else None,
        mean=3.5 if biases else 0.0,
        seen=pairs,
    )


@pytest.fixture
def root(tmp_path):
    return tmp_path / "serving"


@pytest.fixture
def recaller(root):
    mcfast.publish(made(), root)
    with mcfast.open(root) as opened:
        yield opened


# --- what is published is what is recalled ----------------------------------------------------------------------------


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_the_exact_index_gives_order_and_scores_of_the_model(root, biases, exclude_seen):
    model = made(biases=biases)
    assert mcfast.publish(model, root) == 1
    expected = model.recommend(model.users.values, 25, exclude_seen=exclude_seen)
    with mcfast.open(root) as recaller:
        found = recaller.recall_many(model.users.values, 25, exclude_seen=exclude_seen)
        assert (found.sources, found.version) == (["exact"] * N_USERS, 1)
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.counts, expected.counts)
        for i, user in enumerate(model.users.values):
            one = recaller.recall(int(user), 25, exclude_seen=exclude_seen)
            np.testing.assert_array_equal(one.ids, found.ids[i])
            np.testing.assert_array_equal(one.scores, found.scores[i])
            np.testing.assert_allclose(one.scores, model.predict(int(user), one.ids), rtol=1e-5, atol=1e-5)


def test_an_approximate_index_reaches_the_recall_in_its_manifest(root):
    random = np.random.default_rng(1)
    model = mcfast.Model.from_factors(random.standard_normal((3000, 16)), random.standard_normal((2000, 16)))
    mcfast.publish(model, root, index="hnswlib", index_options={"seed": 5})
    with mcfast.open(root) as recaller:
        promised = recaller.info["index"]["recall"]
        users = model.users.values[2000:]
        for k in (10, 100):
            found, best = recaller.recall_many(users, k), model.recommend(users, k)
            recall = np.mean(found.scores >= best.scores[:, -1:])
            assert recall >= max(0.95, promised[str(k)] - 0.01)
        assert set(found.sources) == {"index"}


def test_an_approximate_index_that_falls_short_answers_exactly_and_says_so(root):
    model = made()
    with pytest.warns(mcfast.recall.RecallWarning, match="expected 1"):
        mcfast.publish(model, root, index="hnswlib", recall=1.0, index_options={"M": 2, "ef_construction": 1})
    with mcfast.open(root) as recaller:
        found = recaller.recall(100, 10)
        assert found.source == "exact"
        np.testing.assert_array_equal(found.ids, model.recommend(100, 10).ids)


@pytest.mark.parametrize("kind", ["strings", "negative"])
def test_ids_come_back_as_they_were(root, kind):
    users = [f"user {u} é" for u in range(5)] if kind == "strings" else list(range(-5, 0))
    items = [f"{i}" * (1 + 200 * (i == 3)) for i in range(9)] if kind == "strings" else list(range(-20, -11))
    model = made(users=users, items=items, seen=False)
    mcfast.publish(model, root)
    with mcfast.open(root) as recaller:
        for user in users:
            found = recaller.recall(user, 20)
            assert found.ids.tolist() == model.recommend(user, 9).ids.tolist()
            recaller.record(user, [items[3]])
            assert recaller.seen(user).tolist() == [items[3]]
            assert items[3] not in recaller.recall(user, 20).ids.tolist()


def test_unknown_users_get_what_is_popular(recaller):
    counts = made().seen.item_counts(N_ITEMS)
    found = recaller.recall(999, 50)
    assert (found.source, found.version) == ("popular", 1)
    np.testing.assert_array_equal(found.scores, np.sort(counts)[::-1][:50])
    np.testing.assert_array_equal(found.scores, counts[found.ids])
    recaller.record(999, found.ids[:7].tolist())
    again = recaller.recall(999, 43)
    assert again.ids.tolist() == found.ids[7:].tolist()
    mixed = recaller.recall_many([999, 100, 998], 5)
    assert mixed.sources == ["popular", "exact", "popular"]
    assert mixed.ids[0].tolist() == again.ids[:5].tolist()
    assert mixed.ids[1].tolist() == recaller.recall(100, 5).ids.tolist()


def test_without_anything_seen_popular_means_the_largest_biases(root):
    model = made(seen=False)
    mcfast.publish(model, root)
    with mcfast.open(root) as recaller:
        order = np.lexsort((np.arange(N_ITEMS), -model.item_biases))
        assert recaller.recall(999, N_ITEMS).ids.tolist() == order.tolist()


def test_short_answers(recaller):
    assert len(recaller.recall(100, 10**9, exclude_seen=False).ids) == N_ITEMS
    assert len(recaller.recall(999, 10**9).ids) == N_ITEMS
    recaller.record(100, range(N_ITEMS))
    found = recaller.recall(100, 5)
    assert (len(found.ids), len(found.scores), found.source) == (0, 0, "exact")
    many = recaller.recall_many([100, 101], 10**6)
    assert many.ids.shape == many.scores.shape == (2, N_ITEMS)
    assert many.counts[0] == 0
    assert (many.ids[0] == -1).all()
    assert (many.scores[0] == -np.inf).all()


@pytest.mark.parametrize(("users", "items"), [(0, 5), (3, 0), (0, 0)])
def test_a_catalogue_or_a_table_may_be_empty(root, users, items):
    model = made(users=list(range(users)), items=list(range(items)), seen=False) if items else None
    if model is None:
        model = mcfast.Model.from_factors(np.ones((users, K)), np.ones((0, K)))
    mcfast.publish(model, root)
    with mcfast.open(root) as recaller:
        assert len(recaller.recall(1, 9).ids) == items
        assert len(recaller.recall(10, 9).ids) == items
        recaller.put_item(77, np.ones(K))
        assert 77 in recaller.recall(1, 9).ids


def test_attributes_come_with_the_version(root):
    items = pa.table({"title": [f"t{i}" for i in range(300)], "id": np.arange(300)[::-1], "genres": [["a", "b"]] * 300})
    users = {"id": [101, 7], "age": [30, 40]}
    mcfast.publish(made(), root, items=items, users=pa.table(users))
    with mcfast.open(root) as recaller:
        assert recaller.item_attributes(0) == {"title": "t299", "genres": ["a", "b"]}
        assert recaller.item_attributes(250) == {}  # not of the model
        assert recaller.item_attributes("0") == {}
        assert recaller.user_attributes(101) == {"age": 30}
        assert recaller.user_attributes(100) == {}
        recaller.put_item(1, np.zeros(K), attributes={"title": "new"})
        assert recaller.item_attributes(1) == {"title": "new", "genres": ["a", "b"]}
        recaller.forget(101)
        assert recaller.user_attributes(101) == {}


def test_attributes_are_read_from_what_people_have(root, tmp_path):
    import pandas as pd
    import polars as pl

    rows = {"movie": [3, 4], "title": ["x", None], "year": [1999, 2000]}
    path = tmp_path / "items.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    for table in (pd.DataFrame(rows), pl.DataFrame(rows), path, str(path)):
        mcfast.publish(made(), root, items=table)
        with mcfast.open(root) as recaller:
            assert recaller.item_attributes(3) == {"title": "x", "year": 1999}
            assert recaller.item_attributes(4)["title"] in (None, "")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": ["a"], "x": [1]}, "integers"),
        ({"id": [1, 1], "x": [1, 2]}, "distinct"),
        ({"id": [1.5], "x": [1]}, "integers or strings"),
        ({"id": [None, 1], "x": [1, 2]}, "missing|null"),
        ({}, "without columns"),
        ("nowhere.csv", "does not exist"),
        (7, "a path"),
    ],
)
def test_tables_of_attributes_that_do_not_fit(root, table, message):
    table = pa.table(table) if isinstance(table, dict) else table
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message):
        mcfast.publish(made(), root, items=table)
    assert not root.exists()


# --- versions ---------------------------------------------------------------------------------------------------------


def test_versions_are_numbered_kept_and_rolled_back(root):
    for number in range(1, 6):
        assert mcfast.publish(made(number), root) == number
    with mcfast.open(root) as recaller:
        assert recaller.version == 5
        assert [v.number for v in mcfast.versions(root)] == [3, 4, 5]
        assert [v.current for v in mcfast.versions(root)] == [False, False, True]
        assert mcfast.rollback(root) == 4
        assert recaller.recall(100, 5).version == 5
        assert recaller.reload()
        assert not recaller.reload()
        np.testing.assert_array_equal(recaller.recall(100, 5).ids, made(4).recommend(100, 5).ids)
        assert mcfast.rollback(root) == 3
        with pytest.raises(mcfast.FormatError, match=r"no version before 3; there is 3, 4, 5"):
            mcfast.rollback(root)
        assert mcfast.rollback(root, 5) == 5
        with pytest.raises(mcfast.FormatError, match=r"no version 2; there is 3, 4, 5"):
            mcfast.rollback(root, 2)
        mcfast.rollback(root, 3)
        assert mcfast.prune(root, keep=1) == [4]
        assert [v.number for v in mcfast.versions(root)] == [3, 5]
        assert mcfast.publish(made(6), root, keep=None) == 6
        assert [v.number for v in mcfast.versions(root)] == [3, 5, 6]


def test_versions_say_what_they_are(root):
    model = mcfast.fit(([1, 1, 2], [5, 6, 5], [1.0, 2.0, 3.0]), epochs=1, factors=4)
    mcfast.publish(model, root)
    (version,) = mcfast.versions(root)
    assert (version.number, version.current, version.store) == (1, True, "lmdb")
    assert (version.users, version.items, version.factors) == (2, 2, 4)
    assert version.parameters["epochs"] == 1
    assert version.index["backend"] == "exact"
    assert version.created.endswith("+00:00")
    assert version.bytes > 1000


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": 3}, TypeError, "model: got 3"),
        ({"index": "annoy"}, ValueError, "index: got 'annoy', expected one of 'exact', 'hnswlib'"),
        ({"store": "memory"}, ValueError, "store: got 'memory'"),
        ({"store": "oracle"}, ValueError, "store: got 'oracle'"),
        ({"keep": 0}, ValueError, "keep: got 0"),
        ({"recall": 2, "index": "hnswlib"}, ValueError, "recall: got 2"),
        ({"wait": "no"}, TypeError, "wait"),
        ({"threads": 0}, ValueError, "threads"),
        ({"index_options": {"M": 16}}, TypeError, "M"),
    ],
)
def test_wrong_arguments_of_publish(root, arguments, error, message):
    with pytest.raises(error, match=message):
        mcfast.publish(**({"model": made(), "root": root} | arguments))
    if root.exists():
        assert mcfast.versions(root) == []
        assert not any((root / "versions").iterdir())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: r.recall(100, 0), ValueError, "k: got 0"),
        (lambda r: r.recall("100"), TypeError, "user: got a string, expected integers, as the ids are"),
        (lambda r: r.recall(1.5), TypeError, "user: got 1.5"),
        (lambda r: r.recall(None), TypeError, "user: got None"),
        (lambda r: r.recall_many("100"), TypeError, "users"),
        (lambda r: r.recall(100, exclude=[1.5]), TypeError, "exclude"),
        (lambda r: r.recall(100, allow=3), TypeError, "allow"),
        (lambda r: r.recall(100, exclude_seen=1), TypeError, "exclude_seen"),
        (lambda r: r.recall(100, threads=0), ValueError, "threads"),
        (lambda r: r.record(100, ["a"]), TypeError, "items: got a string"),
        (lambda r: r.record("a", [1]), TypeError, "user: got a string"),
        (lambda r: r.record(100, [1, 2], scores=[1.0]), ValueError, "scores"),
        (lambda r: r.record(100, [1], scores=[np.nan]), ValueError, "scores: got nan"),
        (lambda r: r.put_user(100, np.zeros(K + 1)), ValueError, "vector: got shape"),
        (lambda r: r.put_user(100, [np.inf] * K), ValueError, "vector: got inf"),
        (lambda r: r.put_user(100, np.zeros(K), bias=np.nan), ValueError, "bias"),
        (lambda r: r.put_user(100, np.zeros(K), version=9), mcfast.FormatError, "no version 9"),
        (lambda r: r.put_item(1, np.zeros(K), attributes=[1]), TypeError, "attributes"),
        (lambda r: r.put_item(1, np.zeros(K), attributes={"a": object()}), TypeError, "attributes"),
        (lambda r: r.put_item("x", np.zeros(K)), TypeError, "item: got a string"),
        (lambda r: r.forget("x"), TypeError, "user: got a string"),
    ],
)
def test_wrong_arguments_of_a_recaller(recaller, call, error, message):
    before = recaller.recall(100, 5)
    with pytest.raises(error, match=message):
        call(recaller)
    np.testing.assert_array_equal(recaller.recall(100, 5).ids, before.ids)


def test_a_closed_recaller_says_so(root):
    mcfast.publish(made(), root)
    recaller = mcfast.open(root)
    recaller.close()
    recaller.close()
    assert "closed" in repr(recaller)
    for call in (lambda: recaller.recall(1), lambda: recaller.record(1, [2]), recaller.reload):
        with pytest.raises(ValueError, match="the recaller is closed"):
            call()


# --- what is written online -------------------------------------------------------------------------------------------


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
    recaller.record(776, [3, 4])  # without scores
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
    assert recaller.recall(776, 5).source == "popular"
    mcfast.rollback(root)
    recaller.reload()
    assert {500, 501} < set(recaller.recall(101, N_ITEMS + 5).ids.tolist())
    assert old.n_items == N_ITEMS


def test_golden_folder_of_format_1(tmp_path):
    shutil.copytree(Path(__file__).parent / "golden" / "serving-1", tmp_path / "serving")
    with mcfast.open(tmp_path / "serving") as recaller:
        assert recaller.version == 1
        expected = {
            "bob": ([-5, 7, 99], [2.3125, 2.1875, -9.75], "exact"),
            "ann": ([2**40, 0, 7, -5, 99], [1, 0, 0, 0, 0], "popular"),  # forgotten
            "çem": ([-5, 7, 2**40, 0, 99], [0.78125, -0.1875, -1.15625, -2.125, -21.125], "exact"),
            "new": ([-5, 7, 2**40, 0, 99], [1, -2.5, -6, -9.5, -50], "folded"),
            "x" * 600: ([2**40, 0, -5, 99], [1, 0, 0, 0], "popular"),
        }
        for user, (ids, scores, source) in expected.items():
            found = recaller.recall(user, 9)
            assert (found.ids.tolist(), found.scores.tolist(), found.source) == (ids, scores, source)
        assert [recaller.item_attributes(i).get("title") for i in (0, 7, 99, -5)] == ["zéro", "seven", "added", None]
