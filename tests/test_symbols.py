"""A kernel object defines its table and nothing else: no code of one set may be handed to every processor."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
C_LIBRARY = {"memset", "memcpy", "_GLOBAL_OFFSET_TABLE_"}

pytestmark = pytest.mark.skipif(
    not (shutil.which("cmake") and shutil.which("nm") and shutil.which("readelf")), reason="needs cmake and binutils"
)


def output(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The objects of every kernel file and instruction set, compiled as the package's are."""
    build = tmp_path_factory.mktemp("kernels")
    output("cmake", "-S", ROOT, "-B", build, "-DMCFAST_TESTS=OFF", "-DMCFAST_BENCH=OFF", "-DMCFAST_WERROR=ON")
    output("cmake", "--build", build, "--target", "mcfast_kernels", "--parallel", 2)
    found = sorted(build.glob("CMakeFiles/mcfast_kernels_*.dir/csrc/kernels/*.o"))
    kernels = {path.stem for path in (ROOT / "csrc/kernels").glob("*.cpp")} - {"dispatch"}
    assert kernels == {path.name.split(".")[0] for path in found}
    assert len(found) % len(kernels) == 0
    return found


def test_an_object_defines_its_table_alone(objects):
    for path in objects:
        kernel, isa = path.name.split(".")[0], path.parents[2].stem.removeprefix("mcfast_kernels_")
        symbols = [line.split()[:2] for line in output("nm", "--demangle", "--format=posix", path).splitlines()]
        defined = [name for name, kind in symbols if kind.isupper() and kind != "U"]
        assert defined == [f"mcfast::kernels::{kernel}_{isa}"], path
        assert not [name for name, kind in symbols if kind in "vVwWu"], path
        assert {name for name, kind in symbols if kind == "U"} <= C_LIBRARY, path


def test_an_object_runs_nothing_at_load(objects):
    for path in objects:
        sections = output("readelf", "--sections", "--wide", path)
        assert ".text" in sections
        assert not [name for name in (".init_array", ".ctors", ".fini_array", ".group") if name in sections], path
