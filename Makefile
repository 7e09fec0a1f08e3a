# Each target starts from nothing but Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCHMARKS := benchmarks/sandbox.py benchmarks/training_step.py benchmarks/rollout.py benchmarks/data.py

.PHONY: help install quickstart test lint bench clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "arcgym needs Python 3.11 or later; call: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(INSTALLED)  ## Make .venv and install arcgym with the tested versions

quickstart: $(INSTALLED)  ## Train the default policy by PPO on ARC tasks, on CPU, in six minutes
	$(BIN)/accelerate launch --quiet recipes/ppo.py --config recipes/configs/ppo_quickstart.yaml

test: $(INSTALLED)  ## Run the test suite
	$(BIN)/python -m pytest

lint: $(INSTALLED)  ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg

bench: $(INSTALLED)  ## Run the benchmarks; each prints a table of ratios against named peers
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:  ## Remove caches and builds; runs/ and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
