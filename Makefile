# Every target sets up .venv itself when it must: `make run` installs what the guild needs,
# the others what development needs. A stamp makes the second time quick. Tests wait more than they
# compute, so there are five workers for two cores.

PYTHON ?= python3.11
PYTHON_3_12 ?= python3.12
PYTHON_3_13 ?= python3.13
NAME ?= first
VENV := .venv
BIN := $(VENV)/bin
TEST_WORKERS ?= $(shell expr 5 '*' $$(nproc) / 2)
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
BENCH_STAMP := $(VENV)/.installed-bench

# What needs no PyTorch, which newer Pythons may have to wait for.
WITHOUT_TORCH := $(addprefix --ignore=tests/,llm ml research sandbox docs)
PYTHON_TESTS ?= tests
LONG_TESTS ?= tests

# An environment of its own, for a peer that cannot live beside ours: its Python, its name, its needs.
peer = { $(1) -m venv $(VENV)/peers/$(2) && $(VENV)/peers/$(2)/bin/pip install --quiet --disable-pip-version-check $(3) 'pydantic>=2.11,<3' 'structlog>=24.4'; }

# An environment of its own for a Python, made anew when what it needs has changed; and the tests in it.
# A Python that is not here is skipped, and said to be.
define test_on
@if ! $(2) -c '' 2>/dev/null; then \
	echo "Python $(1) is skipped: $(2) does not run; set PYTHON_$(subst .,_,$(1))=/path/to/python$(1)" >&2; \
else \
	set -e; env=$(VENV)/pythons/$(1); \
	if ! [ $$env/.installed -nt pyproject.toml ] || ! [ $$env/.installed -nt constraints.txt ]; then \
		echo "Installing what the tests need into $$env (once) ..." >&2; \
		$(2) -m venv --clear $$env; \
		$$env/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[embedded,web,test]'; \
		touch $$env/.installed; \
	fi; \
	$$env/bin/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(WITHOUT_TORCH) $(strip $(PYTHON_TESTS)); \
fi
endef

.DEFAULT_GOAL := help
.PHONY: help run test test-long test-pythons test-3.12 test-3.13 check bench vendor clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST)

run: $(RUN_STAMP) ## let the research guild work on real data, ending with a report (NAME=other starts another run)
	@mkdir -p lab && cd lab && ../$(BIN)/guildbus run research --request ResearchRequest name=$(NAME)
	@echo "open lab/runs/$(NAME)/report.html"

test: $(DEV_STAMP) ## run every test
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal

test-long: $(DEV_STAMP) ## run the proofs that take minutes, which `make test` leaves out (LONG_TESTS=path … for some of them)
	@$(BIN)/python -m pytest -m long -n 2 --dist worksteal $(strip $(LONG_TESTS))

test-pythons: test-3.12 test-3.13 ## run the tests that need no PyTorch on Python 3.12 and 3.13 (PYTHON_TESTS=path … for some of them)

test-3.12:
	$(call test_on,3.12,$(PYTHON_3_12))

test-3.13:
	$(call test_on,3.13,$(PYTHON_3_13))

check: $(DEV_STAMP) ## lint, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@MYPYPATH=examples/orders:. $(BIN)/mypy -p shop -p town
	@$(BIN)/lint-imports

bench: $(BENCH_STAMP) ## measure a guild beside its peers in one run
	@$(BIN)/python -m benchmarks

vendor: ## fetch the libraries of the console from npm, as pinned in its vendor.json
	@$(PYTHON) .ci/vendor

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
