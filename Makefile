# `make` or `make help` lists what there is. Needs Python 3.11 or newer, git and make; everything else is installed into .venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast coverage types docs examples config-docs test-kills test-dvc test-versions test-wheel test-lowest test-cluster \
	lint lock bench light-sam clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := workflow,dvc,dev,docs
# For instance PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" installs wheels without CUDA libraries.
PIP_FLAGS ?=
UV_FLAGS ?= $(PIP_FLAGS)
CORES ?= all
WORKERS ?= 2
DEMO := snakemake --cores $(CORES)

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(READY)  ## make .venv with the pinned dependencies (does nothing if it is up to date)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "apsam needs Python 3.11 or newer; none found. Name one: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

demo: $(READY)  ## run the default workflow: scenes, pseudo-masks, maps, report
	@echo "$(DEMO)"
	@PATH="$(abspath $(BIN)):$$PATH" $(DEMO)
	@echo "Open results/demo/report/index.html. Again, or with other settings: source $(BIN)/activate && $(DEMO)"

test: $(READY)  ## run all tests, WORKERS=2 in parallel
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_FLAGS)

test-fast: $(READY)  ## run the tests that do not run the workflow
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_FLAGS)

coverage: $(READY)  ## run the fast tests, with the share of apsam/ that they reach
	$(BIN)/python -m pytest -m "not slow" --cov --cov-report=term:skip-covered --cov-report=xml $(PYTEST_FLAGS)

test-dvc: $(READY)  ## DVC with every kind of cache, its experiments, metrics and plots, your own scenes (minutes)
	$(BIN)/python -m pytest -n $(WORKERS) tests/workflow/dvc_matrix.py $(PYTEST_FLAGS)

test-kills: $(READY)  ## kill jobs and Snakemake at random moments, run on, compare with an undisturbed run (minutes)
	$(BIN)/python -m pytest tests/workflow/kill_anything.py --quiet --capture=no

test-versions: $(READY)  ## run the workflow with the oldest, a middle and the newest supported Snakemake (minutes)
	$(BIN)/python -m pytest -n $(WORKERS) tests/workflow/versions.py $(PYTEST_FLAGS)

# An environment of their own, in a temporary folder that goes afterwards. UV_FLAGS as PIP_FLAGS.
test-wheel: $(READY)  ## build the wheel, install it into an empty environment, map a scene with it (minutes)
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(BIN)/uv build --quiet --wheel --out-dir "$$folder/wheel" .; \
	$(BIN)/uv venv --quiet --python $(BIN)/python "$$folder/venv"; \
	$(BIN)/uv pip install --quiet --python "$$folder/venv/bin/python" $(UV_FLAGS) "$$folder"/wheel/*.whl; \
	"$$folder/venv/bin/python" tests/installed_package.py

test-lowest: $(READY)  ## the same with the lowest versions that pyproject.toml allows (minutes, 4 GB to download)
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(BIN)/uv venv --quiet --python $(BIN)/python "$$folder/venv"; \
	$(BIN)/uv pip install --quiet --python "$$folder/venv/bin/python" --resolution lowest-direct $(UV_FLAGS) ".[train,report]"; \
	"$$folder/venv/bin/python" tests/installed_package.py

test-cluster: $(READY)  ## run the workflow through a real SLURM on this machine (installs Debian's packages; needs root)
	tests/cluster/install_slurm.sh
	$(BIN)/python -m pytest tests/cluster $(PYTEST_FLAGS)

lint: $(READY)  ## ruff, import layers, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/snakefmt --check Snakefile rules
	PATH="$(abspath $(BIN)):$$PATH" snakemake --lint

types: $(READY)  ## mypy on apsam and workflow_support
	$(BIN)/mypy

docs: $(READY)  ## build the documentation site in site/; fails on a broken link. Needs no network
	NO_MKDOCS_2_WARNING=1 PATH="$(abspath $(BIN)):$$PATH" $(BIN)/mkdocs build --strict
	@echo "Open site/index.html"

examples: $(READY)  ## run the notebooks of examples/ on the demo's run and keep their outputs (after make demo)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter nbconvert --to notebook --execute --inplace examples/*.ipynb

config-docs: $(READY)  ## write docs/configuration.md and config/schema.json from the schema of the settings
	$(BIN)/python -m workflow_support.config_page > docs/configuration.md
	$(BIN)/apsam config schema > config/schema.json

# Existing pins stay where they still fit; LOCK_FLAGS=--upgrade takes the newest versions.
lock: $(READY)  ## refresh constraints.txt from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate --custom-compile-command "make lock" $(LOCK_FLAGS) \
		pyproject.toml --output-file constraints.txt
	$(BIN)/python -m workflow_support.conda_env

# BENCH_FLAGS=--short for some minutes, BENCH_FLAGS="encode floor --device cuda --sam vit_h" on a GPU.
bench: $(READY)  ## benchmark speed and memory against alternatives (20 minutes on two cores)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[$(EXTRAS),bench]'
	$(BIN)/python -m benchmarks $(BENCH_FLAGS)

light-sam: $(READY)  ## train the light SAM that comes with the package (78 minutes on two cores)
	$(BIN)/python scripts/train_light_sam.py

clean:  ## remove results, logs and caches; .venv stays
	rm -rf results logs site .snakemake .pytest_cache .ruff_cache .mypy_cache .coverage coverage.xml
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
