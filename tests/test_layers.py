"""Who may know whom, and what every file keeps to."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CSRC, PACKAGE = ROOT / "csrc", ROOT / "python" / "mcfast"

# --- C++ ----------------------------------------------------------------------------------------------------------

BASIS = {"kernels", "parallel", "memory", "philox"}
CPP_MAY_USE = {
    "bind": {"train", "rank", "recall", "data", "evaluate", "compose"} | BASIS,
    "rank": {"compose"} | BASIS,
    **dict.fromkeys(("train", "recall", "data", "evaluate", "compose"), BASIS),
    **{layer: set() for layer in BASIS},
}
SOURCES = sorted(path for path in CSRC.rglob("*") if path.suffix in (".cpp", ".h"))


def cpp_layer(path):
    return path.relative_to(CSRC).parts[0].split(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CSRC)))
def test_cpp_includes(path):
    layer, text = cpp_layer(path), path.read_text()
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE):
        included = next(file for file in (path.parent / name, CSRC / name) if file.is_file())
        assert cpp_layer(included) in CPP_MAY_USE[layer] | {layer}, f"{layer} may not know {name}"
    if layer != "bind":
        assert "pybind11" not in text
        assert "Python.h" not in text
    if path.name != "parallel.cpp":
        assert not re.search(r"#\s*pragma\s+omp|omp\.h|\bomp_|_OPENMP", text)
    if layer == "kernels" and path.name != "dispatch.cpp":
        assert not re.findall(r"#\s*include\s+<(?!\w+\.h>)[^>]+>", text), "a kernel includes no C++ library header"
    assert len(text.splitlines()) <= (200 if layer == "bind" else 400)


def test_no_build_option_breaks_the_promises():
    options = (ROOT / "CMakeLists.txt").read_text() + (ROOT / "CMakePresets.json").read_text()
    for option in ("march=native", "fast-math", "Ofast", "flto", "INTERPROCEDURAL"):
        assert option not in options


# --- Python -------------------------------------------------------------------------------------------------------

# A layer's modules, and the layers that it may know beside itself.
COMMON = {"_core", "bits", "checks", "errors", "files", "progress"}
LAYERS = {
    "common": (COMMON, set()),
    "data": ({"data", "datasets"}, {"common"}),
    "recall": ({"recall"}, {"common", "data"}),
    "store": ({"store"}, {"common", "data"}),
    "model": (
        {
            "model",
            "model_files",
            "factors",
            "ranking",
            "scale",
            "recommender",
            "seen",
            "baselines",
            "training",
            "partition",
            "ranking_options",
            "ranking_training",
            "rating_training",
            "epochs",
            "evaluation",
            "measures",
            "sampled",
            "bootstrap",
            "surrogate",
            "tuning",
            "halving",
            "folding",
            "folding_steps",
            "encoders",
            "encoding",
        },
        {"common", "data"},
    ),
    "snapshot": ({"snapshot"}, {"common", "data", "recall", "store", "model"}),
    "top": ({"cli", "serve", "__main__"}, {"common", "data", "recall", "store", "model", "snapshot"}),
}
LAYER_OF = {module: layer for layer, (modules, _) in LAYERS.items() for module in modules}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path):
    """The modules right below mcfast that a file imports, anywhere in it."""
    package = ("mcfast", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            full = [tuple(name.name.split(".")) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            base += tuple((node.module or "").split(".")) if node.module else ()
            full = [(*base, name.name) for name in node.names]
        else:
            continue
        yield from (parts[1] for parts in full if parts[0] == "mcfast" and len(parts) > 1)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_python_imports(path):
    layer = LAYER_OF[path.relative_to(PACKAGE).parts[0].removesuffix(".py")]
    for module in imported(path):
        assert LAYER_OF[module] in LAYERS[layer][1] | {layer}, f"{layer} may not know {module}"


def test_the_reader_of_imports_sees_them(tmp_path):
    assert set(imported(PACKAGE / "cli" / "fit.py")) >= {"training", "model"}
    assert set(imported(PACKAGE / "training.py")) >= {"checks", "data"}


def test_importing_the_package_is_light():
    heavy = {
        "pyarrow",
        "pandas",
        "polars",
        "scipy",
        "matplotlib",
        "faiss",
        "hnswlib",
        "lmdb",
        "tqdm",
        "fastapi",
        "redis",
        "pymilvus",
    }
    code = f"import sys, mcfast; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_the_oracle_is_independent():
    assert not re.search(r"^\s*(import|from)\s+mcfast", (ROOT / "tests" / "oracle.py").read_text(), re.MULTILINE)
