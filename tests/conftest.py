"""What all tests share."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import settings

# A shared machine may pause at any time.
settings.register_profile("mcfast", deadline=None)
settings.load_profile("mcfast")

# A shell ignores Ctrl-C for what it starts in the background, and children inherit that; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session):
    """Fail a run that skipped a test, where MCFAST_NO_SKIPS is set (as in CI)."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("MCFAST_NO_SKIPS") and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def data_folder():
    """The folder of larger real data: MCFAST_DATA, by default ../shared/data beside the repository."""
    folder = Path(os.environ.get("MCFAST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no larger data: {folder} does not exist, MCFAST_DATA names another folder")
    return folder


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """The address of a Redis server that lives as long as the tests; also in MCFAST_REDIS_URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        url = f"redis://127.0.0.1:{port}/0"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MCFAST_REDIS_URL", url)
            yield url
    finally:
        server.terminate()
        server.wait(30)
