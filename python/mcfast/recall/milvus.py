"""The milvus index: a collection of a Milvus server or of a file of milvus-lite, held to a measured recall.

What is saved is the items and a pointer: where the collection is, without secrets, and its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import checks, files
from ..errors import BusyError, CorruptError, MissingExtraError
from .approximate import ApproximateIndex, Promise, Setting
from .forms import Form
from .items import Float32, Items
from .protocol import Int64, Saved

SETTINGS: dict[str, list[Setting]] = {  # what is tried of each type of index: the types that have been measured
    "FLAT": [{}],
    "HNSW": [{"ef": 2**power} for power in range(4, 11)],
    "IVF_FLAT": [{"nprobe": 2**power} for power in range(13)],
}
URI = "MCFAST_MILVUS_URI"  # the environment variable that says where, if nothing else does
TOKEN = "MCFAST_MILVUS_TOKEN"  # the one that holds the token: it is never written anywhere
PREFIX = "mcfast_"
BUILDING = 3600.0  # seconds that a step of building may take
MOST = 16_384  # candidates that Milvus gives at most
ANSWER = 200_000  # candidates to a message
MESSAGE = 8 << 20  # bytes of vectors to a message

_users: Counter[str] = Counter()  # of files of milvus-lite, in this process
_lock = threading.Lock()
_endings: list[threading.Thread] = []


class MilvusIndex(ApproximateIndex):
    """A collection of Milvus."""

    backend = "milvus"
    served_by = "milvus"
    package = "pymilvus"
    local = False

    @classmethod
    def _build(
        cls,
        items: Items,
        threads: int,
        *,
        uri: Any = None,
        index_type: str = "HNSW",
        M: int = 16,
        ef_construction: int = 200,
        nlist: int = 1024,
        recall: float = 0.95,
        queries: Any = None,
        timeout: float = 30.0,
    ) -> MilvusIndex:
        kind = checks.choice(index_type, "index_type", SETTINGS)
        place = Place.checked(uri, timeout)
        every: dict[str, dict[str, int]] = {
            "FLAT": {},
            "HNSW": {
                "M": checks.integer(M, "M", 2, 512),
                "efConstruction": checks.integer(ef_construction, "ef_construction", 1, 100_000),
            },
            "IVF_FLAT": {"nlist": min(checks.integer(nlist, "nlist", 1, 65_536), max(items.size, 1))},
        }
        parameters = every[kind]
        promise = Promise.checked(items, recall, queries)
        about: dict[str, Any] = {
            "parameters": {"index_type": kind, **parameters, "timeout": place.timeout},
            **promise.about,
            "served_by": "exact",
        }
        if items.size == 0:
            return cls(items, None, about, threads)
        forms = ("raw", "reduced") if items.metric == "ip" and kind == "HNSW" else ("raw",)
        collections = {form: Collection.build(Form(items, form), place, kind, parameters) for form in forms}
        ladder = [step for step in SETTINGS[kind] if step.get("nprobe", 0) < 2 * parameters.get("nlist", 1)]
        made = cls._keeping(promise, collections, ladder, items, about, threads)
        if made._proposer:
            made._about |= {"uri": place.uri, "collection": made._proposer.name, "one_process": place.is_file}
        return made

    @classmethod
    def _load(cls, items: Items, threads: int, directory: files.Directory) -> MilvusIndex:
        about = directory.fields["about"]
        collection = None
        if about["served_by"] == cls.served_by:
            collection = Collection.load(Form(items, about["form"]), _place(about), about["collection"])
            collection.set({name: about[name] for name in ("ef", "nprobe") if name in about})
        return cls(items, collection, about, threads)

    def _save(self) -> Saved:
        if self._proposer:
            self._proposer.keep()
        return Saved({"about": self._about})

    @classmethod
    def _remove(cls, fields: dict[str, Any]) -> None:
        about = fields["about"]
        if "collection" in about:
            drop(_place(about), about["collection"])


class Place(NamedTuple):
    """Where collections are: a server, or a file of milvus-lite, and how many seconds an answer may take."""

    uri: str
    timeout: float

    @classmethod
    def checked(cls, uri: object, timeout: object) -> Place:
        """Check what a user gave; a file is named in full."""
        uri = os.environ.get(URI) if uri is None else uri
        expected = f"'http://host:port', or a file that ends in .db, here or in {URI}; a token only in {TOKEN}"
        if not isinstance(uri, str | os.PathLike):
            raise TypeError(checks.message("uri", uri, expected))
        text = os.fspath(uri)
        is_server = text.startswith(("http://", "https://"))
        if "@" in text and is_server:
            raise ValueError(checks.message("uri", "an address with a name or password in it", expected))
        if not is_server and not text.endswith(".db"):
            raise ValueError(checks.message("uri", repr(text), expected))
        seconds = checks.real(timeout, "timeout", 0, above=True)
        return cls(text if is_server else str(Path(text).absolute()), seconds)

    @property
    def is_file(self) -> bool:
        """Whether this is a file of milvus-lite."""
        return not self.uri.startswith(("http://", "https://"))

    def connect(self) -> Any:
        """Return a client; `leave` must follow."""
        try:
            import pymilvus

            if self.is_file:
                import milvus_lite  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(str(error.name), "milvus", "the index 'milvus'") from None
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they log what they raise
        settle()
        connect = partial(pymilvus.MilvusClient, uri=self.uri, token=os.environ.get(TOKEN, ""), timeout=self.timeout)
        with _lock, self.asked():
            start = time.monotonic()
            try:
                client = connect()
            except pymilvus.MilvusException:
                # A client shares the connection of an earlier one, which a server may close while it is idle: pymilvus
                # repeats calls that meet this, but not the first one.
                if time.monotonic() - start > self.timeout / 2:
                    raise
                client = connect()
            _users[self.uri] += 1
        return client

    def leave(self, client: Any) -> None:
        """Let go of a client; the last one opens a file to other processes."""
        with _lock:
            client.close()
            _users[self.uri] -= 1
            if self.is_file and not _users[self.uri]:
                from milvus_lite.server_manager import server_manager_instance

                server_manager_instance.release_server(self.uri)

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """Turn what goes wrong in Milvus into errors of ours."""
        from pymilvus import MilvusException

        try:
            yield
        except MilvusException as error:
            if self.is_file and self._is_held():
                text = "another process has it open, and milvus-lite serves one: run a Milvus server for several"
                raise BusyError(f"{self.uri}: {text}") from None
            raise ConnectionError(f"{self.uri}: Milvus says: {error.message}") from None

    def _is_held(self) -> bool:
        """Whether another process holds the lock of the file."""
        lock = Path(self.uri) / "LOCK"
        if _users[self.uri] or not lock.exists():
            return False
        with lock.open("rb") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


class Collection:
    """Items in one of the forms, in a collection of their own.

    It is dropped with the last reference to this object, unless `keep` was called: then something saved points to it.
    """

    def __init__(self, form: Form, place: Place, name: str, *, kept: bool) -> None:
        self.form = form
        self.place = place
        self.name = name
        self._setting: Setting = {}
        self._fate = {"kept": kept}
        self._client = place.connect()
        end = weakref.finalize(self, _end_apart, place, self._client, name, self._fate)
        end.atexit = not place.is_file  # milvus-lite is in this process, and ends before

    @classmethod
    def build(cls, form: Form, place: Place, kind: str, parameters: dict[str, int]) -> Collection:
        """Insert all items, and index them."""
        made = cls(form, place, PREFIX + secrets.token_hex(8), kept=False)
        with place.asked():
            made._fill(kind, parameters)
        return made

    @classmethod
    def load(cls, form: Form, place: Place, name: str) -> Collection:
        """Return the collection that something saved points to."""
        made = cls(form, place, name, kept=True)
        with place.asked():
            if not made._client.has_collection(name, timeout=place.timeout):
                raise CorruptError(f"{place.uri}: missing: the collection {name}")
            found = int(made._client.get_collection_stats(name, timeout=place.timeout)["row_count"])
            if found != form.items.size:
                raise CorruptError(f"{place.uri}: altered: {found} items in {name}, expected {form.items.size}")
            made._make_ready()
        return made

    def _fill(self, kind: str, parameters: dict[str, int]) -> None:
        from pymilvus import DataType

        client, vectors = self._client, self.form.vectors()
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.form.columns)
        client.create_collection(
            self.name, schema=schema, consistency_level="Strong", timeout=self.place.timeout, num_shards=1
        )
        step = max(1, MESSAGE // vectors[0].nbytes)
        for first in range(0, len(vectors), step):
            rows = [{"id": first + i, "vector": vector} for i, vector in enumerate(vectors[first : first + step])]
            client.insert(self.name, rows, timeout=BUILDING)
        client.flush(self.name, timeout=BUILDING)  # only what is flushed is indexed
        index = client.prepare_index_params()
        # pymilvus spreads the parameters out, where milvus-lite does not see them: it would build with its defaults.
        given = {"params": parameters} if self.place.is_file else parameters
        index.add_index("vector", index_type=kind, metric_type=self.form.space.upper(), params=given)
        client.create_index(self.name, index, timeout=BUILDING)
        self._make_ready()

    def _make_ready(self) -> None:
        """Load the collection, and wait until all that was inserted is found.

        A search that waits for it takes 200 ms on a server, always; so this one does, and no other needs to.
        """
        self._client.load_collection(self.name, timeout=BUILDING)
        self._ask(np.zeros((1, self.form.columns), np.float32), 1, {}, "Strong")

    @property
    def memory(self) -> int:
        """Bytes in the memory of this process: nothing to speak of."""
        return 0

    def keep(self) -> None:
        """Leave the collection where it is from now on."""
        self._fate["kept"] = True

    def set(self, setting: Setting) -> None:
        """Set `ef` or `nprobe`."""
        self._setting = setting

    def least(self, k: int) -> int:
        """Return how many candidates to ask for."""
        return k

    def nearest(self, queries: Float32, k: int, threads: int) -> Int64:
        """Return about the k nearest rows of each prepared query, in any order; -1 where it finds fewer."""
        rows = np.full((len(queries), k), -1, np.int64)
        if k > MOST:
            return rows
        vectors = self.form.queries(queries)
        setting = {name: max(value, k) if name == "ef" else value for name, value in self._setting.items()}
        step = max(1, ANSWER // k)
        with self.place.asked():
            for first in range(0, len(vectors), step):
                found = self._ask(vectors[first : first + step], k, setting, "Bounded")
                for row, hits in zip(rows[first:], found, strict=False):
                    row[: len(hits)] = [hit["id"] for hit in hits]
        return rows

    def _ask(self, vectors: Float32, k: int, setting: Setting, consistency: str) -> Any:
        return self._client.search(
            self.name,
            list(vectors),
            limit=k,
            search_params={"params": setting},
            consistency_level=consistency,
            timeout=self.place.timeout,
        )


def drop(place: Place, name: str) -> None:
    """Drop a collection, if it is there."""
    client = place.connect()
    try:
        with place.asked():
            client.drop_collection(name, timeout=place.timeout)
    finally:
        place.leave(client)


def settle() -> None:
    """Wait until every collection that nothing uses any more is dropped or let go of."""
    while _endings:
        _endings.pop().join()


def _end_apart(*arguments: Any) -> None:
    """End a collection in a thread of its own: the garbage collector may call from inside pymilvus, under its locks."""
    if not threading.main_thread().is_alive():  # the process ends: no thread can start
        _end(*arguments)
        return
    thread = threading.Thread(target=_end, args=arguments)
    thread.start()
    _endings.append(thread)


def _end(place: Place, client: Any, name: str, fate: dict[str, bool]) -> None:
    """Let go of a collection, and drop it where nothing points to it; who cannot be reached any more is left alone."""
    with contextlib.suppress(Exception):
        if not fate["kept"]:
            client.drop_collection(name, timeout=min(place.timeout, 5))
    with contextlib.suppress(Exception):
        place.leave(client)


def _place(about: dict[str, Any]) -> Place:
    return Place(about["uri"], about["parameters"]["timeout"])
