"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A shared machine may pause at any time.
settings.register_profile("mcfast", deadline=None)
settings.load_profile("mcfast")


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
