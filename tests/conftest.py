"""What all tests share."""

import os

import pytest


def pytest_sessionfinish(session):
    """Fail a run that skipped a test, where MCFAST_NO_SKIPS is set (as in CI)."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("MCFAST_NO_SKIPS") and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
