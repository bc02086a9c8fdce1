# Two commands: `make smoke` runs the whole pipeline on generated data, `make test` all tests that
# this machine can run. Both set up .venv first; nothing else is needed than Python 3.11 to 3.13.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
# OMP_NUM_THREADS, which many set for torch, would be the answer of nproc.
CORES ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
BIN := .venv/bin
# Commands of the rules are found beside the Python that runs them.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
# Of `make gpu-check`: what PYTHON says, or else .venv's, if there is one; it needs torch with CUDA,
# and no network. PYTHONPATH is for a Python that does not have this package.
GPU_PYTHON = PYTHONPATH="$(CURDIR)/src:$$PYTHONPATH" $(if $(filter-out file,$(origin PYTHON)),$(PYTHON),$(or $(wildcard $(BIN)/python),$(PYTHON)))
# `anew` if .venv came with a copy of another clone: its commands would run that one's code.
COPIED := $(shell [ ! -e .venv/.ready ] || { . $(BIN)/activate && [ "$$VIRTUAL_ENV" -ef .venv ]; } || echo anew)
# "12 of 127 steps (9%): Training ...", and everything from an error on. `set -o pipefail` before it
# lets a failed run fail: make 3.81, which macOS has, knows no .SHELLFLAGS to say so for all.
QUIETLY := --quiet host reason
A_LINE_A_STEP := 2>&1 | $(BIN)/python -u -m pointrend_repro.pipeline.progress_lines

.PHONY: anew help setup smoke smoke-papers test slurm-test gpu-check lint site schemas package lock clean

help: ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.ready ## install everything into .venv, pinned by requirements.lock

.venv/.ready: requirements.lock pyproject.toml $(COPIED)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' \
		|| { echo "error: requirements.lock is for Python 3.11 to 3.14, and $(PYTHON) is another; say PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || PYTHON=$(PYTHON) .ci/install-venv
	$(PYTHON) -m venv $(if $(COPIED),--clear ).venv
	@# Of the lock before: pip would leave it, and all of OpenCV's wheels write the same files.
	$(BIN)/python -m pip uninstall --quiet --yes --disable-pip-version-check opencv-python-headless
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

smoke: .venv/.ready ## the whole pipeline on generated data: ends in reports/smoke/index.html
	@set -o pipefail; $(RUN) snakemake $(QUIETLY) --cores $(CORES) --config preset=smoke $(A_LINE_A_STEP)
	@echo "Table 1, from generated data (these numbers mean nothing): reports/smoke/index.html"

smoke-papers: .venv/.ready ## the same for all papers, beside what smoke has made
	@set -o pipefail; $(RUN) snakemake $(QUIETLY) --cores $(CORES) --config preset=smoke papers=pointrend,mask_rcnn,sharpmask,3dfuture $(A_LINE_A_STEP)
	@echo "All papers, from generated data (these numbers mean nothing): reports/smoke/index.html"

test: .venv/.ready lint ## style, types, and all tests that this machine can run
	@$(RUN) pytest --numprocesses $(CORES) --dist worksteal -m "not needs_slurm"

slurm-test: .venv/.ready ## interrupted trainings on a Slurm that the tests start; takes minutes
	@.ci/install-slurm
	@$(RUN) pytest -m needs_slurm tests/slurm

gpu-check: ## all that has to be looked at on a GPU, in under ten minutes; QUICK=1 tries it on a CPU
	@$(GPU_PYTHON) -m benchmarks.gpu_check $(if $(QUICK),--device cpu --quick)

lint: .venv/.ready ## style and types only
	@$(RUN) ruff check
	@$(RUN) ruff format --check --quiet
	@$(RUN) mypy
	@$(RUN) lint-imports --no-cache --no-logo
	@$(RUN) snakefmt --check Snakefile workflow
	@$(RUN) snakemake --lint

site: .venv/.ready ## the documentation as pages that open from disk: site/index.html
	@$(RUN) python -m website.build
	@echo "The documentation: site/index.html"

schemas: .venv/.ready ## schemas/*.json, by which editors check config/, after settings have changed
	@$(BIN)/python -m pointrend_repro.commands.schemas schemas

package: ## wheel and sdist in dist/, checked as PyPI would (needs a network)
	@PYTHON=$(PYTHON) .ci/check-package

lock: ## resolve the newest allowed versions again (needs uv)
	uv pip compile pyproject.toml --extra dev --extra benchmarks --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --upgrade -c constraints.txt \
		-o requirements.lock

clean: ## remove what the smoke run made
	rm -rf results/smoke reports/smoke data/generated_* logs/generated_*
