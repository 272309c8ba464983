# Two commands do everything on a bare machine: `make check` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help python setup images check test test-fast lint fix catalog bench lock clean

PYTHON := .venv/bin/python
REFERENCE := byoc-reference:latest
PAYLOADS := --payload fixtures/payloads/iris.json --payload fixtures/payloads/iris.csv
COMPILE := -m uv pip compile -q --universal --generate-hashes --no-annotate --no-header \
	--python-version 3.11

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

python:
	@bash scripts/setup.sh python

setup: ## the virtual environment, and a container engine that answers
	@bash scripts/setup.sh

check: setup ## build the reference container and run the contract tests on it
	@$(PYTHON) -m fixtures.images reference
	@$(PYTHON) -m pytest contract_tests --image $(REFERENCE) $(PAYLOADS)

test: ## the whole suite of byoc itself, on real containers
	@bash scripts/setup.sh tests
	@$(PYTHON) -m fixtures.images all
	@$(PYTHON) -m pytest

test-fast: python ## what needs no engine, under a minute
	@$(PYTHON) -m pytest -m "not docker and not clients and not browser" -q

lint: python ## ruff and mypy
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy

fix: python ## what ruff can mend
	@$(PYTHON) -m ruff check --fix . ; $(PYTHON) -m ruff format .

images: setup ## the reference, every fault and every healthy stranger
	@$(PYTHON) -m fixtures.images all

catalog: python ## renew the golden catalogue and the pages made of it
	@$(PYTHON) -m contract_tests.catalogue --write

bench: setup ## what byoc costs, as ratios in one run
	@$(PYTHON) -m fixtures.images reference missing-module
	@$(PYTHON) -m benchmarks
	@$(PYTHON) -m benchmarks.endpoint
	@$(PYTHON) -m benchmarks.control

lock: python ## renew requirements.lock from pyproject.toml, and those of AWS's clients
	@$(PYTHON) -m pip install -q uv
	@$(PYTHON) $(COMPILE) --group dev pyproject.toml -o requirements.lock
	@$(PYTHON) $(COMPILE) tests/aws_cli/requirements.in -o tests/aws_cli/requirements.lock
	@$(PYTHON) $(COMPILE) tests/sagemaker_sdk/requirements.in -o tests/sagemaker_sdk/requirements.lock

clean: ## remove what killed runs left in the engine, and caches
	@[ -x $(PYTHON) ] && $(PYTHON) -m emulator.cli clean || true
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
