# Needs Python 3.11 or later with venv and pip, git and make; everything else is set up in .venv from the locks.
# All that is written goes to places that git ignores: .venv/, build/ and the caches of the tools.

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

# One more than the two cores that the tests are made for: many of them wait for a process or for time to pass.
WORKERS ?= 3

BIN := .venv/bin
READY := .venv/ready
BENCH_READY := .venv/bench-ready
DEMO := build/demo
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A lock is complete, so nothing is resolved: pip would look at releases newer than the lock, and refuse them.
PIP_LOCKED := $(PIP_INSTALL) --no-deps --require-hashes

# What the shell of whoever calls make has set must not send a demo or a test to a real service or to a real log.
unexport GEMINI_API_KEY GOOGLE_API_KEY GOOGLE_GEMINI_BASE_URL OBJLIB_DB PYTHONPATH

.PHONY: help setup demo test lint docs schemas reliability bench wheel-check lock clean

help:  ## Show this list
	@sed -n 's/^\([a-z -]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(READY)  ## Make .venv with the locked dependencies and this checkout
$(READY): requirements-dev.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "objlib-fsm needs" \
	  "Python 3.11 or later, found: $(or $(PYTHON),none). Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(PIP_LOCKED) -r requirements-dev.lock
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check --disable-pip-version-check >/dev/null
	@touch $@

$(BENCH_READY): $(READY) requirements-bench.lock
	$(PIP_LOCKED) -r requirements-bench.lock
	@touch $@

demo: $(READY)  ## Index docs/ in a local store, then explain one file and ask one question
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/objlib-fsm --db $(DEMO)/log.db --backend local run docs --yes
	$(BIN)/objlib-fsm --db $(DEMO)/log.db audit docs/reference/exit-codes.md
	$(BIN)/objlib-fsm --db $(DEMO)/log.db --backend local ask "Which exit code means that the event log is damaged?"

test: $(READY)  ## Run the tests; ARGS='-k name' for some of them
	$(BIN)/python -m pytest $(or $(ARGS),--numprocesses $(WORKERS) --dist worksteal)

lint: $(BENCH_READY)  ## ruff, and mypy in strict mode
	$(BIN)/ruff check .
	$(BIN)/mypy

docs schemas: $(READY)  ## Make the generated references and the JSON Schemas anew
	$(BIN)/python docs/generate.py

reliability: $(READY)  ## Try to break the promise, at full length; hours
	$(BIN)/python -m tests.sim --seeds 20000 --jobs 2 --regressions
	$(BIN)/python -m tests.sim.measured
	$(BIN)/python -m tests.sim.month
	$(BIN)/python -m tests.crash.power --images 200000
	$(BIN)/python -m tests.crash.ioerrors --recovery
	$(BIN)/python -m tests.crash.damage --trials 20000
	$(BIN)/python -m tests.crash.model --examples 50000 --steps 100
	$(BIN)/python -m tests.crash.contention --seconds 60
	$(BIN)/python -m tests.crash.kill9 --kills 3000

bench: $(BENCH_READY)  ## Measure against the peers; minutes
	@set -e; for file in tests/bench/bench_*.py; do name=$$(basename $$file .py); \
	  echo "== $$name"; $(BIN)/python -m tests.bench.$$name; done

wheel-check: $(READY)  ## Build the wheel, install it in an empty venv, use it outside the checkout
	.ci/wheel-check

lock: build/lock-venv/ready  ## Pin the dependencies of pyproject.toml; ARGS=--upgrade for the newest of all
	PATH="$(CURDIR)/build/lock-venv/bin:$$PATH" build/lock-venv/bin/python .ci/lock.py $(ARGS)
build/lock-venv/ready:
	$(PYTHON) -m venv --clear build/lock-venv
	build/lock-venv/bin/python -m pip install --quiet --disable-pip-version-check pip-tools
	@touch $@

clean:  ## Remove all that make, the tests and the tools left here
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
