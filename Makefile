# Every target sets up .venv itself when it must: `make run` installs what the guild needs,
# the others what development needs. A stamp makes the second time quick. Tests wait more than they
# compute, so there are two workers a core.

PYTHON ?= python3.11
PYTHON_3_13 ?= python3.13
NAME ?= first
VENV := .venv
BIN := $(VENV)/bin
TEST_WORKERS ?= $(shell expr 2 '*' $$(nproc))
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
BENCH_STAMP := $(VENV)/.installed-bench

# An environment of its own, for a peer that cannot live beside ours: its Python, its name, its needs.
peer = $(1) -m venv $(VENV)/peers/$(2) && $(VENV)/peers/$(2)/bin/pip install --quiet --disable-pip-version-check $(3) 'pydantic>=2.11,<3' 'structlog>=24.4'

.DEFAULT_GOAL := help
.PHONY: help run test check bench clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST)

run: $(RUN_STAMP) ## let the research guild work on real data, ending with a report (NAME=other starts another run)
	@$(BIN)/guildbus run specs/research.yaml --request ResearchRequest name=$(NAME)

test: $(DEV_STAMP) ## run every test
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal

check: $(DEV_STAMP) ## lint, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(BENCH_STAMP) ## measure the bus beside its peers in one run
	@$(BIN)/python -m benchmarks

clean: ## remove the environment, caches and everything that runs have left
	rm -rf $(VENV) .guildbus runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on PATH; set PYTHON=/path/to/python3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what the research guild needs into $(VENV) (once, some minutes) ..." >&2
	@$(PIP) --editable '.[research,embedded]'
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what development needs into $(VENV) (once, some minutes) ..." >&2
	@$(PIP) --editable '.[dev]'
	@touch $@ $(RUN_STAMP)

$(BENCH_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the peers to measure beside into $(VENV) ..." >&2
	@$(PIP) --editable '.[bench]'
	@$(call peer,$(PYTHON),arq,'arq~=0.28.0')
	@! $(PYTHON_3_13) -c '' 2>/dev/null || $(call peer,$(PYTHON_3_13),rusticai,'rusticai-core~=1.4.0' 'rusticai-redis~=1.4.0')
	@touch $@ $(RUN_STAMP) $(DEV_STAMP)
