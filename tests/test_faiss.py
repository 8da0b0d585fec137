"""What is particular to the index faiss: any factory, a recall that it keeps, and threads that do not meet others."""

import re
import sys

import numpy as np
import pytest

from mcfast import CorruptError, MissingExtraError, recall
from mcfast.recall import faiss as backend
from mcfast.recall.forms import Form
from recall_problems import N, built, check, problem

FACTORIES = {
    "Flat": [{"multiple": 1}],
    "HNSW16": [{"efSearch": ef, "multiple": 1} for ef in backend.EF_SEARCH],
    "IVF16,Flat": [{"nprobe": n, "multiple": 1} for n in (1, 2, 4, 8, 16)],
    "SQ8": [{"multiple": multiple} for multiple in backend.MULTIPLES],
    "PCA8,IVF4,SQ8": [{"nprobe": n, "multiple": multiple} for multiple in backend.MULTIPLES for n in (1, 2, 4)],
}
factories = pytest.mark.parametrize("factory", FACTORIES)


def build(factory, metric, **options):
    vectors, queries, offsets, _ = problem(metric)
    return recall.build("faiss", vectors, metric, offsets=offsets, factory=factory, **{"queries": queries, **options})


@factories
@pytest.mark.parametrize("metric", recall.METRICS)
def test_every_factory_keeps_the_recall_that_it_measured(factory, metric, tmp_path):
    _, queries, _, truth = problem(metric)
    build(factory, metric).save(tmp_path / "index")
    index = recall.load(tmp_path / "index")
    info = index.info
    assert info["served_by"] == "faiss"
    assert not index.is_exact
    settings = [{name: point[name] for name in backend.PARAMETERS if name in point} for point in info["curve"]]
    assert settings == FACTORIES[factory]
    assert {name: info[name] for name in settings[0]} in settings
    for k, value in info["recall"].items():
        assert value >= 0.95
        assert recall.measure(index, queries, int(k)) == pytest.approx(value, abs=1e-12)
    check(index, index.search(queries, 10), truth, 10)


@factories
def test_the_structure_is_the_same_from_any_number_of_threads(factory, tmp_path):
    for threads in (1, 2, 3):
        build(factory, "ip", threads=threads).save(tmp_path / str(threads))
    assert len({file.read_bytes() for file in tmp_path.rglob("faiss.bin")}) == 1


def test_lists_are_the_same_from_any_number_of_threads_where_there_are_many_items():
    items = recall.build("exact", np.random.default_rng(0).standard_normal((140_000, 8)))._items
    made = []
    for threads in (1, 2):
        one = backend.Structure.empty(Form(items, "raw"), "IVF550,Flat")  # trained with more than 128,000 items
        one.fill(threads)
        made.append(one._index)
    assert np.array_equal(*(backend._faiss().serialize_index(index) for index in made))


@pytest.mark.parametrize(("n", "factory"), [(600, "Flat"), (10_000, "IVF256,Flat")])
def test_the_default_goes_by_size(n, factory):
    vectors = np.random.default_rng(0).standard_normal((n, 4))
    index = recall.build("faiss", vectors, "l2", recall=0.5)
    assert index.info["parameters"] == {"factory": factory}


def test_a_structure_that_falls_short_warns_and_is_not_used(tmp_path):
    with pytest.warns(recall.RecallWarning, match=r"faiss: recall@10 = .* expected 1: .* exactly") as caught:
        index = build("PCA1,Flat", "cosine", recall=1.0)
    assert caught[0].filename == __file__
    assert index.info["served_by"] == "exact"
    assert index.is_exact
    index.save(tmp_path / "index")
    loaded = recall.load(tmp_path / "index")
    assert loaded.info == index.info
    assert recall.measure(loaded, problem("cosine")[1]) == 1


def test_raw_or_reduced_whichever_finds_more():
    random = np.random.default_rng(0)
    vectors, queries = random.standard_normal((2000, 16)), random.standard_normal((200, 16))
    for spread, form in ((0, "raw"), (10, "reduced")):
        offsets = spread * random.standard_normal(2000)
        index = recall.build("faiss", vectors, offsets=offsets, recall=0.5, factory="HNSW4", queries=queries)
        assert index.info["form"] == form


def test_what_the_caller_has_set_of_faiss_stays():
    faiss = pytest.importorskip("faiss")
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(5)
        build("IVF4,Flat", "l2", threads=2).search(problem("l2")[1], 3)
        assert faiss.omp_get_max_threads() == 5
    finally:
        faiss.omp_set_num_threads(before)


def test_more_queries_than_a_block(monkeypatch):
    _, queries, _, _ = problem("l2")
    index = built("faiss", "l2")
    rows, scores = index.search(queries, 10)
    monkeypatch.setattr(backend, "BLOCK", 7)
    for threads in (1, 2):
        again = index.search(queries, 10, threads=threads)
        np.testing.assert_array_equal(again[0], rows)
        np.testing.assert_array_equal(again[1], scores)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"factory": "nonsense"}, ValueError, "factory: got 'nonsense', expected one that faiss can make"),
        ({"factory": "IVF8,Flat"}, ValueError, "factory: got 'IVF8,Flat', .* for 3 items"),
        ({"factory": "IDMap,Flat"}, ValueError, "factory: got 'IDMap,Flat'"),
        ({"factory": 7}, TypeError, r"factory: got 7 \(int\)"),
        ({"recall": 0.0}, ValueError, r"recall: got 0\.0"),
        ({"queries": np.zeros((0, 3))}, ValueError, "queries: got none"),
    ],
)
def test_bad_options_of_faiss(arguments, error, message):
    with pytest.raises(error, match=message):
        recall.build("faiss", np.eye(3), **arguments)


def test_a_file_of_other_items_is_found(tmp_path):
    index = built("faiss", "ip")
    file = tmp_path / "faiss.bin"
    index._proposer.save(file)
    other = Form(recall.build("exact", np.eye(3))._items, "raw")
    with pytest.raises(CorruptError, match=rf"{N} vectors of 13, expected 3 of 3"):
        backend.Structure.load(other, "Flat", file)
    file.write_bytes(b"what is this")
    with pytest.raises(CorruptError, match=re.escape(str(file))):
        backend.Structure.load(other, "Flat", file)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"faiss-cpu: pip install 'mcfast\[faiss\]'"):
        recall.build("faiss", np.eye(3))
