# Every way into this project for a person or for CI. `make` alone explains them.
# What a check consists of is said once, in its target here; .ci/run only names the targets and times them.

.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
# Written last, so an installation that broke off half way is done again.
INSTALLED := $(VENV)/.installed

ARGS ?=
SECONDS ?= 60
SEED ?= 1
MINUTES ?= 5
SEEDS ?= 5000
START ?= 1

##@ Use it
.PHONY: dev demo
dev: install ## Everything on embedded servers; prints URL, tenant and token. ARGS="--port 8080" passes options on.
	@$(BIN)/scheduler dev $(ARGS)

demo: install ## The same with sample schedules, showing each delivery as it happens.
	@$(BIN)/scheduler dev --demo $(ARGS)

##@ Work on it
.PHONY: install test faults check bench chaos simulate fuzz
install: $(INSTALLED) ## Make .venv with everything in it, from requirements.lock; done again only when that changes.

test: install ## Run the test suite on real servers. ARGS="-k claim" passes options to pytest.
	@$(BIN)/pytest -n 2 $(ARGS)

faults: install ## The outages of docs/failures.md that take too long for the plain suite. ARGS as for test.
	@$(BIN)/pytest -m faults $(ARGS)

check: ## What CI runs: every static check, then the whole suite.
	@bash .ci/run

bench: install ## Run the benchmarks. ARGS="--only herd_event --json" passes options on.
	@$(BIN)/python -m benchmarks $(ARGS)

chaos: install ## Kill, pause and restart each part under load. SECONDS=60 SEED=1 choose how long and which faults.
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS) --seed $(SEED) $(ARGS)

simulate: install ## Try seeds under a virtual clock: other interleavings, other faults. SEEDS=5000 START=1 choose which.
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --start $(START) $(ARGS)

fuzz: install ## Compare generated trigger rules with the brute-force oracle for MINUTES=5.
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

##@ The single checks
.PHONY: lint types contracts dependencies openapi
lint: install ## Style and formatting (ruff).
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check

types: install ## Strict types (mypy).
	@$(BIN)/mypy

contracts: install ## Which layer may import which (import-linter, .importlinter).
	@$(BIN)/lint-imports --no-logo

dependencies: install ## What is imported is declared, what is declared is imported (deptry).
	@$(BIN)/deptry . --extend-exclude '^(tests|benchmarks)/'

openapi: install ## openapi/openapi.json is what the API serves.
	@$(BIN)/python -m scheduler_domain.entrypoints.http_api.openapi --check openapi/openapi.json

##@ Look after it
.PHONY: lock clean help
lock: ## Resolve requirements.lock again after pyproject.toml changed. ARGS=--upgrade takes newer versions.
	@$(find_python); \
	tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT; \
	$$python -m venv "$$tools" && "$$tools/bin/pip" install --quiet --disable-pip-version-check uv && \
	"$$tools/bin/uv" pip compile pyproject.toml --quiet --universal --all-extras --group dev --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url -o requirements.lock $(ARGS)

clean: ## Remove .venv, caches and build output; the data of `make dev` stays.
	@rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this.
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# A name on PATH is not yet a Python: version managers leave stubs there that refuse to run,
# and Debian splits venv and ensurepip off. So each candidate has to prove itself.
define find_python
python=; for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		python=$$candidate; break; \
	fi; \
done; \
if [ -z "$$python" ]; then \
	echo "make: Python 3.11 or newer with venv and pip was not found on PATH; install it or say PYTHON=/path/to/python3" >&2; \
	exit 1; \
fi
endef

# `pip install .` alone would resolve afresh; the lock with its hashes decides, then the project itself without dependencies.
$(INSTALLED): requirements.lock pyproject.toml
	@$(find_python); set -e; \
	rm -f $@; \
	if ! $(BIN)/python -c 'import pip' >/dev/null 2>&1; then \
		echo "making $(VENV) with $$($$python --version)"; $$python -m venv --clear $(VENV); \
	fi; \
	echo "installing requirements.lock"; \
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .; \
	touch $@
