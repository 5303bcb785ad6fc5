# Jobyard: `make run` shows it working, `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help run test quick cluster test-cluster crds manifests lint types format clean

help:            ## What there is
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

run: $(READY)    ## Workers, an embedded Valkey and sample jobs of every built-in type (ARGS=--once ends by itself)
	@$(BIN)/jobyard up $(ARGS)

test: $(READY)   ## Everything: lint, types, all tests on Valkey 9 and Debian's Redis 7, and those on a real Kubernetes
	@tests/everything $(BIN) $(ARGS)

quick: $(READY)  ## Lint, types and the tests that need seconds
	@$(MAKE) --no-print-directory lint types
	@$(BIN)/pytest -n auto --dist worksteal -m "not slow" $(ARGS)

cluster: $(READY) ## A real Kubernetes on this machine, with Jobyard in it, to play with (the first time it builds for 15 minutes)
	@$(BIN)/python tests/cluster/up

test-cluster: $(READY) ## The tests that need a Kubernetes; JOBYARD_TEST_CLUSTER picks another one
	@tests/cluster/build/all $(BIN)/python
	@tests/cluster/isolated $(BIN)/pytest tests/cluster $(ARGS)

manifests: $(READY) ## Write what follows from the operator's models and from the chart: manifests, tables in the documentation
	@$(BIN)/python manifests/generate
	@$(BIN)/python charts/generate

crds: manifests

lint: $(READY)   ## Style and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

types: $(READY)  ## mypy, strict
	@$(BIN)/mypy

format: $(READY) ## Put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:           ## Remove what the other targets made
	rm -rf $(VENV) .cache .jobyard

$(READY): pyproject.toml Makefile
	@tests/install-environment $(PYTHON) $(VENV)
	@touch $@
