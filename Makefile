# segshift: `make` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXP ?= gta2cityscapes
ARGS ?=
export NO_MKDOCS_2_WARNING := 1
STAMP := $(VENV)/.segshift-setup

data_option = $(if $(DATA),--data "$(DATA)")
store_option = $(if $(STORE),--store "$(STORE)")
options = $(data_option) $(store_option) $(if $(PROFILE),--profile $(PROFILE))

.DEFAULT_GOAL := help
.PHONY: help setup sweep plan leaderboard status doctor test test-all check docs docs-serve format bench bench-gpu dashboard mlflow clean

help:  ## list the targets
	@echo "segshift: domain adaptation and robustness in semantic segmentation"
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16
	@echo
	@echo "  make sweep EXP=gta2cityscapes               a miniature where there is no data"
	@echo "  make sweep EXP=gta2cityscapes DATA=/data    real data, with GPUs"
	@echo "  make sweep EXP=gta2cityscapes ARGS='matrix.seed=[0]'"

setup: $(STAMP)  ## make .venv with everything (OPS=1: build full mmcv too)
	@$(if $(OPS),PYTHON="$(BIN)/python" bash tools/build_mmcv.sh)
	@echo
	@echo "Ready. Next:   make sweep EXP=gta2cityscapes     (about 4 minutes on 2 cores, no data needed)"
	@echo "Then:          make mlflow | make test | $(BIN)/segshift --help"

$(STAMP): pyproject.toml constraints.txt tools/install.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash tools/install.sh
	@touch $@

$(BIN)/segshift:
	@echo "There is no $(VENV) yet: run  make setup  first." >&2; exit 1

sweep: | $(BIN)/segshift  ## run an experiment to its leaderboard: EXP=, DATA=, PROFILE=, ARGS='key=value'
	@$(BIN)/segshift sweep $(EXP) $(options) $(ARGS)

plan: | $(BIN)/segshift  ## show what a sweep would run: EXP=
	@$(BIN)/segshift plan $(EXP) $(options) $(ARGS)

leaderboard: | $(BIN)/segshift  ## make the leaderboard from the records: EXP=
	@$(BIN)/segshift leaderboard $(EXP) $(options) $(ARGS)

status: | $(BIN)/segshift  ## show what the store holds
	@$(BIN)/segshift status $(store_option)

doctor: | $(BIN)/segshift  ## check versions, data, GPUs, disk and ports
	@$(BIN)/segshift doctor $(data_option) $(store_option)

dashboard: | $(BIN)/segshift  ## find the Ray dashboard of the running sweep
	@$(BIN)/segshift dashboard $(store_option)

mlflow: | $(BIN)/segshift  ## serve the store's MLflow runs on http://127.0.0.1:5000
	@$(BIN)/segshift mlflow $(store_option)

test: | $(BIN)/segshift  ## the tests (not the slow ones)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow and not gpu" -n 2 --dist loadfile

test-all: | $(BIN)/segshift  ## every test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

check: | $(BIN)/segshift  ## ruff, mypy, import-linter, the documentation built strictly
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@site=$$(mktemp -d) && trap 'rm -rf "$$site"' EXIT && $(BIN)/python -m mkdocs build --strict --quiet --site-dir "$$site"

docs: | $(BIN)/segshift  ## build the documentation into site/ (open site/index.html)
	@$(BIN)/python -m mkdocs build --strict --quiet --clean
	@echo "Open $(CURDIR)/site/index.html"

docs-serve: | $(BIN)/segshift  ## show the documentation on http://127.0.0.1:8000, as it is edited
	@$(BIN)/python -m mkdocs serve --quiet --livereload --dev-addr 127.0.0.1:8000

format: | $(BIN)/segshift  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: | $(BIN)/segshift  ## measure: planning, scheduling, cached sweeps, the mini sweep, training steps, test-time methods, noisy labels, benchmarks, corruptions
	@$(BIN)/python tools/bench.py

bench-gpu: | $(BIN)/segshift  ## measure on a GPU: DAFormer's step in the paper's configuration, test-time methods, ADELE's step, benchmarks
	@$(BIN)/python tools/bench_uda.py gpu
	@$(BIN)/python tools/bench_tta.py gpu
	@$(BIN)/python tools/bench_noise.py gpu
	@$(BIN)/python tools/bench_benchmark.py gpu

clean:  ## remove caches and the environment (never the store)
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
