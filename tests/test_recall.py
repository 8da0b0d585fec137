"""One suite for every index and metric; then what is particular to each backend."""

import os
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from mcfast import CorruptError, FormatError, NewerFormatError, _core, recall
from mcfast.recall import graph, hnswlib

N, DIMENSION = 700, 12
EVERY = [(backend, metric) for backend in recall.BACKENDS for metric in recall.METRICS]
every = pytest.mark.parametrize(("backend", "metric"), EVERY)
each_backend = pytest.mark.parametrize("backend", recall.BACKENDS)


@cache
def problem(metric):
    """Items with duplicates and zeros among them, queries, offsets where there may be some, and the true scores."""
    random = np.random.default_rng(3)
    vectors = random.standard_normal((N, DIMENSION)).astype(np.float32)
    vectors[N // 2 : N // 2 + 40] = vectors[:40]
    vectors[[7, 400, 401]] = 0
    queries = random.standard_normal((60, DIMENSION)).astype(np.float32)
    queries[:5] = vectors[:5]
    queries[5] = 0
    offsets = random.standard_normal(N).astype(np.float32) if metric == "ip" else None
    return vectors, queries, offsets, oracle.recall_scores(vectors, queries, metric, offsets)


@cache
def built(backend, metric):
    vectors, queries, offsets, _ = problem(metric)
    return recall.build(backend, vectors, metric, offsets=offsets, **options(backend, queries))


def options(backend, queries):
    return {} if backend == "exact" else {"queries": queries}


def csr(excluded):
    indptr = np.concatenate(([0], np.cumsum([len(rows) for rows in excluded])))
    return indptr, np.array([row for rows in excluded for row in rows], np.int64)


def check(index, found, truth, k, excluded=None, allow=None):
    """Check an answer: as many rows as may be, none twice, none filtered, true scores, in order; if exact, the best."""
    rows, scores = found
    assert rows.dtype == np.int64
    assert scores.dtype == np.float32
    assert rows.shape == scores.shape == (len(truth), k)
    best_rows, best_scores = oracle.nearest(truth, k, excluded, allow)
    np.testing.assert_array_equal(rows >= 0, best_rows >= 0)
    for q in range(len(truth)):
        real = rows[q][rows[q] >= 0]
        assert len(set(real)) == len(real)
        assert excluded is None or not set(real) & set(excluded[q])
        assert allow is None or all(allow[real])
        assert scores[q][: len(real)].tobytes() == truth[q][real].tobytes()
        assert list(real) == sorted(real, key=lambda i: (-truth[q][i], i))
    if index.backend == "exact":
        np.testing.assert_array_equal(rows, best_rows)
    assert np.mean(scores >= best_scores[:, -1:]) > 0.9


# --- every backend and metric -------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("k", [1, 10, 100])
def test_answers_are_true(backend, metric, k):
    _, queries, _, truth = problem(metric)
    index = built(backend, metric)
    check(index, index.search(queries, k), truth, k)


@every
def test_more_than_there_are_is_padded(backend, metric):
    _, queries, _, truth = problem(metric)
    index = built(backend, metric)
    check(index, index.search(queries[:3], N + 20), truth[:3], N + 20)


@every
def test_filters(backend, metric):
    _, queries, _, truth = problem(metric)
    index = built(backend, metric)
    random = np.random.default_rng(5)
    allow = random.random(N) < 0.4
    everything = np.arange(N)
    best = oracle.nearest(truth, 30)[0]
    # Nothing, everything, all but one, the very best, and some at random, unsorted and repeated.
    excluded = [[], everything, np.delete(everything, 13), *best[3:40], *random.integers(0, N, (20, 25))]
    for mask in (None, allow):
        for filters in (None, excluded):
            exclude = None if filters is None else csr(filters)
            check(index, index.search(queries, 10, exclude=exclude, allow=mask), truth, 10, filters, mask)
    rows, scores = index.search(queries[2], 3, exclude=csr(excluded[2:3]))
    assert rows.tolist() == [13, -1, -1]
    assert scores[1:].tolist() == [-np.inf, -np.inf]
    assert (index.search(queries, 5, allow=np.zeros(N, bool))[0] == -1).all()


@every
def test_one_query_or_a_batch_in_any_number_of_threads(backend, metric):
    _, queries, _, truth = problem(metric)
    index = built(backend, metric)
    excluded = oracle.nearest(truth, 30)[0][:, ::2]
    for exclude in (None, csr(excluded)):
        rows, scores = index.search(queries, 10, threads=1, exclude=exclude)
        for threads in (2, 7, None):
            again = index.search(queries, 10, threads=threads, exclude=exclude)
            np.testing.assert_array_equal(again[0], rows)
            np.testing.assert_array_equal(again[1], scores)
        for q, query in enumerate(queries):
            one = index.search(query, 10, exclude=None if exclude is None else csr(excluded[q : q + 1]))
            np.testing.assert_array_equal(one[0], rows[q])
            np.testing.assert_array_equal(one[1], scores[q])


@every
def test_building_does_not_depend_on_threads_or_layout(backend, metric):
    vectors, queries, offsets, _ = problem(metric)
    rows, scores = built(backend, metric).search(queries, 10)
    spread = np.zeros((N, 2 * DIMENSION))
    spread[:, ::2] = vectors
    own = options(backend, queries)
    for given_vectors, threads in ((vectors, 1), (np.asfortranarray(vectors), 2), (spread[:, ::2], 7)):
        index = recall.build(backend, given_vectors, metric, offsets=offsets, threads=threads, **own)
        again = index.search(queries.astype(np.float64), 10)
        np.testing.assert_array_equal(again[0], rows)
        np.testing.assert_array_equal(again[1], scores)


@every
def test_an_index_keeps_its_own_copy(backend, metric):
    vectors, queries, offsets, truth = problem(metric)
    own, own_offsets = vectors.copy(), None if offsets is None else offsets.copy()
    index = recall.build(backend, own, metric, offsets=own_offsets, **options(backend, queries))
    own[:] = 0
    if own_offsets is not None:
        own_offsets[:] = 0
    check(index, index.search(queries, 10), truth, 10)


@every
def test_saved_and_loaded(backend, metric, tmp_path):
    _, queries, _, _ = problem(metric)
    index = built(backend, metric)
    index.save(tmp_path / "index")
    index.save(tmp_path / "index")
    loaded = recall.load(tmp_path / "index")
    for ours, theirs in zip(index.search(queries, 20), loaded.search(queries, 20), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.info == index.info
    assert (loaded.size, loaded.dimension, loaded.metric) == (N, DIMENSION, metric)
    assert loaded.memory >= N * DIMENSION * 4
    assert repr(loaded) == repr(index)


@every
@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_items(backend, metric, n, tmp_path):
    vectors, queries, _, _ = problem(metric)
    index = recall.build(backend, vectors[:n], metric)
    check(index, index.search(queries, 3), oracle.recall_scores(vectors[:n], queries, metric), 3)
    index.save(tmp_path / "index")
    assert recall.load(tmp_path / "index").search(queries[0], 1)[0] == (0 if n == 1 else index.search(queries[0], 1)[0])


@every
def test_items_that_are_all_the_same(backend, metric):
    vectors = np.ones((300, 4), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", recall.RecallWarning)
        index = recall.build(backend, vectors, metric)
    rows, scores = index.search(vectors[:2], 50)
    assert all(len(set(row)) == 50 for row in rows)
    assert len(np.unique(scores)) == 1


@every
def test_no_queries(backend, metric):
    rows, scores = built(backend, metric).search(np.zeros((0, DIMENSION)), 4)
    assert rows.shape == scores.shape == (0, 4)


@each_backend
def test_altered_and_truncated_files(backend, tmp_path):
    path = tmp_path / "index"
    built(backend, "ip").save(path)
    files = [file for file in path.rglob("*") if file.is_file()]
    assert len(files) == (3 if backend == "exact" else 4)
    for file in files:
        whole = file.read_bytes()
        for broken in (whole[:-3], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]):
            file.write_bytes(broken)
            with pytest.raises(CorruptError, match=r"truncated|altered"):
                recall.load(path)
        file.unlink()
        with pytest.raises(FormatError, match=r"missing|has no manifest"):
            recall.load(path)
        file.write_bytes(whole)
    assert recall.load(path).size == N


def test_a_backend_that_this_version_does_not_know(tmp_path, monkeypatch):
    built("exact", "ip").save(tmp_path / "index")
    monkeypatch.setattr("mcfast.recall.registry.BACKENDS", {"other": None})
    with pytest.raises(NewerFormatError, match="'exact'"):
        recall.load(tmp_path / "index")


# --- bad input ----------------------------------------------------------------------------------------------------

good = np.eye(3, dtype=np.float32)


@each_backend
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"vectors": [[1, np.nan]]}, ValueError, r"vectors: got nan at \[0, 1\], expected finite"),
        ({"vectors": [[1, 1e39]]}, ValueError, "vectors: got .*expected finite"),
        ({"vectors": [1.0, 2.0]}, ValueError, r"vectors: got shape \(2,\)"),
        ({"vectors": np.zeros((3, 0))}, ValueError, r"vectors: got shape \(3, 0\)"),
        ({"vectors": [["a"]]}, TypeError, "vectors: got values of dtype"),
        ({"metric": "dot"}, ValueError, "metric: got 'dot', expected one of 'ip', 'cosine', 'l2'"),
        ({"offsets": [1, 2]}, ValueError, r"offsets: got shape \(2,\), expected numbers of shape \(3,\)"),
        ({"offsets": [1, 2, 3], "metric": "l2"}, ValueError, "offsets: got .*metric='l2'"),
        ({"threads": 0}, ValueError, "threads: got 0"),
        ({"no_such_option": 1}, TypeError, "no_such_option"),
    ],
)
def test_bad_arguments_of_build(backend, arguments, error, message):
    with pytest.raises(error, match=message):
        recall.build(backend, **{"vectors": good, **arguments})


def test_unknown_backend():
    with pytest.raises(ValueError, match="backend: got 'flat', expected one of 'exact', 'hnswlib'"):
        recall.build("flat", good)


@each_backend
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ValueError, "k: got 0"),
        ({"k": 2.0}, TypeError, r"k: got 2\.0"),
        ({"queries": np.zeros(DIMENSION + 1)}, ValueError, rf"queries: got shape \(13,\), .*\({DIMENSION},\)"),
        ({"queries": np.zeros((2, 5))}, ValueError, rf"queries: got shape \(2, 5\), .*\(any, {DIMENSION}\)"),
        ({"queries": np.full(DIMENSION, np.inf)}, ValueError, r"queries: got inf at \[0\]"),
        ({"exclude": [1, 2]}, TypeError, "exclude: got list"),
        ({"exclude": ([0, 1, 2], [1, 2])}, ValueError, "exclude indptr: got 3 values, expected 2"),
        ({"exclude": ([0, 3], [1, 2])}, ValueError, r"exclude indptr: got values 0\.\.3, .*number of rows, 2"),
        ({"exclude": ([0, 1], [N])}, ValueError, rf"exclude rows: got values {N}\.\.{N}, .*0\.\.{N - 1}"),
        ({"exclude": ([0, 1], [-1])}, ValueError, "exclude rows: got values -1"),
        ({"exclude": ([0, 1], [1.5])}, TypeError, "exclude rows: got values of dtype float64"),
        ({"exclude": ([0, 1], [[1]])}, ValueError, "exclude rows: got shape"),
        ({"allow": np.ones(N)}, TypeError, "allow: got values of dtype float64"),
        ({"allow": np.ones(N - 1, bool)}, ValueError, rf"allow: got shape \({N - 1},\), expected shape \({N},\)"),
    ],
)
def test_bad_arguments_of_search(backend, arguments, error, message):
    with pytest.raises(error, match=message):
        built(backend, "ip").search(**{"queries": np.zeros(DIMENSION), "k": 3, **arguments})


def test_indptr_that_decreases():
    with pytest.raises(ValueError, match="do not decrease"):
        built("exact", "ip").search(np.zeros((3, DIMENSION)), 1, exclude=([0, 2, 1, 2], [1, 2]))


def test_a_place_that_holds_something_else(tmp_path):
    with pytest.raises(FormatError, match="does not exist"):
        recall.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(FormatError, match="a file stands there"):
        built("exact", "ip").save(tmp_path / "file")


# --- exact --------------------------------------------------------------------------------------------------------


def every_isa():
    """Go through the instruction sets of this machine; the one in use is put back."""
    before = _core.build_info()["isa"]
    for isa in _core.build_info()["isa_available"]:
        _core.set_isa(isa)
        yield isa
    _core.set_isa(before)


def numbers(random, kind, shape):
    if kind == "ties":
        return random.integers(-1, 2, shape).astype(np.float32)
    values = random.standard_normal(shape)
    if kind == "spread":
        values *= 10.0 ** random.integers(-20, 15, shape)
    elif kind == "far":
        values += 1000
    elif kind == "tiny":
        values *= 1e-43
    elif kind == "huge":
        values *= 1e37
    return values.astype(np.float32)


@settings(max_examples=150)
@given(data=st.data())
def test_exact_is_the_oracle(data):
    metric = data.draw(st.sampled_from(recall.METRICS), "metric")
    kind = data.draw(st.sampled_from(["normal", "ties", "spread", "far", "tiny", "huge"]), "kind")
    n, m, dimension = (data.draw(st.integers(*bounds)) for bounds in ((1, 600), (1, 50), (1, 40)))
    k = data.draw(st.integers(1, 30), "k")
    random = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    vectors, queries = numbers(random, kind, (n, dimension)), numbers(random, kind, (m, dimension))
    offsets = numbers(random, kind, (n,)) if metric == "ip" and data.draw(st.booleans(), "offsets") else None
    expected_rows, expected_scores = oracle.nearest(oracle.recall_scores(vectors, queries, metric, offsets), k)
    for _ in every_isa():
        rows, scores = recall.build("exact", vectors, metric, offsets=offsets).search(queries, k)
        np.testing.assert_array_equal(rows, expected_rows)
        assert scores.tobytes() == expected_scores.tobytes()


# --- hnswlib ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", recall.METRICS)
def test_the_measured_recall_is_found_again(metric, tmp_path):
    vectors, queries, _, _ = problem(metric)
    built("hnswlib", metric).save(tmp_path / "index")
    index = recall.load(tmp_path / "index")
    info = index.info
    assert info["served_by"] == "graph"
    assert info["measured_on"] == "queries"
    assert [point["ef"] for point in info["curve"]] == list(hnswlib.LADDER)
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

    monkeypatch.setattr(graph.Graph, "nearest", nearest)
    np.testing.assert_array_equal(index.search(queries, 10)[0], oracle.nearest(truth, 10)[0])


def test_a_graph_says_where_it_has_too_few():
    vectors = np.random.default_rng(2).standard_normal((50, 3)).astype(np.float32)
    index = recall.build("exact", vectors, "l2")
    part = graph.Graph.empty(index._items, "raw", M=4, ef_construction=10, seed=1)
    part.insert(part.vectors()[:20], 0)
    queries = index._items.queries(vectors[:3])
    assert (part.nearest(queries, 21, 1) == -1).all()
    assert sorted(part.nearest(queries, 20, 1)[0]) == list(range(20))


def test_one_short_query_does_not_spoil_a_batch():
    class ShortAt9:
        def knn_query(self, vectors, k, num_threads):
            if (vectors[:, 0] == 9).any():
                raise RuntimeError("Cannot return the results in a contiguous 2D array")
            return np.ones((len(vectors), k), np.uint64), None

    one = graph.Graph(built("hnswlib", "l2")._items, "raw")
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
        recall.build("hnswlib", good, **arguments)


def test_a_disk_that_is_full_is_noticed(tmp_path):
    index = built("hnswlib", "ip")

    class Short:
        def save_index(self, file):
            index._graph._index.save_index(file)
            os.truncate(file, 100)

        def index_file_size(self):
            return index._graph._index.index_file_size()

    cut = graph.Graph(index._items, "raw")
    cut._index = Short()
    with pytest.raises(OSError, match="No space left"):
        cut.save(tmp_path / "graph.bin")


def test_measure_needs_queries_and_items():
    with pytest.raises(ValueError, match="queries: got 0 for 3 items"):
        recall.measure(recall.build("exact", good), np.zeros((0, 3)))
