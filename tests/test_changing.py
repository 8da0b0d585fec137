"""Indexes whose items change: every answer is that of a new index of the items there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from changing_problems import CHANGING, built, numbers, stress
from mcfast import recall
from mcfast.recall import changing

DIMENSION = 6
every = pytest.mark.parametrize(
    ("backend", "metric"), [(backend, metric) for backend in CHANGING for metric in recall.METRICS]
)


class Expected:
    """What an index must answer, by the definition."""

    def __init__(self, vectors, metric, offsets):
        self.vectors, self.metric = vectors.copy(), metric
        self.offsets = np.zeros(len(vectors), np.float32) if offsets is None else offsets.copy()
        self.there = np.ones(len(vectors), bool)

    def add(self, vectors, offsets):
        self.vectors = np.concatenate([self.vectors, vectors])
        self.offsets = np.concatenate(
            [self.offsets, np.zeros(len(vectors), np.float32) if offsets is None else offsets]
        )
        self.there = np.concatenate([self.there, np.ones(len(vectors), bool)])

    def replace(self, rows, vectors, offsets):
        self.vectors[rows] = vectors
        self.offsets[rows] = 0 if offsets is None else offsets
        self.there[rows] = True

    def remove(self, rows):
        self.there[rows] = False

    def check(self, index, queries, k, excluded=None, allow=None):
        """Compare; every index finds all, as it is told to be exact."""
        truth = oracle.recall_scores(self.vectors, queries, self.metric, self.offsets if self.metric == "ip" else None)
        may = self.there if allow is None else self.there & allow
        rows, scores = oracle.nearest(truth, k, excluded, may)
        exclude = None
        if excluded is not None:
            exclude = np.cumsum([0, *map(len, excluded)]), np.concatenate([*excluded, []]).astype(int)
        found = index.search(queries, k, exclude=exclude, allow=allow)
        np.testing.assert_array_equal(found[0], rows)
        np.testing.assert_array_equal(found[1], scores)


@every
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_sequence_of_changes(backend, metric, data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    ties = data.draw(st.booleans(), "ties")
    some = st.integers(0, 40)
    n = data.draw(st.integers(0, 300), "n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changing, "LEAST_ADDED", data.draw(st.sampled_from([0, 60, 4096]), "least_added"))
        patch.setattr("mcfast.recall.regions.LADDER", (np.inf,))  # all regions: answers are exact
        own = numbers(random, ties, n) if metric == "ip" and data.draw(st.booleans(), "offsets") else None
        index = built(backend, vectors := numbers(random, ties, n, DIMENSION), metric, own)
        expected = Expected(vectors, metric, own)
        for change in data.draw(st.lists(st.sampled_from(["add", "replace", "remove"]), max_size=8), "changes"):
            m = data.draw(some, "m")
            if change == "add":
                vectors, offsets = numbers(random, ties, m, DIMENSION), None
                if metric == "ip" and data.draw(st.booleans(), "own"):
                    offsets = numbers(random, ties, m)
                first = index.size
                np.testing.assert_array_equal(index.add(vectors, offsets=offsets), np.arange(first, first + m))
                expected.add(vectors, offsets)
            else:
                rows = random.permutation(index.size)[:m]
                if change == "remove":
                    index.remove(rows)
                    expected.remove(rows)
                else:
                    vectors = numbers(random, ties, len(rows), DIMENSION)
                    index.replace(rows, vectors)
                    expected.replace(rows, vectors, None)
            assert index.size == len(expected.there)
            queries = numbers(random, ties, 3, DIMENSION)
            expected.check(index, queries, data.draw(st.integers(1, 20), "k"))
            excluded = [random.integers(0, index.size, 20) if index.size else np.zeros(0, int) for _ in queries]
            expected.check(index, queries, index.size + 1, excluded, random.random(index.size) < 0.5)


@every
def test_many_added_ones_are_searched_by_their_codes(backend, metric, monkeypatch):
    monkeypatch.setattr("mcfast.recall.regions.LADDER", (np.inf,))
    monkeypatch.setattr(changing, "LEAST_ADDED", 10**6)
    random = np.random.default_rng(0)
    vectors = numbers(random, False, 5000, DIMENSION)
    index, expected = built(backend, vectors[:100], metric), Expected(vectors[:100], metric, None)
    queries = numbers(random, False, 130, DIMENSION)
    for first in range(100, 3500, 700):
        index.add(vectors[first : first + 700])
        expected.add(vectors[first : first + 700], None)
        for rows in (random.permutation(index.size)[:200], random.permutation(index.size)[:200]):
            index.remove(rows[:100])
            expected.remove(rows[:100])
            index.replace(rows[50:], vectors[4000 : 4000 + len(rows[50:])])
            expected.replace(rows[50:], vectors[4000 : 4000 + len(rows[50:])], None)
        expected.check(index, queries, 50)
    assert index._core.added == 5 * 1000
    expected.check(index, queries[:2], 40, [range(500), range(3)], random.random(index.size) < 0.5)
    expected.check(index, queries[:2], 40, None, random.random(index.size) < 0.01)


@every
def test_saved_and_loaded_as_it_is(backend, metric, tmp_path, monkeypatch):
    monkeypatch.setattr("mcfast.recall.regions.LADDER", (np.inf,))
    random = np.random.default_rng(1)
    vectors, queries = numbers(random, False, 400, DIMENSION), numbers(random, False, 9, DIMENSION)
    offsets = numbers(random, False, 400) if metric == "ip" else None
    index, expected = built(backend, vectors[:300], metric, queries=queries), Expected(vectors[:300], metric, None)
    own = None if offsets is None else offsets[300:]
    index.add(vectors[300:], offsets=own)
    expected.add(vectors[300:], own)
    for change in (index, expected):
        change.remove(np.array([5, 6, 310, 399]))
    index.replace([6, 7], vectors[:2])
    expected.replace([6, 7], vectors[:2], None)
    index.save(tmp_path / "index")
    loaded = recall.load(tmp_path / "index")
    for one in (index, loaded):
        assert one.size == 400
        expected.check(one, queries, 30)
        assert recall.measure(one, queries, 10) == 1
        np.testing.assert_array_equal(one.rows[[5, 399], :DIMENSION], 0)
        if metric == "ip":
            np.testing.assert_array_equal(one.rows[[6, 7, 350], :DIMENSION], vectors[[0, 1, 350]])
            assert one.offsets[350] == offsets[350]
    assert loaded.add(vectors[:1]).tolist() == [400]
    monkeypatch.setattr(changing, "LEAST_ADDED", 10)
    loaded.replace([9], vectors[:1])  # builds in all that was added
    assert loaded._core.added == 0
    expected.add(vectors[:1], None)
    expected.replace([9], vectors[:1], None)
    expected.check(loaded, queries, 30)


def test_regions_keep_their_recall_as_items_come(monkeypatch):
    monkeypatch.setattr(changing, "LEAST_ADDED", 500)
    random = np.random.default_rng(2)
    items, queries = (random.standard_normal((n, 16)) for n in (12_000, 300))
    index = recall.build("regions", items[:4000], recall=0.95, queries=queries[:150])
    for first in range(4000, 12_000, 400):
        index.add(items[first : first + 400])
        index.remove(np.arange(first // 4, first // 4 + 50))
        assert recall.measure(index, queries[:150], 10) >= 0.93
    assert not index.is_exact
    assert index.info["regions"] > 1
    assert recall.measure(index, queries[150:], 100) >= 0.93


@pytest.mark.parametrize("backend", CHANGING)
def test_searches_while_items_change(backend, monkeypatch):
    monkeypatch.setattr(changing, "LEAST_ADDED", 300)
    assert stress(backend, seconds=1.5, n=2000, searchers=3) > 0


@pytest.mark.parametrize("backend", CHANGING)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda index: index.add([[1, np.nan, 0]]), ValueError, "vectors: got nan"),
        (lambda index: index.add([[1, 2]]), ValueError, r"vectors: got shape \(1, 2\), expected shape \(any, 3\)"),
        (lambda index: index.add([[1, 2, 3]], offsets=[1, 2]), ValueError, "offsets: got shape"),
        (lambda index: index.replace([1], np.eye(3)), ValueError, "rows: got 1, expected 3 of them"),
        (lambda index: index.replace([3], [[1, 2, 3]]), ValueError, r"rows: got values 3\.\.3, .*0\.\.2"),
        (lambda index: index.remove([1, 1]), ValueError, "rows: got one more than once"),
        (lambda index: index.remove([-1]), ValueError, "rows: got values -1"),
        (lambda index: index.remove([0.5]), TypeError, "rows: got values of dtype float64"),
        (lambda index: index.remove(1), ValueError, r"rows: got shape \(\)"),
    ],
)
def test_bad_changes_change_nothing(backend, change, error, message):
    index = recall.build(backend, np.eye(3))
    with pytest.raises(error, match=message):
        change(index)
    assert index.size == 3
    assert index.search([3, 2, 1], 3)[0].tolist() == [0, 1, 2]


def test_offsets_only_where_there_may_be_some():
    with pytest.raises(ValueError, match=r"offsets: got .*metric='l2'"):
        recall.build("exact", np.eye(3), "l2").add(np.eye(3), offsets=[1, 2, 3])
