"""Fold-in: vectors out of a few scores, and answers for whom no version knows."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcfast
from mcfast.folding import Folded, ridge
from serving_problems import N_ITEMS, K, made

REGULARIZATION = 0.05  # of models that were not trained


@pytest.fixture
def recaller(root):
    mcfast.publish(made(), root, items=titles())
    with mcfast.open(root) as opened:
        yield opened


def titles():
    genres = [["even" if i % 2 == 0 else "odd", *(["tens"] if i % 10 == 0 else [])] for i in range(N_ITEMS)]
    years = [1900 + i if i != 7 else None for i in range(N_ITEMS)]
    return pa.table({"id": range(N_ITEMS), "title": [f"Item {i}" for i in range(N_ITEMS)], "year": years, "g": genres})


def solved(model, rows, scores):
    """The same by the normal equations."""
    features = np.column_stack([model.item_factors[rows].astype(float), np.ones(len(rows))])
    residuals = np.asarray(scores) - model.mean - model.item_biases[rows]
    gram = features.T @ features + REGULARIZATION * len(rows) * np.eye(K + 1)
    return np.linalg.solve(gram, features.T @ residuals)


# --- the model --------------------------------------------------------------------------------------------------------


def test_the_model_solves_ridge_regression():
    model = made()
    folded = model.fold_in([3, 50, 51], [4.5, 1.0, 3.0])
    expected = solved(model, [3, 50, 51], [4.5, 1.0, 3.0])
    np.testing.assert_allclose([*folded.vector, folded.bias], expected, rtol=1e-5, atol=1e-6)
    liked = model.fold_in([3, 50])
    expected = solved(model, [3, 50], model.mean + model.item_biases[[3, 50]] + 1)
    np.testing.assert_allclose([*liked.vector, liked.bias], expected, rtol=1e-5, atol=1e-6)
    assert made(biases=False).fold_in([3], [5.0]).bias == 0


@pytest.mark.parametrize(
    ("error", "words", "arguments"),
    [
        (mcfast.UnknownIdError, "items", ([N_ITEMS], [1.0])),
        (ValueError, "items: got none", ([], [])),
        (ValueError, r"scores: got shape \(1,\)", ([1, 2], [1.0])),
        (ValueError, "scores: got nan", ([1], [np.nan])),
    ],
)
def test_the_model_refuses(error, words, arguments):
    with pytest.raises(error, match=words):
        made().fold_in(*arguments)


@given(st.integers(1, 12), st.integers(1, 12), st.booleans(), st.integers(0, 2**32 - 1))
def test_old_and_new_scores_together_need_only_the_old_solution(n_old, n_new, biased, seed):
    random = np.random.default_rng(seed)
    old, new = (random.standard_normal((n, K)).astype(np.float32) for n in (n_old, n_new))
    scores = random.standard_normal(n_old + n_new)
    start = ridge(old, scores[:n_old], 0.1, biased=biased)
    further = ridge(new, scores[n_old:], 0.1, biased=biased, start=start, learned=old)
    together = ridge(np.vstack([old, new]), scores, 0.1, biased=biased)
    np.testing.assert_allclose(further.vector, together.vector, rtol=1e-4, atol=1e-5)
    assert further.bias == pytest.approx(together.bias, rel=1e-4, abs=1e-5)


# --- users online -----------------------------------------------------------------------------------------------------


def test_a_newcomer_is_folded_in_for_the_next_request_in_every_process(recaller, root):
    model = made()
    with mcfast.open(root) as other:
        assert other.recall(999, 5).source == "popular"
        recaller.record(999, [3, 50, 5000], scores=[4.5, 1.0, 2.0])  # 5000 is no item
        folded = recaller.fold_in(999)
        expected = solved(model, [3, 50], [4.5, 1.0])
        np.testing.assert_allclose([*folded.vector, folded.bias], expected, rtol=1e-5, atol=1e-5)
        found = other.recall(999, N_ITEMS)
        assert found.source == "folded"
        assert not {3, 50} & set(found.ids.tolist())
        rows = found.ids
        scores = model.mean + folded.bias + model.item_biases[rows] + model.item_factors[rows] @ folded.vector
        np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-4)


def test_a_known_user_is_moved_from_the_published_vector_and_not_from_the_last_fold(recaller):
    model = made()
    row = 2
    start = Folded(model.user_factors[row], float(model.user_biases[row]))
    learned = model.seen.of_user(row)
    new = next(i for i in range(N_ITEMS) if i not in learned)
    recaller.record(102, [new], scores=[5.0])
    residual = np.array([5.0 - model.mean - model.item_biases[new]])
    expected = ridge(
        model.item_factors[[new]],
        residual,
        REGULARIZATION,
        biased=True,
        start=start,
        learned=model.item_factors[learned],
    )
    for _ in range(2):
        folded = recaller.fold_in(102)
        np.testing.assert_allclose(folded.vector, expected.vector, rtol=1e-4, atol=1e-5)
    assert not np.allclose(folded.vector, start.vector, atol=1e-3)
    recaller.forget(102)
    recaller.record(102, [new], scores=[5.0])
    afresh = recaller.fold_in(102)
    np.testing.assert_allclose(afresh.vector, model.fold_in([new], [5.0]).vector, rtol=1e-5, atol=1e-6)


def test_who_has_nothing_known_is_not_folded_in(recaller):
    assert recaller.fold_in(999) is None
    assert recaller.fold_in(999, [5000]) is None
    assert recaller.recall(999, 5).source == "popular"
    with pytest.raises(TypeError, match="items"):
        recaller.fold_in(999, 7)


# --- without a user ---------------------------------------------------------------------------------------------------


def test_a_list_of_items_gets_what_a_user_folded_in_from_it_would(recaller):
    recaller.put_item(500, np.ones(K), 1.0)
    lists = [[3, 50], [500], [5000], []]
    worth = [[4.0, 2.0], None, None, None]
    many = recaller.recall_items_many(lists, 30, scores=worth)
    assert many.sources == ["folded", "folded", "popular", "popular"]
    for i, (items, scores) in enumerate(zip(lists, worth, strict=True)):
        one = recaller.recall_items(items, 30, scores=scores)
        assert one.ids.tolist() == many.ids[i].tolist()
        assert not set(items) & set(one.ids.tolist())
        if one.source == "folded":
            recaller.fold_in(900 + i, items, scores)
            assert recaller.recall(900 + i, 30, exclude=items).ids.tolist() == one.ids.tolist()
    assert recaller.recall_items_many([], 5).ids.shape == (0, 5)


def test_vectors_from_elsewhere_score_the_inner_product_and_the_bias_of_the_item(recaller):
    model = made()
    found = recaller.recall_vectors(model.user_factors[:3], N_ITEMS)
    for i in range(3):
        expected = model.item_factors @ model.user_factors[i] + model.item_biases
        np.testing.assert_allclose(found.scores[i], np.sort(expected)[::-1], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"vectors: got shape \(3, 5\)"):
        recaller.recall_vectors(np.ones((3, K - 1)))


def test_similar_items_are_those_of_the_model(recaller):
    model = made()  # where items 0 and 5 to 9 are the same
    for item, k in ((0, 3), (5, 20), (77, 20), (77, N_ITEMS + 5)):
        same(recaller.similar_items(item, k), model.similar_items(item, k))
    factors = np.vstack([model.item_factors, model.item_factors[77] * 3, np.zeros(K)])
    factors[7] = factors[78]
    recaller.put_item(7, factors[7])
    recaller.put_item(500, factors[N_ITEMS])
    recaller.put_item(501, factors[N_ITEMS + 1])
    items = [*range(N_ITEMS), 500, 501]
    model = mcfast.Model.from_factors(model.user_factors, factors, items=items)
    for item in (0, 7, 8, 77, 500, 501):
        for k in (1, 3, len(items)):
            same(recaller.similar_items(item, k), model.similar_items(item, k))


def same(found, expected):
    n = expected.counts
    assert found.ids.tolist() == expected.ids[:n].tolist()
    assert found.scores.tolist() == expected.scores[:n].tolist()


def test_similar_items_are_filtered(recaller):
    model = made()
    recaller.put_item(500, model.item_factors[77] * 3)
    assert recaller.similar_items(77, 1).ids.tolist() == [500]
    assert recaller.similar_items(500, 1, exclude=[1]).ids.tolist() == [77]
    even = recaller.similar_items(77, 300, filter={"g": "even"}).ids.tolist()
    assert sorted(even) == list(range(0, N_ITEMS, 2))
    assert (
        sorted(recaller.similar_items(77, 300, filter={"g": "even"}, exclude=[0, 2]).ids.tolist()) == sorted(even)[2:]
    )
    assert recaller.similar_items(77, 300, filter={"g": "even"}).ids.tolist() == even
    with pytest.raises(mcfast.UnknownIdError, match="item: got 5000"):
        recaller.similar_items(5000)


# --- filters, exact answers, chosen versions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"g": "even"}, lambda i: i % 2 == 0),
        ({"g": ["odd", "tens"]}, lambda i: i % 2 == 1 or i % 10 == 0),
        ({"year": {"min": 1950}}, lambda i: i >= 50),
        ({"year": {"min": 1905, "max": 1910}, "g": "odd"}, lambda i: i in (5, 9)),
        ({"title": ["Item 3", "Item 4", "none"]}, lambda i: i in (3, 4)),
        ({"year": []}, lambda i: False),
        ({}, lambda i: True),
    ],
)
def test_filters_leave_the_items_whose_attributes_fit(recaller, condition, holds):
    expected = {i for i in range(N_ITEMS) if holds(i)}
    for user in (100, 999):
        found = recaller.recall(user, N_ITEMS, exclude_seen=False, filter=condition)
        assert set(found.ids.tolist()) == expected
    fits = {"title": "Item 3", "year": 1950, "g": ["even", "odd", "tens"]}
    recaller.put_item(500, np.ones(K), attributes=fits)
    recaller.put_item(501, np.ones(K))
    found = set(recaller.recall(100, N_ITEMS + 5, exclude_seen=False, filter=condition).ids.tolist())
    assert found - {500, 501} == expected
    assert (501 in found) == (condition == {})


@pytest.mark.parametrize(
    ("error", "condition"),
    [
        (ValueError, {"colour": "red"}),
        (ValueError, {"year": "red"}),
        (ValueError, {"year": {"min": "red"}}),
        (ValueError, {"year": {"least": 3}}),
        (ValueError, {"year": {}}),
        (TypeError, {"year": None}),
        (TypeError, {"year": [[1]]}),
        (TypeError, "year"),
    ],
)
def test_bad_filters_are_refused(recaller, error, condition):
    with pytest.raises(error, match=r"filter: got .*, expected"):
        recaller.recall(100, 5, filter=condition)


def test_an_exact_answer_of_an_approximate_index_is_that_of_the_exact_index(root):
    model = made()
    with pytest.warns(mcfast.recall.RecallWarning):
        mcfast.publish(model, root, index="hnswlib", recall=1.0, index_options={"M": 2, "ef_construction": 1})
    mcfast.publish(model, root, index="hnswlib", recall=0.05, index_options={"M": 3, "ef_construction": 4, "seed": 1})
    with mcfast.open(root) as recaller:
        for online in (False, True):
            if online:
                recaller.put_item(5, np.ones(K))
                recaller.put_item(500, -np.ones(K))
            found = recaller.recall_many(model.users.values, 20, exact=True, exclude=[1, 2])
            assert set(found.sources) == {"exact"}
            with mcfast.open(root, version=1) as other:
                if online:
                    other.put_item(5, np.ones(K))
                    other.put_item(500, -np.ones(K))
                best = other.recall_many(model.users.values, 20, exclude=[1, 2])
            np.testing.assert_array_equal(found.ids, best.ids)
            np.testing.assert_array_equal(found.scores, best.scores)


def test_a_recaller_stays_with_the_version_that_it_was_opened_with(root):
    mcfast.publish(made(), root)
    mcfast.publish(made(7), root)
    with mcfast.open(root, version=1) as recaller:
        assert recaller.version == 1
        assert recaller.recall(100, 5).ids.tolist() == made().recommend(100, 5).ids.tolist()
        assert recaller.reload() is False
        assert recaller.version == 1
    with pytest.raises(mcfast.FormatError, match="no version 3"):
        mcfast.open(root, version=3)


# --- looking around ---------------------------------------------------------------------------------------------------


def test_items_are_found_by_their_title_the_most_popular_first(recaller):
    popular = recaller.recall(999, N_ITEMS).ids.tolist()
    fitting = [i for i in popular if "12" in str(i)]
    assert recaller.find_items("iTEM 12", 100).tolist() == [i for i in fitting if str(i).startswith("12")]
    assert recaller.find_items("12", 2).tolist() == fitting[:2]
    assert recaller.find_items("nothing").tolist() == []
    assert recaller.find_items("x", attribute="none").tolist() == []
    assert recaller.attributes == ["title", "year", "g"]


def test_the_map_shows_the_most_popular_items_by_their_principal_components(recaller):
    ids, places = recaller.map_items(50)
    assert ids.tolist() == recaller.recall(999, 50).ids.tolist()
    vectors = made().item_factors[ids].astype(float)
    vectors -= vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(vectors)
    np.testing.assert_allclose(np.abs(places), np.abs(vectors @ directions[:2].T), rtol=1e-4, atol=1e-4)
    assert len(recaller.map_items(10_000)[0]) == N_ITEMS
