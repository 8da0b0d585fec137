"""Recall against queries a second: our indexes, and hnswlib and faiss as their own packages have them.

python bench/recall.py [--items 200000] [--factors 64] [--queries 2000] [--k 10 100] [--target 0.99] [--contenders ...]

Searches take one thread, builds all; batches to what is exact are timed in all threads, too. Every answer is checked
before anything is timed: scores must be true, and what is exact must find all. Peers are swept: the first of their
settings that reaches the target is timed; where none does, the last. Contenders take turns, round after round; the
medians count. For a fair hnswlib, install it built for this processor:
pip install --force-reinstall --no-cache-dir --no-binary hnswlib hnswlib
"""

import argparse
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from mcfast import recall
from mcfast.recall.filters import EVERYTHING
from mcfast.recall.forms import Form
from problems import vectors

Search = Callable[..., tuple[np.ndarray, np.ndarray | None]]  # queries, k, threads=1 -> rows, scores if it has them

EF = (100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4800, 6400)
NPROBE = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
BLAS_FROM = 20  # queries
EXACT = {"exact", "faiss Flat"}
CHECKED = 100  # queries whose answers are checked, and that are asked one at a time


class Peer(NamedTuple):
    """An index of another package, and the settings of its search, the cheapest first."""

    search: Callable[[int], Search]
    settings: Iterable[int]


def faiss_flat(items: np.ndarray, _threads: int) -> Peer:
    """Make the exact index; it has no settings."""
    import faiss

    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    return Peer(_of_faiss(index, lambda _: None), (0,))


def faiss_ivf(items: np.ndarray, threads: int) -> Peer:
    """Make lists, about two for each item of the square root."""
    import faiss

    faiss.omp_set_num_threads(threads)
    lists = 2 ** round(math.log2(2 * math.sqrt(len(items))))
    index = faiss.index_factory(items.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(items[np.random.default_rng(0).permutation(len(items))[: 60 * lists]])
    index.add(items)
    return Peer(_of_faiss(index, partial(setattr, index, "nprobe")), [n for n in NPROBE if n <= lists])


def faiss_hnsw(items: np.ndarray, threads: int) -> Peer:
    """Make a graph of 32 links an item, by inner product."""
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexHNSWFlat(items.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.add(items)
    return Peer(_of_faiss(index, partial(setattr, index.hnsw, "efSearch")), EF)


def _of_faiss(index: Any, set_to: Callable[[int], None]) -> Callable[[int], Search]:
    """Return the search of an index of faiss at a setting, in one thread.

    The number of queries from which on it takes BLAS is 128,000 by default, with which single queries are twice as
    fast as with 20, and batches several times slower: each gets its faster one.
    """
    import faiss

    alone = faiss.cvar.distance_compute_blas_threshold

    def search(setting: int) -> Search:
        def run(queries: np.ndarray, k: int, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
            faiss.omp_set_num_threads(threads)
            faiss.cvar.distance_compute_blas_threshold = alone if len(queries) == 1 else BLAS_FROM
            set_to(setting)
            scores, rows = index.search(queries, k)
            return rows, scores

        return run

    return search


def hnswlib_graph(items: np.ndarray, threads: int, name: str = "raw") -> Peer:
    """Make a graph with M = 16 and ef_construction = 200, as hnswlib's documentation has it."""
    import hnswlib

    form = Form(recall.build("exact", items, "ip")._items, name)
    index = hnswlib.Index(form.space, form.columns)
    index.init_index(len(items), M=16, ef_construction=200)
    index.add_items(form.vectors(), num_threads=threads)

    def search(ef: int) -> Search:
        def run(queries: np.ndarray, k: int) -> tuple[np.ndarray, None]:
            index.set_ef(max(ef, k))
            vectors = np.pad(queries, ((0, 0), (0, form.columns - queries.shape[1])))
            return index.knn_query(vectors, k, num_threads=1)[0].astype(np.int64), None

        return run

    return Peer(search, EF)


def hnswlib_reduced(items: np.ndarray, threads: int) -> Peer:
    """Make the same of items brought to one length by an added dimension, by distance."""
    return hnswlib_graph(items, threads, "reduced")


PEERS = {
    "faiss Flat": faiss_flat,
    "faiss IVF": faiss_ivf,
    "faiss HNSW": faiss_hnsw,
    "hnswlib ip": hnswlib_graph,
    "hnswlib reduced": hnswlib_reduced,
}


class Truth:
    """The scores of all items in float64 for some queries: what answers are held against."""

    def __init__(self, items: np.ndarray, queries: np.ndarray, k: int) -> None:
        self._items, self._queries, self._k = items, queries, k
        blocks = range(0, len(items), 50_000)
        parts = [queries.astype(np.float64) @ items[b : b + 50_000].T.astype(np.float64) for b in blocks]
        best = np.concatenate([np.partition(part, -min(k, part.shape[1]), 1)[:, -k:] for part in parts], axis=1)
        best = np.sort(best, axis=1)[:, -k:]
        self._tolerance = 1e-5 * np.abs(best[:, -1:])
        self._least = best[:, :1]

    def recall(self, search: Search) -> float:
        """Return the recall of a search, whose scores must be true."""
        rows, scores = search(self._queries, self._k)
        truth = np.einsum("qkd,qd->qk", self._items[rows], self._queries, dtype=np.float64)
        if scores is not None:
            assert (np.abs(scores - truth) <= self._tolerance).all(), "a score is not true"
        assert all(len(set(row)) == self._k for row in rows), "a row came twice"
        return float(np.mean(truth >= self._least - self._tolerance))


class Contender:
    """An index that was built: what it is swept over, and the search that it serves with."""

    def __init__(self, name: str, items: np.ndarray, held_out: np.ndarray, options: argparse.Namespace) -> None:
        self.name, self.points = name, list[tuple[float, float]]()
        start = (time.perf_counter(), time.process_time())
        if name in PEERS:
            self._peer, self._serves = PEERS[name](items, options.threads), None
            size = ""
        else:
            own = {} if name == "exact" else {"recall": options.target, "queries": held_out}
            index = recall.build(name, items, "ip", threads=options.threads, **own)
            self._peer, self._serves = (
                _own(index),
                lambda queries, k, threads=1: index.search(queries, k, threads=threads),
            )
            size = f", {index.memory / items.nbytes:.2f} times the vectors"
        self.seconds, self.cpu_seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        print(f"{name}: built in {self.seconds:.1f} s, {self.cpu_seconds:.1f} s of CPU time{size}", flush=True)

    def sweep(self, held_out: np.ndarray, truth: Truth, k: int, target: float) -> Search:
        """Go through the settings until one reaches the target; return the search that is to be timed."""
        self.points = []
        for setting in self._peer.settings:
            search = self._peer.search(setting)
            found, speed = truth.recall(search), singly(search, held_out, k)
            self.points.append((speed, found))
            print(f"  {self.name} at {setting}: recall@{k} {found:.4f}, {speed:,.0f} q/s", flush=True)
            if found >= target:
                break
        return self._serves or search


def _own(index: Any) -> Peer:
    """Return what one of our indexes is swept over: the reaches that it tried when it was built."""
    if index.is_exact:
        return Peer(lambda _: _search_of(index), (0,))
    reaches = [point["reach"] for point in index.info["curve"] if point["reach"] is not None]
    return Peer(lambda reach: lambda queries, k: index._near(queries, k, EVERYTHING, 1, reach), reaches)


def _search_of(index: Any) -> Search:
    return lambda queries, k, threads=1: index.search(queries, k, threads=threads)


def singly(search: Search, queries: np.ndarray, k: int) -> float:
    """Return queries a second, one at a time."""
    start = time.perf_counter()
    for query in range(len(queries)):
        search(queries[query : query + 1], k)
    return len(queries) / (time.perf_counter() - start)


def together(search: Search, queries: np.ndarray, k: int, threads: int = 1) -> float:
    """Return queries a second, all in one call."""
    start = time.perf_counter()
    search(queries, k, threads=threads) if threads > 1 else search(queries, k)
    return len(queries) / (time.perf_counter() - start)


def compared(
    contenders: list[Contender],
    items: np.ndarray,
    held_out: np.ndarray,
    queries: np.ndarray,
    k: int,
    options: argparse.Namespace,
) -> dict[str, tuple[float, ...]]:
    """Return recall and the median rates of every contender: singly, in batches, and if exact, in all threads."""
    first, last = (Truth(items, part[:CHECKED], k) for part in (held_out, queries))
    searches = {one.name: one.sweep(held_out[:CHECKED], first, k, options.target) for one in contenders}
    found = {name: last.recall(search) for name, search in searches.items()}
    for name in EXACT & found.keys():
        assert found[name] == 1, f"{name} must find all"
    speeds: dict[str, list[tuple[float, ...]]] = {name: [] for name in searches}
    for _ in range(options.rounds):
        for name, search in searches.items():
            rates = singly(search, queries[:CHECKED], k), together(search, queries, k)
            in_threads = (together(search, queries, k, threads=options.threads),) if name in EXACT else ()
            speeds[name].append(rates + in_threads)
    return {name: (found[name], *map(float, np.median(speeds[name], axis=0))) for name in searches}


def draw(axes: Any, contenders: list[Contender], results: dict[str, tuple[float, ...]]) -> None:
    """Draw recall against queries a second, one at a time: what was swept, and a star for what was compared."""
    for place, one in enumerate(contenders):
        recalls, speed = results[one.name][:2]
        axes.plot(*zip(*one.points, strict=True), "o-", ms=4, color=f"C{place}", alpha=0.6)
        axes.plot(speed, recalls, "*", ms=14, color=f"C{place}", label=one.name)
    axes.set(xlabel="queries a second, one at a time, one thread", xscale="log", ylim=(0.7, 1.01))
    axes.grid(alpha=0.3, which="both")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--k", type=int, nargs="+", default=[100])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="to build with, and for what is exact"
    )
    parser.add_argument("--target", type=float, default=0.99, help="recall asked of approximate indexes")
    parser.add_argument("--contenders", default=",".join(["exact", "regions", *PEERS]))
    parser.add_argument("--plot", metavar="FILE", help="where a picture goes")
    options = parser.parse_args()

    warnings.simplefilter("ignore", recall.RecallWarning)
    items, queries = vectors(options.items, options.factors, options.queries)
    held_out, queries = np.array_split(queries, 2)
    contenders = [Contender(name, items, held_out, options) for name in options.contenders.split(",")]
    figure = Figure((6 * len(options.k), 4.6), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(options.k), squeeze=False, sharey=True)[0]
    for axes, k in zip(panels, options.k, strict=True):
        results = compared(contenders, items, held_out, queries, k, options)
        print(f"\n{options.items:,} items, {options.factors} factors, k = {k}, inner product, 1 thread")
        print(f"{'':18}{'recall':>8}{'one at a time':>18}{'in batches':>18}{'built, CPU time':>18}")
        for one in contenders:
            found, single, batch, *in_threads = results[one.name]
            print(f"{one.name:18}{found:8.4f}{single:14,.0f} q/s{batch:14,.0f} q/s{one.cpu_seconds:16,.1f} s", end="")
            print(*(f"  in batches on {options.threads} threads: {rate:,.0f} q/s" for rate in in_threads))
        print(flush=True)
        draw(axes, contenders, results)
        axes.set(title=f"{options.items:,} items, {options.factors} factors, k = {k}", ylabel="recall")
    panels[0].legend(frameon=False)
    if options.plot:
        figure.savefig(options.plot)


if __name__ == "__main__":
    main()
