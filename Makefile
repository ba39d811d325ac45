# Every verb works in a bare checkout with Python 3.11 or newer: what it needs goes into .venv.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
CONSTRAINTS := .github/constraints.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)

.PHONY: help demo test kills bench bench-lists bench-policy format lint types imports docs build check clean

help:  ## Show what there is to do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/.installed  ## Watch it download the flags of the world, from a server of its own
	$(BIN)/asyncflags demo $(DEMO)

test: $(VENV)/.test  ## Run all tests, in two processes: make test TESTS=tests/engine JOBS=0 for one
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS)

kills: $(VENV)/.test  ## Kill a run with SIGKILL again and again: make kills SEED=7 KILLS=500 OPTIONS='--segments 4'
	$(BIN)/python -m tests.kills.harness $(or $(SEED),1) $(or $(KILLS),200) $(OPTIONS)

ifeq ($(WORK),embedded)
BENCH := bench_embedded
else
BENCH := bench_peers $(WORK) $(if $(PEERS),--peers $(PEERS))
endif

bench: $(VENV)/.bench  ## Measure it beside its peers: make bench WORK=small|mid|big|tls|hashed|embedded RUNS=5 PEERS=curl,aiohttp
	$(BIN)/python -m tests.benchmarks.$(BENCH) --runs $(or $(RUNS),5) \
		$(if $(SIZE),--size $(SIZE)) $(OPTIONS)

bench-lists: $(VENV)/.installed  ## Measure what a URL of a long list costs, and the memory: make bench-lists COUNT=100000
	$(BIN)/python tests/benchmarks/bench_lists.py --count $(or $(COUNT),1000000)

bench-policy: $(VENV)/.installed  ## Show what politeness and concurrency decide, in simulated time: make bench-policy SEEDS=4
	$(BIN)/python tests/benchmarks/bench_policy.py --seeds $(or $(SEEDS),20)

format: $(VENV)/.lint  ## Check the format
	$(BIN)/ruff format --check .

lint: $(VENV)/.lint  ## Check for faults
	$(BIN)/ruff check .

types: $(VENV)/.lint $(VENV)/.test  ## Check the types
	$(BIN)/mypy

imports: $(VENV)/.lint  ## Check that imports point down the layers
	$(BIN)/lint-imports

docs: $(VENV)/.docs  ## Build the documentation; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

build: $(VENV)/.lint  ## Build the wheel and import it from another folder
	rm -rf dist
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir dist .
	rm -rf build/wheel-check && mkdir -p build/wheel-check
	cd build/wheel-check && ../../$(BIN)/python -m zipfile -e ../../dist/asyncflags-*.whl . && \
		../../$(BIN)/python -c "import asyncflags, asyncflags.aiohttp, asyncflags.bridges, asyncflags.testing; \
		assert 'wheel-check' in asyncflags.__file__, asyncflags.__file__; print('wheel', asyncflags.__version__)"

check: format lint types imports test docs build  ## All of the above

clean:  ## Remove what the verbs made
	rm -rf $(VENV) dist build docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.made:
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'asyncflags needs Python 3.11 or newer: make PYTHON=python3.11 ...'"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml $(CONSTRAINTS)
	$(PIP) --editable .
	touch $@

$(VENV)/.test: $(VENV)/.installed
	$(PIP) --group test
	touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(PIP) --group bench
	touch $@

$(VENV)/.lint: $(VENV)/.installed
	$(PIP) --group lint
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(PIP) --group docs
	touch $@
