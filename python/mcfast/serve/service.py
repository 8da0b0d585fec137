"""The recaller behind the routes: it follows the version that is current, and answers in plain values."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from .. import snapshot
from ..errors import FormatError, UnknownIdError
from ..snapshot import RecalledMany, Recaller
from ..snapshot.root import Root
from . import ids, logs, models
from .metrics import Metrics
from .settings import Settings

T = TypeVar("T")
Answer = dict[str, Any]

SAMPLE_PAUSE = 1000  # times what a sample took: requests wait behind an exact scan of many items
GIVING_WAY = 10  # on the scale of nice; with more, a thread might hold the lock of Python for long on busy processors
PINNED = 2  # versions kept open beside the current one


class NotReadyError(RuntimeError):
    """No version is open."""


class Service:
    """Answers from the current version. Its methods may be called by several threads at once."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self._recaller: Recaller | None = None
        self._pinned: dict[int, Recaller] = {}
        self._kinds = ids.Kinds(0, True, True)
        self.local = True  # whether users are looked up on this machine, so that nobody waits for a network
        self._last_user: ids.Id | None = None
        self._failure = ""
        self._following: asyncio.Task[None] | None = None
        self._aside = ThreadPoolExecutor(1, "mcfast-aside", _give_way)  # for what may wait until requests have been

    # --- the version --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the current version, and follow it from now on."""
        await asyncio.to_thread(self.refresh)
        gc.collect()
        gc.freeze()  # what is there now stays: collections between requests need not look at it
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Let go of everything."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        for recaller in (*self._pinned.values(), self._recaller):
            if recaller is not None:
                recaller.close()
        self._aside.shutdown()

    def refresh(self) -> None:
        """Go on with the version that is current by now; where that fails, with what there is."""
        try:
            if self._recaller is None:
                self._recaller = snapshot.open(self.settings.root, threads=1)
                changed = True
            else:
                changed = self._recaller.reload()
        except (FormatError, OSError) as error:
            if str(error) != self._failure:
                logs.event("no version", logging.ERROR, reason=str(error), serving=self.version)
                self.metrics.add("reload_failures")
            self._failure = str(error)
            return
        self._failure = ""
        if changed:
            self.local = self._recaller.info["store"] != "redis"
            self.metrics.add("reloads")
            for name in ("sampled_users", "sampled_wanted", "sampled_found"):
                self.metrics.set(name, 0)
            logs.event("version", number=self.version)

    @property
    def version(self) -> int:
        """The number of the version that answers, 0 for none."""
        return 0 if self._recaller is None else self._recaller.version

    @property
    def recaller(self) -> Recaller:
        """What answers; raises NotReadyError where no version could be opened."""
        if self._recaller is None:
            raise NotReadyError(self._failure or "starting")
        return self._recaller

    async def _follow(self) -> None:
        due = 0.0
        loop = asyncio.get_running_loop()
        while True:
            self.metrics.set("version", self.version)
            self.metrics.set("updated", time.time())
            await asyncio.sleep(self.settings.poll_seconds)
            try:
                await loop.run_in_executor(self._aside, self.refresh)
                if time.monotonic() >= due:
                    taken = await loop.run_in_executor(self._aside, self._sample)
                    due = time.monotonic() + max(self.settings.sample_seconds, SAMPLE_PAUSE * taken)
            except Exception as error:  # whatever it was, the next round may go well
                logs.event("following failed", logging.ERROR, error=error)

    def _sample(self) -> float:
        """Compare what the last user got out of an approximate index with the exact answer; return how long it took."""
        user, self._last_user = self._last_user, None
        if user is None:
            return 0.0
        start = time.thread_time()  # not what it waited for others
        found, exact = self.recaller.recall(user, 50), self.recaller.recall(user, 50, exact=True)
        if found.version == exact.version and len(exact.scores):
            self.metrics.sampled(int(np.count_nonzero(found.scores >= exact.scores[-1])), len(exact.scores))
        return time.thread_time() - start

    def _of(self, version: int | None) -> Recaller:
        """Return what answers from a version: the current one, or one that was asked for."""
        if version is None or version == self.version:
            return self.recaller
        if version not in self._pinned:
            if version not in (numbers := Root(self.settings.root).numbers()):
                raise UnknownIdError(f"version: got {version}, there is {', '.join(map(str, numbers))}")
            opened = snapshot.open(self.settings.root, version=version, verify=False, threads=1)
            while len(self._pinned) >= PINNED:
                self._pinned.pop(next(iter(self._pinned)))  # let go of with its last answer
            self._pinned[version] = opened
        return self._pinned[version]

    def _ask(self, recaller: Recaller, ask: Callable[[ids.Kinds], T]) -> T:
        """Ask with ids of the kinds of the version, anew where another one came in between with ids of other kinds."""
        while True:
            version = recaller.version
            kinds = self._kinds if self._kinds.version == version else ids.Kinds.of(recaller)
            if recaller is self._recaller:
                self._kinds = kinds
            try:
                return ask(kinds)
            except (TypeError, ValueError):
                if recaller.version == version:
                    raise

    # --- answers ------------------------------------------------------------------------------------------------------

    def recall_user(self, user: str, k: int, exclude_seen: bool) -> Answer:
        """Answer for one user: the way that must be short."""
        start = time.perf_counter()
        recaller = self.recaller
        self.check_k(k)

        def ask(kinds: ids.Kinds) -> Answer:
            id = kinds.user(user)
            found = recaller.recall(id, k, exclude_seen=exclude_seen)
            if found.source == "index":
                self._last_user = id
            self.metrics.add("answers", found.source)
            return {
                "user_id": id,
                "ids": ids.plain(found.ids),
                "scores": found.scores,
                "source": found.source,
                "version": found.version,
                "microseconds": int((time.perf_counter() - start) * 1e6),
            }

        return self._ask(recaller, ask)

    def recall(self, asked: models.Recall) -> Answer:
        """Answer for users, vectors or lists of items."""
        start = time.perf_counter()
        given = [group for group in (asked.user_ids, asked.vectors, asked.items) if group is not None]
        if len(given) != 1:
            raise ValueError(f"got {len(given)} of user_ids, vectors and items, expected one")
        if asked.scores is not None and asked.items is None:
            raise ValueError("scores: got some without items, expected none")
        self.check_batch(len(given[0]))
        self.check_k(asked.k)
        recaller = self._of(asked.version)

        def ask(kinds: ids.Kinds) -> Answer:
            options: dict[str, Any] = {"k": asked.k, "filter": asked.filter, "exact": asked.exact, "threads": 1}
            options["exclude"] = None if asked.exclude is None else kinds.known_items(asked.exclude)
            options["allow"] = None if asked.allow is None else kinds.known_items(asked.allow)
            users: list[ids.Id] | None = None
            if asked.user_ids is not None:
                users = [kinds.user(user) for user in asked.user_ids]
                found = recaller.recall_many(users, exclude_seen=asked.exclude_seen, **options)
            elif asked.vectors is not None:
                vectors = asked.vectors or np.zeros((0, recaller.info["factors"]))
                found = recaller.recall_vectors(vectors, **options)
            else:
                lists = [[kinds.item(item) for item in items] for items in asked.items or ()]
                options["exclude_seen"] = asked.exclude_seen
                found = recaller.recall_items_many(lists, scores=asked.scores, **options)
            taken = int((time.perf_counter() - start) * 1e6)
            results = self._results(recaller, found, users, asked.attributes)
            return {"results": results, "version": found.version, "microseconds": taken}

        return self._ask(recaller, ask)

    def record(self, asked: models.Interactions) -> Answer:
        """Record interactions, and fold the user in if that is wanted."""
        self.check_batch(len(asked.items))
        recaller = self.recaller

        def ask(kinds: ids.Kinds) -> Answer:
            user, items = kinds.user(asked.user_id), [kinds.item(item) for item in asked.items]
            recaller.record(user, items, asked.scores)
            self.metrics.add("interactions", count=len(items))
            folded = asked.fold_in and recaller.fold_in(user) is not None
            return {"user_id": user, "recorded": len(items), "folded": folded, "version": recaller.version}

        return self._ask(recaller, ask)

    def similar(self, item: str, k: int, attributes: bool) -> Answer:
        """Answer with items like an item."""
        start = time.perf_counter()
        recaller = self.recaller
        self.check_k(k)

        def ask(kinds: ids.Kinds) -> Answer:
            id = kinds.item(item)
            found = recaller.similar_items(id, k)
            taken = int((time.perf_counter() - start) * 1e6)
            plain = found.ids.tolist()
            answer = {"item_id": id, "ids": plain, "scores": found.scores, "version": found.version}
            if attributes:
                answer["attributes"] = [recaller.item_attributes(like) for like in plain]
            return answer | {"microseconds": taken}

        return self._ask(recaller, ask)

    def forget(self, user: str) -> Answer:
        """Forget a user."""
        recaller = self.recaller

        def ask(kinds: ids.Kinds) -> Answer:
            id = kinds.user(user)
            recaller.forget(id)
            return {"user_id": id, "version": recaller.version}

        return self._ask(recaller, ask)

    def check_k(self, k: int) -> None:
        """Raise ValueError if an answer would be too long."""
        if not 1 <= k <= self.settings.max_k:
            raise ValueError(f"k: got {k}, expected an integer in 1..{self.settings.max_k}")

    def check_batch(self, n: int) -> None:
        """Raise ValueError if a request asks for too much."""
        if n > self.settings.max_batch:
            raise ValueError(f"got {n} entries, expected at most {self.settings.max_batch} in a request")

    def _results(
        self, recaller: Recaller, found: RecalledMany, users: list[ids.Id] | None, attributes: bool
    ) -> list[Answer]:
        results = []
        for i, (n, source) in enumerate(zip(found.counts.tolist(), found.sources, strict=True)):
            result: Answer = {"ids": ids.plain(found.ids[i, :n]), "scores": found.scores[i, :n], "source": source}
            if users is not None:
                result["user_id"] = users[i]
            if attributes:
                result["attributes"] = [recaller.item_attributes(item) for item in found.ids[i, :n].tolist()]
            results.append(result)
            self.metrics.add("answers", source)
        return results


def _give_way() -> None:
    """Let requests go before this thread, which takes up to a tenth of a processor that they want, and what they leave.

    A new version takes seconds of work to open, and an exact scan of a million items tens of milliseconds.
    """
    if sys.platform == "linux":  # where threads have priorities
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + GIVING_WAY, 19))
