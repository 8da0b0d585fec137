"""What all tests share."""

import os
import shutil
import signal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import settings

import mcfast
from mcfast import cli
from redis_servers import Server
from served import publish
from serving_problems import made

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


@pytest.fixture
def run_command(capsys):
    """Run a command in this process; return its exit code, and what it printed."""

    def run(*arguments):
        try:
            code = cli.main(arguments)
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def root(tmp_path):
    """Where a folder to be served may be made."""
    return tmp_path / "serving"


@pytest.fixture
def recaller(root):
    """A recaller of the model of `serving_problems`."""
    mcfast.publish(made(), root)
    with mcfast.open(root) as opened:
        yield opened


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """Versions 1, 2 and 3 of the models of `served`, not to be changed."""
    path = tmp_path_factory.mktemp("snapshot") / "serving"
    for number in (1, 2, 3):
        publish(number, path)
    return path


@pytest.fixture
def served(published, root):
    """A folder of versions 1, 2 and 3, of which 3 is served."""
    return shutil.copytree(published, root)


@pytest.fixture
def client(root, tmp_path):
    """A service that answers from the model of `serving_problems`."""
    from service_problems import service, titles  # which need the packages of the service

    mcfast.publish(made(), root, items=titles(), users=pa.table({"id": [100], "name": ["Ann"]}))
    with service(root, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """The address of a Redis server that lives as long as the tests; also in MCFAST_REDIS_URL."""
    server = Server(tmp_path_factory.mktemp("redis"), "--save", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MCFAST_REDIS_URL", server.url)
        yield server.url
    server.kill()
