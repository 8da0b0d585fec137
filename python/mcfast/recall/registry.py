"""The backends by name. A new one is a module of this package and a line here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from .. import checks, files
from ..errors import NewerFormatError
from . import auto
from .exact import ExactIndex
from .faiss import FaissIndex
from .hnswlib import HnswlibIndex
from .items import Items
from .milvus import MilvusIndex
from .protocol import KIND, Index
from .regions import RegionsIndex

AUTO = "auto"

BACKENDS: dict[str, type[Index]] = {  # the cheapest to build first: so "auto" tries them
    "exact": ExactIndex,
    "regions": RegionsIndex,
    "faiss": FaissIndex,
    "hnswlib": HnswlibIndex,
    "milvus": MilvusIndex,
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
        "faiss" does the same by an index of the package of that name (`pip install 'mcfast[faiss]'`), and "milvus" by a
        collection of a Milvus server or of a file of milvus-lite (`pip install 'mcfast[milvus]'`). "auto" builds
        and measures what is installed and local, and takes the cheapest to build that is fast enough; `info["chosen"]`
        tells what and why.
    vectors : array_like
        (n, dimension) item vectors; any numeric dtype and memory layout, copied as float32. n may be 0.
    metric : str, default "ip"
        "ip": largest inner product plus offset; "cosine": largest cosine, 0 for zeros; "l2": smallest distance.
    offsets : array_like, optional
        (n,) numbers added to the inner products, as an item's bias; only with metric="ip". By default none.
    threads : int, optional
        Threads to build with; None (the default) means all that the process may use. The index does not depend on it.
    **options
        What the backend takes beside.

        "exact" and "regions": `precision`, "float32", or "float16" to round the vectors to that and keep no others, in
        less memory.

        Every approximate one: `recall` (0.95), to be reached at k = 10 and at k = 100, by "regions" also at k = 1;
        `queries`, vectors of users to measure it on (by default item vectors, which may be easier or harder than what
        is served).

        "auto": `milliseconds` (1.0), what one query at k = 100 may take in one thread; if nothing is that fast, the
        fastest is taken.

        "regions": the number of `centres` (by default about half the root of n) and `seed` (0) of k-means.

        "hnswlib": `M` (16), `ef_construction` (200) and `seed` (100) of the graph.

        "faiss": `factory`, a string of its `index_factory` as "Flat", "HNSW32" or "IVF1024,Flat"; by default lists,
        about two for each item of the square root, and "Flat" below 10,000 items.

        "milvus": `uri`, "http://host:port" or a file that ends in .db, by default what the environment variable
        MCFAST_MILVUS_URI says; `index_type`: "HNSW" (the default) with `M` (16) and `ef_construction` (200), "IVF_FLAT"
        with `nlist` (1024), or "FLAT"; `timeout` (30 seconds) of an answer. A token is taken from MCFAST_MILVUS_TOKEN.

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
    BusyError
        Another process has the file of milvus-lite open.
    ConnectionError
        A server does not answer, or refuses.

    Warns
    -----
    RecallWarning
        An approximate index could not reach `recall`.
    """
    name = checks.choice(backend, "backend", [*BACKENDS, AUTO])
    workers = checks.thread_count(threads)
    items = Items.checked(vectors, metric, offsets, workers)
    if name == AUTO:
        return auto.build(BACKENDS, items, workers, **options)
    return BACKENDS[name]._build(items, workers, **options)


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
    backend = _known(path, fields)
    items = Items(arrays["rows"], arrays.get("offsets"), fields["metric"], fields["dimension"])
    index = backend._load(items, workers, directory)
    index.chosen = fields.get("chosen")
    return index


def remove(path: str | os.PathLike[str]) -> None:
    """Remove a saved index, and what it keeps elsewhere, as a collection of Milvus.

    Parameters
    ----------
    path : path-like
        The directory.

    Raises
    ------
    FormatError
        There is no index at `path`.
    OSError
        What it keeps elsewhere could not be removed; the directory stays.
    """
    fields = files.read_manifest(Path(path), KIND)
    _known(path, fields)._remove(fields)
    shutil.rmtree(path)


def _known(path: str | os.PathLike[str], fields: dict[str, Any]) -> type[Index]:
    if fields["backend"] not in BACKENDS:
        raise NewerFormatError(
            f"{path}: an index of the backend {fields['backend']!r}, this mcfast knows {', '.join(BACKENDS)}"
        )
    return BACKENDS[fields["backend"]]
