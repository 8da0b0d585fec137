"""`fit` under a ranking loss: its arguments, what it learns, and that models of it are published and recalled."""

import inspect
import warnings

import numpy as np
import pytest

import mcfast
from mcfast import _core
from mcfast.ranking_options import ranking_options

LOSSES = _core.ranking_losses


def groups(seed=0, n=4000, n_groups=10):
    """Users like the items of their group; what is left of each group is for the test."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 200, n)
    items = rng.integers(0, 20, n) * n_groups + users % n_groups
    return np.unique(users * 1000 + items)


def log(seed=0):
    pairs = groups(seed)
    return pairs // 1000, pairs % 1000, np.ones(len(pairs))


def fitted(data=None, **options):
    return mcfast.fit(log() if data is None else data, **{"factors": 16, "epochs": 10, "n_negatives": 64} | options)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("similarity", ["ip", "cosine"])
@pytest.mark.parametrize("negatives", ["uniform", {"popularity": 1, "hard": 1}])
def test_every_loss_learns(loss, similarity, negatives):
    users, items, scores = log()
    rng = np.random.default_rng(3)
    held = rng.random(len(users)) < 0.2
    model = fitted(
        (users[~held], items[~held], scores[~held]), loss=loss, similarity=similarity, negatives=negatives, epochs=15
    )
    measured = mcfast.evaluate(model, (users[held], items[held], scores[held]), k=10)
    assert measured["recall@10"] > 0.5  # a random ranking has 0.05
    assert "rmse" not in measured
    assert not model.user_biases.any()
    if similarity == "cosine":
        for rows in (model.user_factors, model.item_factors):
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_threads_do_not_change_a_bit():
    options = {"loss": "softmax", "similarity": "cosine", "negatives": {"popularity": 2, "hard": 1}, "validation": 0.1}
    models = [fitted(threads=threads, **options) for threads in (1, 2, 3, 7)]
    for model in models[1:]:
        np.testing.assert_array_equal(model.user_rows, models[0].user_rows)
        np.testing.assert_array_equal(model.item_rows, models[0].item_rows)
        assert model.metrics == models[0].metrics


def test_the_best_epoch_is_that_of_the_best_ndcg():
    users, items, scores = log()
    held = np.random.default_rng(3).random(len(users)) < 0.2
    train, test = [(users[part], items[part], scores[part]) for part in (~held, held)]
    model = fitted(train, loss="softmax", validation=test, refit=False, patience=None)
    measured = [epoch["validation"] for epoch in model.history]
    assert model.metrics == {"validation_ndcg@20": max(measured)}
    # The validation part is seen afterwards; for this once it must not be.
    seen = mcfast.Model.from_factors(
        model.user_factors, model.item_factors, users=model.users.values, items=model.items.values, seen=train[:2]
    )
    assert mcfast.evaluate(seen, test)["ndcg@20"] == pytest.approx(max(measured))
    again = fitted((users, items, scores), loss="softmax", validation=0.2, epochs=12)
    assert again.parameters["epochs_run"] <= 12


def test_exposures_are_left_out_with_a_reason_unless_told_otherwise():
    users, items, scores = log()
    zeros = np.arange(0, len(users), 3)
    scores[zeros] = 0
    with pytest.warns(UserWarning, match=rf"{len(zeros)} of {len(users)} triples are not positive: refused as neg"):
        told = fitted((users, items, scores), loss="softmax")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silent = fitted((users, items, scores), loss="softmax", exposed="ignore")
        hard = fitted((users, items, scores), loss="softmax", exposed="hard", negatives="hard", n_negatives=512)
    np.testing.assert_array_equal(told.user_rows, silent.user_rows)
    assert len(silent.seen) == len(users)  # they are seen all the same

    def told_apart(model):
        return (
            model.predict(users[scores > 0], items[scores > 0]).mean()
            - model.predict(users[zeros], items[zeros]).mean()
        )

    assert told_apart(hard) > told_apart(silent) + 0.05


def test_positive_says_what_is_one():
    users, items, _ = log()
    scores = np.random.default_rng(0).integers(1, 6, len(users))
    one = fitted((users, items, scores), loss="bpr", positive=4, exposed="ignore")
    other = fitted((users, items, (scores >= 4).astype(float)), loss="bpr", exposed="ignore")
    np.testing.assert_array_equal(one.user_rows, other.user_rows)


def test_hard_negatives_of_ones_own():
    users, items, scores = log()
    zeros = np.arange(0, len(users), 3)
    scores[zeros] = 0
    options = {"loss": "softmax", "negatives": {"uniform": 1, "hard": 1}, "n_negatives": 512}
    mine = fitted((users, items, scores), exposed="ignore", hard_negatives=(users[zeros], items[zeros]), **options)
    theirs = fitted((users, items, scores), exposed="hard", **options)
    np.testing.assert_array_equal(mine.user_rows, theirs.user_rows)


def test_logistic_samples_where_negatives_are_asked_for():
    users, items, scores = log()
    assert mcfast.fit((users, items, scores), loss="logistic", factors=4, epochs=1).predicts_scores
    assert not mcfast.fit((users, items, scores), loss="logistic", negatives="uniform", factors=4).predicts_scores


def test_a_model_can_be_gone_on_with():
    users, items, scores = log()
    first = fitted(loss="softmax", similarity="cosine")
    on = fitted((users[:500], items[:500], scores[:500]), loss="softmax", similarity="cosine", init=first, epochs=1,
                learning_rate=1e-6)  # fmt: skip
    np.testing.assert_allclose(on.item_rows, first.item_rows, atol=1e-4)
    assert len(on.seen) == len(first.seen)


def test_a_learnt_temperature_is_told():
    model = fitted(loss="softmax", similarity="cosine", temperature="learnt")
    assert 0.01 <= model.parameters["learnt_temperature"] <= 100
    assert model.parameters["learnt_temperature"] != model.parameters["temperature"] == 0.1


@pytest.mark.parametrize("similarity", ["ip", "cosine"])
def test_models_are_saved_published_and_recalled(tmp_path, similarity):
    model = fitted(loss="softmax", similarity=similarity)
    model.save(tmp_path / "model")
    loaded = mcfast.load(tmp_path / "model")
    assert loaded.parameters == model.parameters
    assert not loaded.predicts_scores
    mcfast.publish(loaded, tmp_path / "serving")
    with mcfast.open(tmp_path / "serving") as recaller:
        for user in (3, 8):
            answer = recaller.recall(user, k=10)
            expected = model.recommend(user, k=10)
            np.testing.assert_array_equal(answer.ids, expected.ids)
            np.testing.assert_allclose(answer.scores, expected.scores, atol=1e-5)
        folded = recaller.fold_in(9999, [13, 23, 33, 43])
        assert set(recaller.recall(9999, k=5).ids % 10) == {3}
    if similarity == "cosine":
        assert np.linalg.norm(folded.vector) == pytest.approx(1, abs=1e-6)
        assert np.linalg.norm(model.fold_in([13, 23]).vector) == pytest.approx(1, abs=1e-6)
        rows = {m: mcfast.recall.build("exact", model.item_factors, metric=m) for m in ("ip", "cosine", "l2")}
        found = [index.search(model.user_factors[:20], 10)[0] for index in rows.values()]
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[0], found[2])


def test_the_command_line_knows_it(tmp_path, run_command):
    users, items, _ = log()
    (tmp_path / "log.csv").write_text(
        "user,item,score\n" + "".join(f"{u},{i},1\n" for u, i in zip(users, items, strict=True))
    )
    options = ["--loss", "softmax", "--similarity", "cosine", "--negatives", "popularity", "--logq", "1"]
    more = ["--factors", "8", "--epochs", "3", "--n-negatives", "32", "--temperature", "0.2", "--validation", "0.1"]
    code, said, _ = run_command("fit", str(tmp_path / "log.csv"), "--out", str(tmp_path / "model"), *options, *more)
    assert code == 0
    assert "validation NDCG@20" in said
    parameters = mcfast.load(tmp_path / "model").parameters
    assert (parameters["loss"], parameters["similarity"], parameters["logq"]) == ("softmax", "cosine", 1)


def test_what_is_not_asked_of_ranking_losses_is_refused():
    defaults = inspect.signature(mcfast.fit).parameters
    assert set(inspect.signature(ranking_options).parameters) - {"loss", "hard_given", "described"} < set(defaults)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "squared", "similarity": "cosine"}, "similarity: got str, expected nothing with loss 'squared'"),
        ({"loss": "logistic", "n_negatives": 5}, "n_negatives: got int, expected nothing with loss 'logistic'"),
        ({"weights": np.ones(3)}, "weights: got ndarray, expected nothing with ranking loss 'softmax'"),
        ({"nonnegative": True}, "nonnegative: got bool, expected nothing"),
        ({"similarity": "l2"}, "similarity: got 'l2'"),
        ({"negatives": "popular"}, "negatives: got 'popular'"),
        ({"negatives": {"uniform": 0}}, r"negatives\['uniform'\]: got 0.0"),
        ({"negatives": 3}, r"negatives: got 3 \(int\)"),
        ({"negatives": {}}, r"negatives: got \{\}"),
        ({"negatives": {"all": 1, "uniform": 1}}, "negatives: got 'all' and others"),
        ({"n_negatives": 0}, "n_negatives: got 0"),
        ({"temperature": 0}, "temperature: got 0"),
        ({"temperature": "warm"}, "temperature: got 'warm', expected a number > 0 or \"learnt\""),
        ({"logq": 2}, "logq: got 2"),
        ({"logq": "full"}, "logq: got 'full'"),
        ({"logq": 1, "loss": "bpr"}, "logq: got 1, expected 0 with loss='bpr'"),
        ({"logq": "corrected", "negatives": "hard"}, "logq: got 'corrected' with hard negatives"),
        ({"margin": 1}, r"margin: got 1 \(int\), expected none with loss='softmax'"),
        ({"negative_weight": 1}, "negative_weight: got 1"),
        ({"exposed": "negative"}, "exposed: got 'negative'"),
        ({"exposed": "hard"}, "exposed: got hard negatives, expected negatives to have a share"),
        ({"hard_negatives": ([1], [2])}, "hard_negatives: got hard negatives"),
        ({"hard_negatives": [1], "negatives": "hard"}, r"hard_negatives: got list, expected \(users, items\)"),
        ({"hard_negatives": ([1, 2], [2]), "negatives": "hard"}, "hard_negatives: got 2 users and 1 items"),
        ({"positive": 9}, "scores: got no score of 9 or more, expected a positive to learn from"),
        ({"validation": ([1], [2], [0])}, "validation scores: got no score above 0"),
        ({"dropout": 1}, "dropout: got 1"),
        ({"subsampling": -1}, "subsampling: got -1"),
        ({"optimizer": "sgd"}, "optimizer: got 'sgd'"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"mask_known": 1}, r"mask_known: got 1 \(int\)"),
        ({"hard_pool": 0}, "hard_pool: got 0"),
        ({"popularity_exponent": np.nan}, "popularity_exponent: got nan"),
    ],
)
def test_fit_refuses(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        mcfast.fit(([1, 1, 2], [1, 2, 1], [1, 2, 3]), **{"loss": "softmax"} | options)
