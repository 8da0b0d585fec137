"""The faiss index: any index that faiss's factory makes of a string, held to a recall that it measures itself."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks, files
from ..errors import CorruptError, MissingExtraError
from .approximate import ApproximateIndex, Promise, Setting
from .forms import Form
from .items import Float32, Items
from .protocol import Int64, Saved

FEW = 10_000  # up to here all items are scanned by default
NPROBE = tuple(2**power for power in range(13))  # values that are tried
EF_SEARCH = tuple(2**power for power in range(4, 11))
MULTIPLES = (1, 4, 16)  # candidates for each item that is wanted, where codes stand for the vectors
PARAMETERS = ("nprobe", "efSearch", "multiple")
BLOCK = 4096  # queries to a call; from 128,000 on faiss rounds otherwise, and near ties would change places


class FaissIndex(ApproximateIndex):
    """An index of the package faiss."""

    backend = "faiss"
    served_by = "faiss"
    package = "faiss"

    @classmethod
    def _build(
        cls,
        items: Items,
        threads: int,
        *,
        factory: str | None = None,
        recall: float = 0.95,
        queries: Any = None,
    ) -> FaissIndex:
        factory = _default(items.size) if factory is None else factory
        if not isinstance(factory, str):
            raise TypeError(checks.message("factory", factory, "a string of faiss's index_factory, as 'IVF1024,Flat'"))
        promise = Promise.checked(items, recall, queries)
        about = {"parameters": {"factory": factory}, **promise.about, "served_by": "exact"}
        forms = ("raw", "reduced") if items.metric == "ip" and _is_graph(factory) else ("raw",)
        structures = {form: Structure.empty(Form(items, form), factory) for form in forms}
        if items.size == 0:
            return cls(items, None, about, threads)
        for structure in structures.values():
            structure.fill(threads if _same_in_any_threads(factory) else 1)
        return cls._keeping(promise, structures, _ladder(structures["raw"], factory), items, about, threads)

    @classmethod
    def _load(cls, items: Items, threads: int, directory: files.Directory) -> FaissIndex:
        about = directory.fields["about"]
        structure = None
        if about["served_by"] == cls.served_by:
            structure = Structure.load(
                Form(items, about["form"]), about["parameters"]["factory"], directory.blobs["faiss"]
            )
            structure.set({name: about[name] for name in PARAMETERS if name in about})
        return cls(items, structure, about, threads)

    def _save(self) -> Saved:
        return Saved({"about": self._about}, {"faiss": self._proposer.save} if self._proposer else {})


def _default(size: int) -> str:
    """Return a factory: a scan of few items; else lists, about two for each item of the square root."""
    return "Flat" if size < FEW else f"IVF{2 ** round(math.log2(2 * math.sqrt(size)))},Flat"


def _is_graph(factory: str) -> bool:
    return re.match("HNSW|NSG", factory) is not None


def _same_in_any_threads(factory: str) -> bool:
    """Whether an index is the same whatever the number of threads it is made in: the tests try those we let pass."""
    return re.fullmatch(r"(IVF\d+,)?(Flat|SQ\w+)", factory) is not None


def _holds_vectors(factory: str) -> bool:
    """Whether an index compares vectors as they are, not codes of them."""
    return re.fullmatch(r"(IVF\d+(_HNSW\d+)?,|HNSW\d+,|NSG\d+,)?Flat|HNSW\d+|NSG\d+", factory) is not None


def _ladder(structure: Structure, factory: str) -> list[Setting]:
    """Return the settings that are tried, the cheapest first."""
    steps: list[Setting] = [{}]
    if "efSearch" in structure.parameters:
        steps = [{"efSearch": value} for value in EF_SEARCH]
    elif "nprobe" in structure.parameters:
        steps = [{"nprobe": value} for value in NPROBE if value < 2 * structure.lists]
    multiples = (1,) if _holds_vectors(factory) else MULTIPLES
    return [{**step, "multiple": multiple} for multiple in multiples for step in steps]


class Structure:
    """Items in one of the forms, in an index of faiss.

    faiss is called in one thread: batches are parted among threads of our own. So its OpenMP has no threads that fight
    with the core's or are lost in a fork, and the answer does not depend on how a batch is parted.
    """

    def __init__(self, form: Form, index: Any, factory: str) -> None:
        self.form = form
        self._index = index
        self._factory = factory
        self._setting: Setting = {}

    @classmethod
    def empty(cls, form: Form, factory: str) -> Structure:
        """Return the structure that a factory string describes, without items."""
        faiss = _faiss()
        space = faiss.METRIC_L2 if form.space == "l2" else faiss.METRIC_INNER_PRODUCT
        try:
            return cls(form, faiss.index_factory(form.columns, factory, space), factory)
        except RuntimeError as error:
            raise _refused(factory, f"metric={form.items.metric!r}", error) from None

    @classmethod
    def load(cls, form: Form, factory: str, file: Path) -> Structure:
        """Return the structure that `save` wrote to a file."""
        try:
            index = _faiss().read_index(str(file))
        except RuntimeError as error:
            raise CorruptError(f"{file}: {_reason(error)}") from None
        if (index.ntotal, index.d) != (form.items.size, form.columns):
            found, expected = f"{index.ntotal} vectors of {index.d}", f"{form.items.size} of {form.columns}"
            raise CorruptError(f"{file}: {found}, expected {expected}")
        return cls(form, index, factory)

    def fill(self, threads: int) -> None:
        """Train with the items and insert them."""
        vectors = self.form.vectors()
        try:
            with _openmp(threads):
                self._index.train(vectors)
                self._index.add(vectors)
        except RuntimeError as error:
            raise _refused(self._factory, f"{len(vectors)} items", error) from None

    @property
    def parameters(self) -> set[str]:
        """The names of the parameters of search that faiss knows for this structure."""
        space = _faiss().ParameterSpace()
        space.initialize(self._index)
        return {space.parameter_ranges.at(i).name for i in range(space.parameter_ranges.size())}

    @property
    def lists(self) -> int:
        """How many lists the items are parted among."""
        return int(_faiss().extract_index_ivf(self._index).nlist)

    @cached_property
    def memory(self) -> int:
        """Bytes in memory, about."""
        return int(_faiss().serialize_index(self._index).nbytes)

    def set(self, setting: Setting) -> None:
        """Set `nprobe` or `efSearch`, and `multiple`: how many candidates to ask for each item that is wanted."""
        self._setting = setting
        for name, value in setting.items():
            if name != "multiple":
                _faiss().ParameterSpace().set_index_parameter(self._index, name, value)

    def least(self, k: int) -> int:
        """Return how many candidates to ask for; a graph keeps `efSearch` of them anyhow."""
        return max(k * self._setting["multiple"], self._setting.get("efSearch", 0))

    def nearest(self, queries: Float32, k: int, threads: int) -> Int64:
        """Return about the k nearest rows of each prepared query, in any order; -1 where it finds fewer."""
        vectors = self.form.queries(queries)
        parts = np.array_split(vectors, max(1, min(threads, len(vectors)), -(-len(vectors) // BLOCK)))
        if threads == 1 or len(parts) == 1:
            return np.concatenate([self._nearest(part, k) for part in parts])
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(lambda part: self._nearest(part, k), parts)))

    def _nearest(self, vectors: Float32, k: int) -> Int64:
        with _openmp(1):
            rows: Int64 = self._index.search(vectors, k)[1]
        return rows

    def save(self, file: Path) -> None:
        """Write the structure to a file, in faiss's own format."""
        file.write_bytes(_faiss().serialize_index(self._index).data)


@contextlib.contextmanager
def _openmp(threads: int) -> Iterator[None]:
    """Let faiss use some threads when it is called from this one; what the caller had set comes back."""
    faiss = _faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _refused(factory: str, purpose: str, error: RuntimeError) -> ValueError:
    return ValueError(
        checks.message("factory", repr(factory), f"one that faiss can make for {purpose}: {_reason(error)}")
    )


def _reason(error: RuntimeError) -> str:
    """Return what faiss says, without the place in its source."""
    return str(error).rsplit(": ", 1)[-1]


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise MissingExtraError("faiss-cpu", "faiss", "the index 'faiss'") from None
    return faiss
