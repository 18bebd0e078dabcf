# Thin: every target is one command that the README writes out too.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The constraints reach the build environments as well, on old and new pip alike. llama.cpp is built for AVX2 and not for
# this very processor: a wheel in pip's cache may meet another one, and some virtual machines show AMX but do not allow it.
PINS := CMAKE_ARGS="$${CMAKE_ARGS:--DGGML_NATIVE=OFF}" PIP_USE_PEP517=1 PIP_CONSTRAINT="$(CURDIR)/constraints.txt" PIP_BUILD_CONSTRAINT="$(CURDIR)/constraints.txt"

.PHONY: demo test lint docs setup clean

demo: $(READY)  ## describe, embed, cluster, train and evaluate on scenes that the project draws
	$(BIN)/prolab run configs/experiments/demo.yaml

test: $(READY)  ## all tests but those that need a GPU, in two processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gpu" -n 2 --dist worksteal

lint: $(READY)  ## what CI checks besides the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

docs: $(READY)  ## the site of docs/, in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file docs/site/mkdocs.yml

setup: $(READY)

$(READY): pyproject.toml constraints.txt setup.py ops/build.py $(wildcard ops/csrc/*)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 13) else \
	  f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.11")'
	@command -v cc >/dev/null && command -v c++ >/dev/null || { \
	  echo "A C and C++ compiler is needed to build llama-cpp-python and our kernels. Install one, then run make again:"; \
	  echo "  Debian, Ubuntu: apt install build-essential     Fedora: dnf install gcc gcc-c++     macOS: xcode-select --install"; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PINS) $(BIN)/pip install --quiet -e '.[embedded,dev]'
	@touch $(READY)

clean:  ## remove the environment; the store stays
	rm -rf $(VENV)
