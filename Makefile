# A fresh machine needs Python >= 3.11 with pip, and nothing else.
#   make demo    train on handwritten digits with two ranks
#   make test    run the tests
#   make lint    run the linters
PYTHON ?= python3
VENV ?= .venv
NPROC ?= 2

BIN := $(VENV)/bin
PACKAGING := pyproject.toml setup.py

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.base
	$(BIN)/disttorch-launch --nproc $(NPROC) examples/digits.py

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

# Every linter runs even when an earlier one complains, so that one run shows the whole list.
lint: $(VENV)/.dev build/typing
	@status=0; \
	run() { echo "+ $$*"; "$$@" || status=1; }; \
	run $(BIN)/ruff check .; \
	run $(BIN)/ruff format --check .; \
	run $(BIN)/lint-imports; \
	run $(BIN)/mypy; \
	run $(BIN)/codespell; \
	exit $$status

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks --json build/benchmarks.json

clean:
	rm -rf $(VENV) build dist *.egg-info

# mypy resolves packages by folder name; launcher/ is imported as disttorch_launcher.
build/typing:
	mkdir -p $@
	ln -sfn ../../launcher $@/disttorch_launcher

# Stamps live inside the environment: delete it and everything is made again.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "disttorch needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(PACKAGING) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.test: $(PACKAGING) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@ $(VENV)/.base

$(VENV)/.dev: $(PACKAGING) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@ $(VENV)/.test $(VENV)/.base
