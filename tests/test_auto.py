"""The choice of an index: what is measured, what is taken, and that it says why."""

import numpy as np
import pytest

import mcfast
from mcfast import recall
from mcfast.recall import auto
from recall_problems import check, problem


def build(latencies, monkeypatch, **options):
    """Build with given latencies, a backend each; what is not in there may not be tried."""
    monkeypatch.setattr(auto, "_latency", lambda index, promise: dict.fromkeys(("10", "100"), latencies[index.backend]))
    vectors, queries, offsets, _ = problem("ip")
    return recall.build("auto", vectors, "ip", offsets=offsets, queries=queries, **options)


@pytest.fixture
def only(monkeypatch):
    """Let there be only some backends."""

    def only(*names):
        few = {name: recall.BACKENDS[name] for name in names}
        monkeypatch.setattr("mcfast.recall.registry.BACKENDS", few)

    return only


def test_exact_where_it_is_fast_enough(monkeypatch, tmp_path):
    index = build({"exact": 0.5}, monkeypatch)
    assert index.backend == "exact"
    chosen = index.info["chosen"]
    assert chosen["why"].startswith("exact: exact, 0.5 ms a query at k = 100, within 1 ms")
    assert list(chosen["measured"]) == ["exact"]
    index.save(tmp_path / "index")
    assert recall.load(tmp_path / "index").info["chosen"] == chosen


def test_the_first_that_is_fast_enough(monkeypatch, only):
    only("exact", "hnswlib", "faiss")
    index = build({"exact": 3, "hnswlib": 0.5}, monkeypatch)
    assert index.backend == "hnswlib"
    assert index.info["chosen"]["why"].startswith("hnswlib: recall at least 0.95, 0.5 ms")
    assert list(index.info["chosen"]["measured"]) == ["exact", "hnswlib"]


def test_the_fastest_where_none_is_fast_enough(monkeypatch, only):
    only("exact", "hnswlib", "faiss")
    index = build({"exact": 3, "hnswlib": 2, "faiss": 2.5}, monkeypatch, milliseconds=0.1)
    assert index.backend == "hnswlib"
    assert "none of exact, hnswlib, faiss is within 0.1 ms" in index.info["chosen"]["why"]


def test_all_of_the_recall_is_exact(monkeypatch):
    assert build({"exact": 3}, monkeypatch, recall=1.0, milliseconds=0.1).backend == "exact"


def test_what_falls_short_is_not_taken(monkeypatch, only):
    only("exact", "faiss")
    monkeypatch.setattr("mcfast.recall.faiss._default", lambda size: "PCA1,Flat")
    index = build({"exact": 3, "faiss": 0.1}, monkeypatch, recall=0.99)
    assert index.backend == "exact"
    assert index.info["chosen"]["measured"]["faiss"]["falls_short"]


def test_only_what_is_installed_and_local(monkeypatch):
    assert "milvus" not in [backend.backend for backend in auto.installed(recall.BACKENDS)]
    monkeypatch.setattr(auto, "find_spec", lambda _: None)
    assert "faiss" not in [backend.backend for backend in auto.installed(recall.BACKENDS)]


@pytest.mark.parametrize("metric", recall.METRICS)
def test_the_choice_answers_as_every_index_does(metric):
    vectors, queries, offsets, truth = problem(metric)
    index = recall.build("auto", vectors, metric, offsets=offsets, queries=queries, milliseconds=1e-6)
    assert set(index.info["chosen"]["measured"]) == {backend.backend for backend in auto.installed(recall.BACKENDS)}
    check(index, index.search(queries, 10), truth, 10)


def test_no_items():
    assert recall.build("auto", np.zeros((0, 3))).search(np.zeros(3), 2)[0].tolist() == [-1, -1]


def test_bad_options_of_auto():
    with pytest.raises(ValueError, match=r"milliseconds: got 0\.0"):
        recall.build("auto", np.eye(3), milliseconds=0)


def test_published(tmp_path):
    random = np.random.default_rng(0)
    model = mcfast.Model.from_factors(random.standard_normal((30, 4)), random.standard_normal((40, 4)))
    mcfast.publish(model, tmp_path / "serving", index="auto", index_options={"milliseconds": 1000.0})
    index = mcfast.open(tmp_path / "serving").info["index"]
    assert index["backend"] == "exact"
    assert index["chosen"]["measured_on"] == "queries"
