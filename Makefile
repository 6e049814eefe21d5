.DEFAULT_GOAL := help
.PHONY: help demo test check lint types slow bench guard format clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

help:  ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.local  ## Speak jobs/demo.csv with a voice that needs no key and no network.
	@$(BIN)/batchtts run jobs/demo.csv --out out/demo
	@echo "Listen: out/demo/wav/ holds the audio, out/demo/results.parquet says what it is."

test: $(VENV)/.test  ## Run the tests.
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

check: lint types test  ## What must be green before a commit.

lint: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.check
	$(BIN)/mypy

slow: $(VENV)/.slow  ## Run the tests that take minutes.
	$(BIN)/python -m pytest -q -m slow -o faulthandler_timeout=0

bench: $(VENV)/.bench  ## Measure, with peers beside us (under five minutes).
	$(BIN)/python -m benchmarks

guard: $(VENV)/.bench  ## Count instructions: fails if something has become slower.
	$(BIN)/python -m benchmarks.guard

format: $(VENV)/.check  ## Put the code in order.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:  ## Remove what make has made.
	rm -rf $(VENV) out .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: $(BIN)/python pyproject.toml
	$(PIP) -e '.[local]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(PIP) -e '.[local,hear,book,audiobook,numbers,verify,mos,report,test]'
	@touch $@

$(VENV)/.slow: $(BIN)/python pyproject.toml
	$(PIP) -e '.[local,hear,book,audiobook,numbers,verify,mos,report,test,bench]'
	@touch $@

$(VENV)/.check: $(BIN)/python pyproject.toml
	$(PIP) -e '.[local,hear,book,audiobook,numbers,verify,mos,report,test,check,bench]'
	@touch $@

$(VENV)/.bench: $(BIN)/python pyproject.toml
	$(PIP) -e '.[local,bench]'
	@touch $@
