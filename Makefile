# Plain `make` lists what there is. Everything runs in .venv, which the first target that needs it makes.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check format bench bench-quality bench-open docs clean

# The first interpreter of a version that TensorFlow 2.20 has wheels for.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && { echo $$p; break; }; done)
BIN := .venv/bin

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

.venv/ready: setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: Python 3.11, 3.12 or 3.13 is needed (with venv); install it or run: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch .venv/ready

setup: .venv/ready ## make .venv and install everything into it

demo: .venv/ready ## draw a sample and walk it through every stage, up to an answer over HTTP
	$(BIN)/camtrap demo --output-dir demo

# Long files first, so that at the end no process is left alone with one of them.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/integration tests/conformance tests/unit

test: .venv/ready ## all tests but those of further sizes of a network
	$(PYTEST) -m 'not large'

test-all: .venv/ready ## all tests, every size of every network too
	$(PYTEST)

check: .venv/ready ## format, lint, types, floors, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m camtrap_tf.cli.settings_docs --check

format: .venv/ready ## put code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready ## write docs/settings.md anew from the settings models
	$(BIN)/python -m camtrap_tf.cli.settings_docs

define run_each
@status=0; for bench in $(1); do echo "== $$bench"; $(BIN)/python $$bench || status=1; done; exit $$status
endef

bench: .venv/ready ## speed and memory of building and reading data, crops, augmentation, training loop, as ratios against references of the same run
	$(call run_each,tests/bench/bench_*.py)

bench-quality: .venv/ready ## accuracy against baselines on real pictures (slow)
	$(call run_each,tests/bench/quality_*.py)

bench-open: .venv/ready ## goals that are not shown in full: recipes against references (hours)
	$(call run_each,tests/bench/open_*.py)

clean: ## remove .venv, caches and the demo
	rm -rf .venv demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
