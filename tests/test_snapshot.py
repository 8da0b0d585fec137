"""Served folders: what is published is what is recalled, and versions come and go."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import mcfast
from mcfast.snapshot import publishing
from serving_problems import N_ITEMS, N_USERS, K, made

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


@pytest.mark.parametrize("options", [{"store_precision": "float16"}, {"index_options": {"precision": "float16"}}])
def test_rounded_vectors_give_scores_a_thousandth_off(root, options):
    model = made()
    mcfast.publish(model, root, **options)
    lengths = np.linalg.norm(model.user_factors, axis=1).max() * np.linalg.norm(model.item_factors, axis=1).max()
    with mcfast.open(root) as recaller:
        found = recaller.recall_many(model.users.values, 25)
        for i, user in enumerate(model.users.values):
            difference = np.abs(found.scores[i] - model.predict(int(user), found.ids[i])).max()
            assert difference < 1e-3 * lengths
        assert difference > 0
    with pytest.raises(ValueError, match="store_precision: got 'float8'"):
        mcfast.publish(model, root, store_precision="float8")


def test_a_version_whose_scores_are_further_off_is_not_served(root, monkeypatch):
    monkeypatch.setattr("mcfast.snapshot.version.ROUNDED", 1e-6)
    with pytest.raises(mcfast.CorruptError, match="does not answer as its model does"):
        mcfast.publish(made(), root, store_precision="float16")


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
        (
            {"index": "annoy"},
            ValueError,
            "index: got 'annoy', expected one of 'exact', 'regions', 'faiss', ",
        ),
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
    if "index_options" in arguments:  # which the index checks itself
        assert not any((root / "versions").iterdir())
    else:
        assert not root.exists()


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


def test_others_may_roll_back_while_an_index_is_built(root, monkeypatch):
    mcfast.publish(made(1), root)
    mcfast.publish(made(2), root)
    build = publishing._index

    def slow(*arguments):
        assert mcfast.rollback(root, wait=False) == 1
        return build(*arguments)

    monkeypatch.setattr(publishing, "_index", slow)
    assert mcfast.publish(made(3), root) == 3
    assert [version.number for version in mcfast.versions(root) if version.current] == [3]
