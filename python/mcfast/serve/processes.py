"""The processes of the service: one that listens, or several that share its socket and are replaced when they die."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING

from .. import checks
from ..errors import FormatError, MissingExtraError
from ..snapshot.publishing import version_info
from ..snapshot.root import Root
from . import logs
from .settings import Settings

if TYPE_CHECKING:
    from .front import Front

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PURPOSE = "mcfast serve"
PACKAGES = ("fastapi", "uvicorn", "uvloop", "httptools", "orjson")
_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE = 1 << 20  # bytes
_PAUSE = 1.0  # seconds before a worker that died young is replaced
_SPAWN = multiprocessing.get_context("spawn")


def serve(settings: Settings) -> None:
    """Listen and answer until the process is told to stop; see `mcfast.serve.run`."""
    for package in PACKAGES:
        try:
            __import__(package)
        except ImportError:
            raise MissingExtraError(package, "serve", PURPOSE) from None
    _check_shared(settings)
    logs.start()
    with _listening(settings.host, settings.port) as listening, tempfile.TemporaryDirectory(prefix="mcfast-") as folder:
        host, port = listening.getsockname()[:2]
        logs.event("listening", host=host, port=port, workers=settings.workers, root=os.fspath(settings.root))
        if settings.token is None and not host.startswith("127.") and host != "::1":
            logs.event("everybody who reaches the address may ask and write: set a token", logging.WARNING)
        metrics = Path(folder) / "metrics"
        if settings.workers == 1:
            with contextlib.suppress(SystemExit):
                work(settings, listening, metrics)
        else:
            _Workers(settings, listening, metrics).run()
    logs.event("stopped")


def work(settings: Settings, listening: socket.socket, metrics: Path) -> None:
    """Answer in this process."""
    import uvicorn

    from .protocol import Protocol

    for number in SIGNALS:  # uvicorn raises them again when it has ended; what comes earlier ends us, too
        signal.signal(number, _leave)
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_stop_with_parent, daemon=True).start()
    logs.start()
    _return_large_arrays()
    config = uvicorn.Config(
        create(settings, metrics),
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # nobody asks where a request came from
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    uvicorn.Server(config).run([listening])


def create(settings: Settings, metrics: Path) -> Front:
    """Return the application of one worker; `metrics` is the file that workers share."""
    from .front import Front
    from .metrics import Metrics
    from .routes import make
    from .service import Service

    # A worker that has been killed may still hold its row when its successor starts.
    service = Service(settings, Metrics(metrics, 2 * settings.workers))
    return Front(make(service), service)


class _Workers:
    """Starts workers, replaces those that die, and stops them."""

    def __init__(self, settings: Settings, listening: socket.socket, metrics: Path) -> None:
        self._arguments = settings, listening, metrics
        self._stopping = threading.Event()
        self._living: dict[SpawnProcess, float] = {}

    def run(self) -> None:
        """Keep as many workers as are wanted, until SIGTERM or SIGINT."""
        previous = {number: signal.signal(number, self._stop) for number in SIGNALS}
        try:
            for _ in range(self._arguments[0].workers):
                self._start()
            while not self._stopping.is_set():
                for sentinel in wait([worker.sentinel for worker in self._living], timeout=0.5):
                    self._replace(next(worker for worker in self._living if worker.sentinel == sentinel))
        finally:
            for worker in self._living:
                worker.terminate()
            for worker in self._living:
                worker.join()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _start(self) -> None:
        worker = _SPAWN.Process(target=work, args=self._arguments)
        worker.start()
        self._living[worker] = time.monotonic()

    def _replace(self, worker: SpawnProcess) -> None:
        started = self._living.pop(worker)
        if self._stopping.is_set():
            return
        logs.event("worker died", logging.ERROR, worker=worker.pid, code=worker.exitcode)
        if time.monotonic() - started < _PAUSE:
            self._stopping.wait(_PAUSE)
        self._start()

    def _stop(self, number: int, frame: object) -> None:
        self._stopping.set()


def _check_shared(settings: Settings) -> None:
    """Check that there is a folder to serve, and that several workers can open what it serves."""
    root = Root(settings.root)
    root.check()
    current = root.served()
    if settings.workers == 1 or current is None:
        return
    with contextlib.suppress(FormatError, OSError):  # a damaged version: the service says so, and waits for another
        if version_info(root, current, current).index.get("one_process"):
            expected = f"1: version {current} has an index in a file that one process may open"
            raise ValueError(checks.message("workers", settings.workers, expected))


def _return_large_arrays() -> None:
    """Let the system have back at once what versions held: after the first, malloc would keep some of it for ever."""
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(0)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _listening(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        got = checks.message("host, port", f"{host}:{port} ({error.strerror or error})", "an address that is free")
        raise OSError(error.errno, got) from None
    return listening
