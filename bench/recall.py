"""Recall against queries a second, of every index and of faiss where it is importable.

python bench/recall.py [--items 200000] [--factors 64] [--queries 2000] [--k 100] [--backends exact,hnswlib,faiss-flat]

One thread. Every answer is checked before anything is timed: the exact indexes against NumPy in float64, the others by
their recall. Contenders take turns, round after round; the medians count. For a fair hnswlib, install it built for this
processor: pip install --force-reinstall --no-cache-dir --no-binary hnswlib hnswlib
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
import warnings
from collections.abc import Callable

import numpy as np

from mcfast import recall
from problems import vectors

Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]  # queries, k -> rows, scores


def contenders(backends: list[str], items: np.ndarray, held_out: np.ndarray, target: float) -> dict[str, Search]:
    """Build what is to be compared."""
    made: dict[str, Search] = {}
    for backend in backends:
        start = time.perf_counter()
        if backend == "faiss-flat":
            made |= faiss_flat(items)
        elif backend == "faiss-ivf":
            made |= faiss_regions(items)
        else:
            options = {} if backend == "exact" else {"recall": target, "queries": held_out}
            index = recall.build(backend, items, "ip", **options)
            made[backend] = lambda queries, k, index=index: index.search(queries, k, threads=1)
            for point in index.info.get("curve", []):
                knob = next(name for name in ("ef", "reach", "nprobe", "efSearch") if name in point)
                reached = ", ".join(f"recall@{k} {value:.4f}" for k, value in point["recall"].items())
                print(f"  {backend} {knob} {point[knob]}: {reached}")
            memory = index.memory / items.nbytes
            print(f"  {backend}: {'exact' if index.is_exact else 'approximate'}, {memory:.2f} times the vectors' bytes")
        print(f"{backend}: built in {time.perf_counter() - start:.1f} s")
    return made


def faiss_flat(items: np.ndarray) -> dict[str, Search]:
    """Return faiss's exact index on both of its paths, BLAS or not for batches."""
    try:
        import faiss
    except ImportError:
        print("faiss: not installed, left out")
        return {}
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)

    def search(threshold: int) -> Search:
        def run(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
            faiss.cvar.distance_compute_blas_threshold = threshold
            scores, rows = index.search(queries, k)
            return rows, scores

        return run

    default = faiss.cvar.distance_compute_blas_threshold
    return {f"faiss Flat (BLAS from {n} queries)": search(n) for n in sorted({20, default})}


def faiss_regions(items: np.ndarray) -> dict[str, Search]:
    """Return faiss's inverted file of 1,024 lists, at several numbers of lists that it visits."""
    try:
        import faiss
    except ImportError:
        print("faiss: not installed, left out")
        return {}
    faiss.omp_set_num_threads(1)
    index = faiss.index_factory(items.shape[1], "IVF1024,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(items[np.random.default_rng(0).permutation(len(items))[:60_000]])
    index.add(items)

    def search(nprobe: int) -> Search:
        def run(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
            index.nprobe = nprobe
            scores, rows = index.search(queries, k)
            return rows, scores

        return run

    return {f"IVF of faiss, nprobe {n}": search(n) for n in (32, 64, 128, 192, 256)}


def check(search: Search, items: np.ndarray, queries: np.ndarray, k: int, *, exact: bool) -> float:
    """Return the recall of a search; the scores it returns must be true, and an exact one's the best."""
    rows, scores = search(queries, k)
    found = []
    for query, own_rows, own_scores in zip(queries, rows, scores, strict=True):
        truth = items.astype(np.float64) @ query.astype(np.float64)
        best = np.sort(np.partition(truth, -k)[-k:])[::-1]
        tolerance = 1e-5 * abs(best[0])
        np.testing.assert_allclose(own_scores, truth[own_rows], rtol=0, atol=tolerance)
        found.append(np.mean(own_scores >= best[-1] - tolerance))
    if exact:
        assert np.mean(found) == 1, "an exact index must find all"
    return float(np.mean(found))


def singly(search: Search, queries: np.ndarray, k: int) -> float:
    """Return queries a second, one at a time."""
    start = time.perf_counter()
    for query in range(len(queries)):
        search(queries[query : query + 1], k)
    return len(queries) / (time.perf_counter() - start)


def together(search: Search, queries: np.ndarray, k: int) -> float:
    """Return queries a second, all in one call."""
    start = time.perf_counter()
    search(queries, k)
    return len(queries) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--target", type=float, default=0.95, help="recall asked of approximate indexes")
    parser.add_argument("--backends", default=",".join([*recall.BACKENDS, "faiss-flat"]))
    options = parser.parse_args()

    warnings.simplefilter("ignore", recall.RecallWarning)
    items, queries = vectors(options.items, options.factors, options.queries)
    half = len(queries) // 2
    held_out, queries = queries[:half], queries[half:]
    searches = contenders(options.backends.split(","), items, held_out, options.target)
    recalls = {
        name: check(search, items, queries[:100], options.k, exact=name.startswith(("exact", "faiss Flat")))
        for name, search in searches.items()
    }
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in searches}
    for _ in range(options.rounds):
        for name, search in searches.items():
            speeds[name].append((singly(search, queries[:100], options.k), together(search, queries, options.k)))

    print(f"\n{options.items} items, {options.factors} factors, k = {options.k}, inner product, 1 thread")
    print(f"{'':36}{'recall':>8}{'one at a time':>18}{'in batches':>18}")
    for name in searches:
        one, batch = np.median(speeds[name], axis=0)
        print(f"{name:36}{recalls[name]:8.4f}{one:14,.0f} q/s{batch:14,.0f} q/s")


if __name__ == "__main__":
    main()
