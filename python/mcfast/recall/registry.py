"""The backends by name. A new one is a module of this package and a line here."""

from __future__ import annotations

import os
from typing import Any

from .. import checks, files
from ..errors import NewerFormatError
from .exact import ExactIndex
from .faiss import FaissIndex
from .hnswlib import HnswlibIndex
from .items import Items
from .protocol import KIND, Index
from .regions import RegionsIndex

BACKENDS: dict[str, type[Index]] = {
    "exact": ExactIndex,
    "regions": RegionsIndex,
    "faiss": FaissIndex,
    "hnswlib": HnswlibIndex,
}


def build(
    backend: str,
    vectors: Any,
    metric: str = "ip",
    *,
    offsets: Any = None,
    threads: int | None = None,
    **options: Any,
) -> Index:
    """Build an index.

    Parameters
    ----------
    backend : str
        "exact" scans all items. "regions" scans those near the query, as far as its recall asks for. "hnswlib" searches
        approximately in a graph of the package of that name; where its recall is too low, it warns and answers exactly.
        "faiss" does the same by an index of the package of that name (`pip install 'mcfast[faiss]'`). All but "exact"
        measure their own recall.
    vectors : array_like
        (n, dimension) item vectors; any numeric dtype and memory layout, copied as float32. n may be 0.
    metric : str, default "ip"
        "ip": largest inner product plus offset; "cosine": largest cosine, 0 for zeros; "l2": smallest distance.
    offsets : array_like, optional
        (n,) numbers added to the inner products, as an item's bias; only with metric="ip". By default none.
    threads : int, optional
        Threads to build with; None (the default) means all that the process may use. The index does not depend on it.
    **options
        What the backend takes beside: nothing for "exact". For "regions" the number of `centres` (by default about
        half the root of n) and `seed` (0) of k-means; for "hnswlib" `M` (16), `ef_construction` (200) and `seed` (100)
        of the graph; for "faiss" `factory`, a string of its `index_factory`: "Flat", "HNSW32", "IVF1024,Flat" (by
        default lists, about two for each item of the square root; below 10,000 items "Flat"). For all three `recall`
        (0.95), to be reached at k = 10 and at k = 100, "regions" also at k = 1; `queries`, vectors of users to measure
        it on (by default item vectors, which may be easier or harder than what is served).

    Returns
    -------
    Index
        Ready to `search`.

    Raises
    ------
    TypeError, ValueError
        An argument is unknown, or has a wrong type, shape, range, or holds NaN or infinity.
    MissingExtraError
        The package of the backend is not installed; the message says how to.

    Warns
    -----
    RecallWarning
        An approximate index could not reach `recall`.
    """
    made = BACKENDS[checks.choice(backend, "backend", BACKENDS)]
    workers = checks.thread_count(threads)
    return made._build(Items.checked(vectors, metric, offsets, workers), workers, **options)


def load(path: str | os.PathLike[str], *, verify: bool = True, threads: int | None = None) -> Index:
    """Load an index that `save` wrote. Its arrays are memory-mapped read-only.

    Parameters
    ----------
    path : path-like
        The directory.
    verify : bool, default True
        Whether to compare every file with the SHA-256 in the manifest. Sizes are always checked.
    threads : int, optional
        Threads to prepare the index with; None (the default) means all that the process may use.

    Returns
    -------
    Index
        As it was saved.

    Raises
    ------
    FormatError
        There is no index at `path`.
    CorruptError
        A file is missing, truncated or altered.
    NewerFormatError
        A newer mcfast wrote it, or its backend is unknown to this one.
    """
    workers = checks.thread_count(threads)
    directory = files.read(path, KIND, verify=verify)
    fields, arrays = directory.fields, directory.arrays
    if fields["backend"] not in BACKENDS:
        raise NewerFormatError(
            f"{path}: an index of the backend {fields['backend']!r}, this mcfast knows {', '.join(BACKENDS)}"
        )
    items = Items(arrays["rows"], arrays.get("offsets"), fields["metric"], fields["dimension"])
    return BACKENDS[fields["backend"]]._load(items, workers, directory)
