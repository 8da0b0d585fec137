"""What is particular to the index hnswlib: a recall that it keeps, and a library whose traps are closed."""

import os

import numpy as np
import pytest

import oracle
from mcfast import recall
from mcfast.recall import hnswlib
from mcfast.recall.forms import Form
from recall_problems import DIMENSION, built, problem


@pytest.mark.parametrize("metric", recall.METRICS)
def test_the_measured_recall_is_found_again(metric, tmp_path):
    vectors, queries, _, _ = problem(metric)
    built("hnswlib", metric).save(tmp_path / "index")
    index = recall.load(tmp_path / "index")
    info = index.info
    assert info["served_by"] == "graph"
    assert info["measured_on"] == "queries"
    assert [point["ef"] for point in info["curve"]] == list(hnswlib.LADDER)
    assert info["exact"]["recall"] == {"10": 1.0, "100": 1.0}
    for point in (info["exact"], *info["curve"]):
        assert point["queries_per_second"].keys() == {"10", "100"}
        assert min(point["queries_per_second"].values()) > 0
    for k, value in info["recall"].items():
        assert value >= 0.95
        assert recall.measure(index, queries, int(k)) == pytest.approx(value, abs=1e-12)
    assert recall.build("hnswlib", vectors, metric).info["measured_on"] == "items"


@pytest.mark.parametrize(("spread_of_offsets", "form"), [(0, "raw"), (10, "reduced")])
def test_raw_or_reduced_whichever_finds_more(spread_of_offsets, form):
    random = np.random.default_rng(0)
    vectors, queries = random.standard_normal((2000, 16)), random.standard_normal((200, 16))
    offsets = spread_of_offsets * random.standard_normal(2000)
    index = recall.build("hnswlib", vectors, offsets=offsets, recall=0.8, M=4, ef_construction=20, queries=queries)
    assert index.info["form"] == form


def test_a_graph_that_falls_short_warns_and_is_not_used(tmp_path):
    random = np.random.default_rng(1)
    spread = random.standard_normal((4000, 24)) * np.exp(2 * random.standard_normal((4000, 1)))
    with pytest.warns(recall.RecallWarning, match=r"hnswlib: recall@10 = .* expected 1: .* exactly") as caught:
        index = recall.build(
            "hnswlib", spread, recall=1.0, M=2, ef_construction=4, queries=random.standard_normal((50, 24))
        )
    assert caught[0].filename == __file__
    assert index.info["served_by"] == "exact"
    assert recall.measure(index, random.standard_normal((20, 24))) == 1
    index.save(tmp_path / "index")
    assert recall.load(tmp_path / "index").info == index.info


def test_queries_that_the_graph_answers_too_shortly_are_answered_exactly(monkeypatch):
    _, queries, _, truth = problem("ip")
    index = built("hnswlib", "ip")

    def nearest(self, vectors, k, threads):
        return np.full((len(vectors), k), -1)

    monkeypatch.setattr(hnswlib.Graph, "nearest", nearest)
    np.testing.assert_array_equal(index.search(queries, 10)[0], oracle.nearest(truth, 10)[0])


def test_a_graph_says_where_it_has_too_few():
    vectors = np.random.default_rng(2).standard_normal((50, 3)).astype(np.float32)
    index = recall.build("exact", vectors, "l2")
    part = hnswlib.Graph.empty(Form(index._items, "raw"), M=4, ef_construction=10, seed=1)
    part.insert(part.form.vectors()[:20], 0)
    queries = index._items.queries(vectors[:3])
    assert (part.nearest(queries, 21, 1) == -1).all()
    assert sorted(part.nearest(queries, 20, 1)[0]) == list(range(20))


def test_one_short_query_does_not_spoil_a_batch():
    class ShortAt9:
        def knn_query(self, vectors, k, num_threads):
            if (vectors[:, 0] == 9).any():
                raise RuntimeError("Cannot return the results in a contiguous 2D array")
            return np.ones((len(vectors), k), np.uint64), None

    one = hnswlib.Graph(Form(built("hnswlib", "l2")._items, "raw"))
    one._index = ShortAt9()
    queries = np.zeros((3, DIMENSION), np.float32)
    queries[1, 0] = 9
    assert one.nearest(queries, 2, 1).tolist() == [[1, 1], [-1, -1], [1, 1]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"M": 1}, "M: got 1"),
        ({"ef_construction": 0}, "ef_construction: got 0"),
        ({"recall": 0.0}, r"recall: got 0\.0"),
        ({"recall": 1.1}, r"recall: got 1\.1"),
        ({"queries": np.zeros((2, 4))}, r"queries: got shape \(2, 4\)"),
        ({"queries": np.zeros((0, 3))}, "queries: got none"),
    ],
)
def test_bad_options_of_hnswlib(arguments, message):
    with pytest.raises(ValueError, match=message):
        recall.build("hnswlib", np.eye(3), **arguments)


def test_a_disk_that_is_full_is_noticed(tmp_path):
    index = built("hnswlib", "ip")

    class Short:
        def save_index(self, file):
            index._proposer._index.save_index(file)
            os.truncate(file, 100)

        def index_file_size(self):
            return index._proposer._index.index_file_size()

    cut = hnswlib.Graph(Form(index._items, "raw"))
    cut._index = Short()
    with pytest.raises(OSError, match="No space left"):
        cut.save(tmp_path / "graph.bin")
