"""The problem that every index is tested on, and what any answer must be."""

import atexit
import shutil
import tempfile
from functools import cache

import numpy as np

import oracle
from mcfast import recall

N, DIMENSION = 700, 12


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
    own = {"faiss": {"factory": "IVF16,Flat"}, "milvus": {"index_type": "IVF_FLAT", "nlist": 4}}
    return {} if backend == "exact" else {"queries": queries} | required(backend) | own.get(backend, {})


def required(backend):
    """The options that a backend cannot do without."""
    return {"uri": milvus_file(), "index_type": "FLAT"} if backend == "milvus" else {}


@cache
def milvus_file():
    """A file of milvus-lite for this process."""
    folder = tempfile.mkdtemp(prefix="mcfast-milvus-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return f"{folder}/items.db"


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
