"""One suite for every index and metric; then what is particular to each backend."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from exact_problems import KINDS, compare, drawn, numbers
from mcfast import CorruptError, FormatError, NewerFormatError, recall
from mcfast.recall.filters import Filter
from recall_problems import DIMENSION, N, built, check, csr, options, problem, required

GOLDEN = Path(__file__).parent / "golden"
EVERY = [(backend, metric) for backend in recall.BACKENDS for metric in recall.METRICS]
every = pytest.mark.parametrize(("backend", "metric"), EVERY)
each_backend = pytest.mark.parametrize("backend", recall.BACKENDS)


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
def test_an_exact_answer_from_any_index(backend, metric):
    index, (_, queries, _, truth) = built(backend, metric), problem(metric)
    filters = Filter.checked(csr([[q, 3] for q in range(len(queries))]), None, len(queries), N)
    rows, scores = index.search_checked(queries, 50, filters, 2, exact=True)
    best_rows, best_scores = oracle.nearest(truth, 50, [[q, 3] for q in range(len(queries))], None)
    np.testing.assert_array_equal(rows, best_rows)
    np.testing.assert_array_equal(scores, best_scores)


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
def test_several_threads_may_search_at_once(backend, metric):
    _, queries, _, _ = problem(metric)
    index = built(backend, metric)
    expected = [index.search(query, k)[0].tolist() for query in queries for k in (1, 20)]
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(index.search, query, k) for query in queries for k in (1, 20)]
        assert [job.result()[0].tolist() for job in jobs] == expected


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
    loaded.save(tmp_path / "index")  # over the files it is mapped from
    np.testing.assert_array_equal(recall.load(tmp_path / "index").search(queries, 20)[0], index.search(queries, 20)[0])


@every
@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_items(backend, metric, n, tmp_path):
    vectors, queries, _, _ = problem(metric)
    index = recall.build(backend, vectors[:n], metric, **required(backend))
    check(index, index.search(queries, 3), oracle.recall_scores(vectors[:n], queries, metric), 3)
    index.save(tmp_path / "index")
    assert recall.load(tmp_path / "index").search(queries[0], 1)[0] == (0 if n == 1 else index.search(queries[0], 1)[0])


@every
def test_items_that_are_all_the_same(backend, metric):
    vectors = np.ones((300, 4), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", recall.RecallWarning)
        index = recall.build(backend, vectors, metric, **options(backend, vectors[:20]) | required(backend))
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
    assert len(files) == {"exact": 3, "regions": 7, "faiss": 4, "hnswlib": 4, "milvus": 3}[backend]
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


@pytest.mark.parametrize("backend", [name for name, backend in recall.BACKENDS.items() if backend.local])
def test_golden_file_of_format_1(backend):
    index = recall.load(GOLDEN / f"index-{backend}-1")
    vectors = np.arange(24, dtype=np.float32).reshape(8, 3) % 7 - 3
    queries = np.array([[1, 0, -1], [0, 2, 1]], np.float32)
    truth = oracle.recall_scores(vectors, queries, "ip", np.arange(8, dtype=np.float32) / -4)
    check(index, index.search(queries, 3), truth, 3)
    assert index.info.get("served_by") != "exact"


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
        recall.build(backend, **{"vectors": good, **required(backend), **arguments})


def test_unknown_backend():
    with pytest.raises(ValueError, match="backend: got 'flat', expected one of 'exact', 'regions', 'faiss', "):
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


@settings(max_examples=150)
@given(data=st.data())
def test_exact_is_the_oracle(data):
    metric = data.draw(st.sampled_from(recall.METRICS), "metric")
    kind = data.draw(st.sampled_from(KINDS), "kind")
    n, m, dimension = (data.draw(st.integers(*bounds)) for bounds in ((1, 500), (1, 20), (1, 80)))
    k = data.draw(st.one_of(st.integers(1, 30), st.just(n)), "k")
    random = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    vectors, queries = numbers(random, kind, (n, dimension)), numbers(random, kind, (m, dimension))
    offsets = numbers(random, kind, (n,)) if metric == "ip" and data.draw(st.booleans(), "offsets") else None
    compare(vectors, queries, metric, offsets, k)


def test_problems_by_chance():
    random = np.random.default_rng(0)
    for _ in range(100):
        compare(*drawn(random))


def test_offsets_far_beyond_the_unit_of_the_codes():
    vectors, offsets = np.full((500, 2), 1e-43, np.float32), np.linspace(-3e38, 3e38, 500, dtype=np.float32)
    check(
        index := recall.build("exact", vectors, offsets=offsets),
        index.search(vectors[:1] * 1e20, 9),
        oracle.recall_scores(vectors, vectors[:1] * np.float32(1e20), "ip", offsets),
        9,
    )


@pytest.mark.parametrize("metric", recall.METRICS)
def test_nearly_everything_excluded(metric):
    random = np.random.default_rng(6)
    vectors, queries = numbers(random, "normal", (3000, 20)), numbers(random, "normal", (7, 20))
    truth = oracle.recall_scores(vectors, queries, metric)
    index = recall.build("exact", vectors, metric)
    # Some queries have few items left, others many; a mask that leaves few meets both.
    excluded = [np.flatnonzero(random.random(3000) < share) for share in (0, 0.5, 0.98, 0.99, 0.999, 1, 0.3)]
    for mask in (None, random.random(3000) < 0.01, random.random(3000) < 0.9):
        check(index, index.search(queries, 12, exclude=csr(excluded), allow=mask), truth, 12, excluded, mask)


# --- measure ------------------------------------------------------------------------------------------------------


def test_measure_needs_queries_and_items():
    with pytest.raises(ValueError, match="queries: got 0 for 3 items"):
        recall.measure(recall.build("exact", good), np.zeros((0, 3)))
