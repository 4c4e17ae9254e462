# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
# They make their own .venv; nothing outside this folder changes.

PYTHON ?= python3
UV := .tools/bin/uv
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test servers faults check lint fix types bench train docs constraints clean

help: ## what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Windvane needs Python 3.11 or newer; found $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check uv

.venv/pyvenv.cfg: | $(UV)
	@$(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" .venv

.venv/.core: deploy/requirements/core.txt pyproject.toml | .venv/pyvenv.cfg
	@echo "Installing the core (onnxruntime, no torch) into .venv ..."
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r deploy/requirements/core.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/.all: deploy/requirements/all.txt pyproject.toml | .venv/pyvenv.cfg
	@echo "Installing everything the tests use, torch included (a few GB the first time) into .venv ..."
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r deploy/requirements/all.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@ .venv/.core

demo: .venv/.core ## replay a synthetic bilingual sample and open the page (make demo ARGS=--check for scripts)
	@$(BIN)/windvane demo $(ARGS)

test: .venv/.all ## every test that can run on this machine: a real browser, Kafka, Elasticsearch and PostgreSQL included
	@deploy/ensure-chromium
	@deploy/ensure-java
	@$(BIN)/python -m tests.connected.servers --fetch
	@deploy/run-tests $(ARGS)

faults: .venv/.all ## the faults at full size: 100 000 texts, 50 kills, servers stopped and started
	@deploy/ensure-java
	@WINDVANE_FAULTS_TEXTS=$${WINDVANE_FAULTS_TEXTS:-100000} WINDVANE_FAULTS_KILLS=$${WINDVANE_FAULTS_KILLS:-50} \
	  WINDVANE_POISON_TEXTS=$${WINDVANE_POISON_TEXTS:-20000} WINDVANE_REQUIRE_SERVERS=1 \
	  $(BIN)/pytest -q -s tests/connected/test_faults.py tests/connected/test_poison.py $(ARGS)

servers: .venv/.all ## start Kafka, Elasticsearch and PostgreSQL without Docker and print their addresses; Ctrl-C stops them
	@deploy/ensure-java
	@exec $(BIN)/python -m tests.connected.servers $(ARGS)

check: .venv/.all lint types ## lint, types, unit and contract tests: no network, no server, under a minute
	@$(BIN)/pytest -q -m "not slow and not browser and not connected and not data and not gpu" tests/unit tests/contract $(ARGS)

lint: .venv/.all
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

fix: .venv/.all ## let the linter mend what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: .venv/.all
	@$(BIN)/mypy

bench: .venv/.all ## the benchmarks, as ratios measured side by side
	@for b in inference store simulator; do $(BIN)/python -m tests.benchmarks.$$b $(ARGS) || exit 1; done

train: .venv/.all ## fine-tune the released classifier again on ../shared/data (or DATA=...), in its three runs
	@$(BIN)/windvane train models/configs/release.toml --data $${DATA:-../shared/data} --out runs $(ARGS)
	@$(BIN)/windvane train models/configs/release-2.toml --data $${DATA:-../shared/data} --out runs $(ARGS)
	@$(BIN)/windvane train models/configs/release-3.toml --data $${DATA:-../shared/data} --out runs $(ARGS)
	@$(BIN)/python -m models.refit --work runs/windvane-zh-en-3 --heads finese
	@$(BIN)/python -m models.publish --work runs/windvane-zh-en-3 --out runs/windvane-zh-en-3/release

docs: .venv/.all ## write the generated pages again (command-line help, JSON Schemas)
	@$(BIN)/python -m docs.generate

constraints: | $(UV) ## pin versions and hashes again from pyproject.toml: everything first, the core to the same versions
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml --extra build --extra all --extra dev -o deploy/requirements/all.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml --extra build -c deploy/requirements/all.txt -o deploy/requirements/core.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml --extra build --extra servers -c deploy/requirements/all.txt -o deploy/requirements/server.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml --extra build --extra servers --extra models -c deploy/requirements/all.txt \
	  -o deploy/requirements/server-cuda.txt
	@echo uv | $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate - -o deploy/requirements/uv.txt

clean: ## remove what was installed and built here
	@rm -rf .venv .tools build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
