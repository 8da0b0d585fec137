"""Processes and tables for tests of faults."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from mcfast.store.lmdb import TABLE, LmdbBackend
from mcfast.store.lmdb_environment import Environment
from mcfast.store.table import Table

SMALL_MAP = 1 << 17


def start(script, *arguments):
    """Start a Python process that runs `script` with numpy as np, store, and the arguments as `args`."""
    head = "import os, sys\nimport numpy as np\nfrom mcfast import store\nargs = sys.argv[1:]\n"
    command = [sys.executable, "-W", "error", "-c", head + script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, timeout=60):
    """Wait for a process to end well, and return what it printed."""
    out, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, f"ended with {process.returncode}: {errors}"
    return out


def small(path, map_size=SMALL_MAP):
    """Open a table whose map is soon full."""
    return Table(LmdbBackend(Environment.open(path, [TABLE], map_size=map_size)))


def full_of(value, n=1000):
    """Return ids and vectors that all hold one value."""
    return np.arange(n), np.full((n, 64), value, np.float32)
