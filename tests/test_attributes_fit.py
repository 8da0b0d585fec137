"""`fit` with attributes and histories: what they bring, and the vectors of new users and items."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import mcfast

GOLDEN = Path(__file__).parent / "golden"
N_GROUPS = 10


def log(seed=0, n=4000):
    """Users like the items of their group, which is the last digit of both ids."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 200, n)
    pairs = np.unique(users * 1000 + rng.integers(0, 20, n) * N_GROUPS + users % N_GROUPS)
    return pairs // 1000, pairs % 1000, np.ones(len(pairs))


def attributes(ids):
    ids = np.asarray(ids)
    return pa.table({"id": ids, "group": [[f"g{i % N_GROUPS}", "all"] for i in ids], "size": ids % 200 / 7})


def fitted(data=None, **options):
    usual = {"loss": "softmax", "factors": 16, "epochs": 10, "n_negatives": 64}
    return mcfast.fit(log() if data is None else data, **usual | options)


@pytest.mark.parametrize("similarity", ["ip", "cosine"])
def test_attributes_place_cold_items_and_cold_users(similarity):
    users, items, scores = log()
    known = (items >= 40) & (users < 180)
    model = fitted(
        (users[known], items[known], scores[known]), similarity=similarity, epochs=20,
        item_features=attributes(np.arange(200)), user_features=attributes(np.arange(200)),
    )  # fmt: skip
    cold = np.arange(40)
    vectors = model.encode_items(attributes(cold))
    warm_users = np.arange(100)
    scored = model.user_factors[model.users.rows(warm_users)] @ vectors.T
    best = cold[np.argsort(-scored, axis=1)[:, :4]]
    assert (best % N_GROUPS == warm_users[:, None] % N_GROUPS).mean() > 0.9  # a random ranking has 0.1
    found = model.encode_users(attributes([180, 195])) @ model.item_factors.T
    best = model.items.values[np.argsort(-found, axis=1)[:, :10]]
    assert (best % N_GROUPS == [[0], [5]]).mean() > 0.9


def test_items_without_data_are_ranked_by_their_attributes():
    """They are in the vocabulary, as after a split of cold items."""
    users, items, scores = log()
    triples = mcfast.data.triples.as_triples((users, items, scores))
    train, test = triples.split_cold_items(0.2, seed=1)
    cold = test.item_ids.take(np.unique(test.items))
    results = {
        name: mcfast.evaluate(
            fitted(train, item_features=table, similarity="cosine"), test, 4, candidates=cold
        )["recall@4"]
        for name, table in (("ids", None), ("attributes", attributes(np.arange(200))))
    }  # fmt: skip
    assert results["attributes"] > 0.75
    assert results["ids"] < 0.3


@pytest.mark.parametrize("similarity", ["ip", "cosine"])
@pytest.mark.parametrize("hidden", [0, 16])
def test_a_history_makes_a_user(similarity, hidden):
    users, items, _ = log()
    model = fitted(similarity=similarity, history=True, epochs=20, hidden=hidden)
    lists = [[3, 13, 23], [108, 118], []]
    vectors = model.encode_users(history=lists)
    best = model.items.values[np.argsort(-(vectors[:2] @ model.item_factors.T), axis=1)[:, :10]]
    assert (best % N_GROUPS == [[3], [8]]).mean() > 0.9
    # Users of the data, with the history they have, are those that the model holds.
    own = [items[users == user] for user in (7, 8)]
    found = model.encode_users(pa.table({"id": [7, 8]}), history=own)
    np.testing.assert_allclose(found, model.user_factors[model.users.rows([7, 8])], atol=1e-5)
    if similarity == "cosine":
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_history_is_the_latest_of_its_length():
    users, items, scores = log()
    model = fitted((users, items, scores), history=3)
    own = items[users == 7]
    found = model.encode_users({"id": [7, 7][:1]}, history=[own])
    np.testing.assert_allclose(found, model.encode_users({"id": [7]}, history=[own[-3:]]), atol=0)
    np.testing.assert_allclose(found, model.user_factors[model.users.rows([7])], atol=1e-5)
    table = pa.table({"user": users, "item": items, "score": scores, "time": -np.arange(len(users))})
    backwards = fitted(mcfast.read_triples(table, time="time"), history=3)
    found = backwards.encode_users({"id": [7]}, history=[own[:3]])
    np.testing.assert_allclose(found, backwards.user_factors[backwards.users.rows([7])], atol=1e-5)


@pytest.mark.parametrize("hidden", [0, 20])
def test_known_items_keep_what_the_model_knows_of_them(hidden, tmp_path):
    table = attributes(np.arange(200))
    model = fitted(
        item_features=table, user_features=table, history=True, similarity="cosine", validation=0.1, hidden=hidden
    )
    assert model.parameters["hidden"] == (32 if hidden else 0)
    np.testing.assert_allclose(model.encode_items(attributes(model.items.values)), model.item_factors, atol=1e-6)
    model.save(tmp_path / "model")
    loaded = mcfast.load(tmp_path / "model")
    new = attributes([1000, 1003])
    np.testing.assert_array_equal(loaded.encode_items(new), model.encode_items(new))
    history = [[3, 13], [8]]
    np.testing.assert_array_equal(loaded.encode_users(new, history=history), model.encode_users(new, history=history))
    assert loaded.parameters == model.parameters
    assert (loaded.parameters["history"], loaded.parameters["id_dropout"]) == (100, 0.1)
    loaded.save(tmp_path / "model")  # over the files it is mapped from
    assert mcfast.load(tmp_path / "model").encode_items(new).tobytes() == model.encode_items(new).tobytes()


def test_new_items_and_users_are_served(tmp_path):
    model = fitted(item_features=attributes(np.arange(200)), history=True, similarity="cosine")
    mcfast.publish(model, tmp_path / "serving")
    with mcfast.open(tmp_path / "serving") as recaller:
        for item, vector in zip([1003, 1008], model.encode_items(attributes([1003, 1008])), strict=True):
            recaller.put_item(item, vector)
        recaller.put_user(5003, model.encode_users(history=[[3, 13, 23, 33]])[0])
        assert 1003 in recaller.recall(5003, k=25).ids
        assert 1008 not in recaller.recall(5003, k=25).ids
    assert model.fold_in([3, 13]).vector.shape == (16,)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_do_not_change_a_bit(threads):
    table = attributes(np.arange(200))
    options = {"item_features": table, "user_features": table, "history": True, "validation": 0.1, "epochs": 3}
    one, other = (fitted(threads=n, **options) for n in (1, threads))
    assert one.user_encoder.parameters.tobytes() == other.user_encoder.parameters.tobytes()
    assert one.item_rows.tobytes() == other.item_rows.tobytes()
    assert one.metrics == other.metrics


def test_the_command_line_takes_tables(tmp_path, run_command):
    users, items, _ = log()
    (tmp_path / "log.csv").write_text(
        "user,item,score\n" + "".join(f"{u},{i},1\n" for u, i in zip(users, items, strict=True))
    )
    (tmp_path / "items.csv").write_text("id,group\n" + "".join(f"{i},g{i % 10}\n" for i in range(200)))
    (tmp_path / "users.csv").write_text("id,age\n" + "".join(f"{i},{i / 3}\n" for i in range(200)))
    options = ["--loss", "softmax", "--item-features", str(tmp_path / "items.csv"), "--history", "--epochs", "2"]
    options += ["--user-features", str(tmp_path / "users.csv"), "--id-dropout", "0.2", "--factors", "8"]
    code, _, said = run_command("fit", str(tmp_path / "log.csv"), "--out", str(tmp_path / "model"), *options)
    assert code == 0, said
    model = mcfast.load(tmp_path / "model")
    assert model.parameters["id_dropout"] == 0.2
    assert model.user_encoder.features.numbers[0].name == "age"
    assert model.encode_items({"id": [7], "group": ["g7"]}).shape == (1, 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "squared", "item_features": {}}, "item_features: got dict, expected nothing with loss 'squared'"),
        ({"loss": "squared", "history": True}, "history: got bool, expected nothing with loss 'squared'"),
        ({"history": -1}, "history: got -1"),
        ({"history": "all"}, "history: got 'all'"),
        ({"id_dropout": 0.5}, "id_dropout: got 0.5.*expected none without attributes or history"),
        ({"id_dropout": 1.5, "history": True}, "id_dropout: got 1.5"),
        ({"hidden": 16}, "hidden: got 16.*expected 0 without attributes or history"),
        ({"hidden": -1, "history": True}, "hidden: got -1"),
        ({"user_features": {"id": ["x"], "a": [1]}}, "ids of user_features: got strings, expected integers"),
        ({"item_features": {"id": [1], "a": [b"x"]}}, "'a' of item_features: got values of type binary"),
        ({"item_features": 5}, "item_features: got int, expected a path, a table, or a dict of columns"),
    ],
)
def test_fit_refuses(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        mcfast.fit(([1, 1, 2], [1, 2, 1], [1, 2, 3]), **{"loss": "softmax"} | options)


def test_what_a_model_cannot_encode():
    plain = fitted(epochs=1)
    with pytest.raises(ValueError, match=r"table: got attributes, expected none: .* without item_features"):
        plain.encode_items(attributes([1]))
    with pytest.raises(ValueError, match="table, history: got neither"):
        plain.encode_users()
    with pytest.raises(ValueError, match="history: got items, expected none"):
        plain.encode_users(history=[[1]])
    with pytest.raises(ValueError, match="init: got a model, expected none with"):
        fitted(init=plain, history=True)
    described = fitted(epochs=1, user_features=attributes(np.arange(200)))
    with pytest.raises(ValueError, match="history: got items, expected none"):
        described.encode_users(history=[[1]])
    with pytest.raises(ValueError, match="table: got 'id', 'size', expected a column 'group'"):
        described.encode_users(attributes([1]).drop_columns(["group"]))
    historied = fitted(epochs=1, history=True)
    with pytest.raises(ValueError, match="history: got 1 lists and 2 rows of the table, expected equally many"):
        historied.encode_users({"id": [1, 2]}, history=[[1]])
    with pytest.raises(mcfast.UnknownIdError, match="history"):
        historied.encode_users(history=[[987]])
    with pytest.raises(TypeError, match="history: got int in it, expected lists of item ids"):
        historied.encode_users(history=[3, 13])


def test_golden_file_of_format_3():
    model = mcfast.load(GOLDEN / "model-3")
    # Ids 7, -5, 0, the default one, war, döner, length: 0, 2/8, 4/8, ... in the first factor.
    table = {"id": [7, 1], "tags": [["döner"], ["war", "x"]], "length": [100.0, 90.0]}
    np.testing.assert_array_equal(model.encode_items(table), [[2.75, 3.125], [1.75, 2]])
    made = model.encode_users(history=[[7, 0, -5], []])  # the latest two; ann, bob, the default one, three items
    np.testing.assert_allclose(made, [[-1 - 4.5 / 2**0.5, -1.25 - 5 / 2**0.5], [-1, -1.25]], rtol=1e-6)
    assert model.recommend("ann", k=2, exclude_seen=False).ids.tolist() == [7, -5]
