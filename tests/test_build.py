"""What was built, the choice of the instruction set at load, and threads after a fork."""

import os
import subprocess
import sys

import pytest

from mcfast import _core

INFO = _core.build_info()


def python(code, **environment):
    """Run code in a process of its own; it may take a minute."""
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


def test_build_info():
    assert INFO.keys() == {"version", "compiler", "isa_built", "isa_available", "isa", "parallel", "threads"}
    assert INFO["isa_built"][0] == INFO["isa_available"][0] == "base"
    assert set(INFO["isa_available"]) <= set(INFO["isa_built"])
    assert INFO["parallel"] in ("openmp", "threads")
    assert 1 <= INFO["threads"] <= os.cpu_count()


@pytest.mark.parametrize("isa", INFO["isa_available"])
def test_mcfast_isa_chooses(isa):
    done = python("from mcfast import _core; print(_core.build_info()['isa'])", MCFAST_ISA=isa)
    assert (done.returncode, done.stdout.strip()) == (0, isa), done.stderr


def test_without_mcfast_isa_the_newest_is_chosen():
    done = python("from mcfast import _core; print(_core.build_info()['isa'])", MCFAST_ISA="")
    assert done.stdout.strip() == INFO["isa_available"][-1], done.stderr


def test_unknown_mcfast_isa_is_refused_with_what_exists():
    done = python("import mcfast", MCFAST_ISA="x86-64-v9")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "MCFAST_ISA" in last
    assert "'x86-64-v9'" in last
    assert all(f"'{isa}'" in last for isa in INFO["isa_available"])


def test_set_isa_refuses_what_is_unknown_or_not_here():
    missing = [isa for isa in INFO["isa_built"] if isa not in INFO["isa_available"]]
    for isa in ["x86-64-v9", "", *missing]:
        with pytest.raises(ValueError, match=f"instruction set: got '{isa}', expected what this machine has: 'base'"):
            _core.set_isa(isa)
    assert _core.build_info()["isa"] == INFO["isa"]


FORK = """
import os
import numpy as np
from mcfast import _core

def region():
    rows = np.ones((100_000, 16), np.float32)
    return _core.unit_rows(rows, 3).shape

region()
child = os.fork()
if child == 0:
    region()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
region()
"""


def test_a_child_forked_after_a_parallel_region_can_enter_one():
    done = python(FORK)
    assert done.returncode == 0, done.stderr
