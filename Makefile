# `make book` and `make test` are the two that matter; `make help` lists all.
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
NO_VENV := Python cannot make an environment here. On Debian and Ubuntu: apt-get install python3-venv
# Networks train in processes of one thread each: two threads on small tensors only wait for each other.
export OMP_NUM_THREADS := 1
# Whatever the encoding of the system: not all that is run here names its own.
export PYTHONUTF8 := 1

.PHONY: help setup execute book pdf readers chapter test quick quick-notebooks quick-tests oldest lint machines paper
.PHONY: lab edit sync offline clean
.DEFAULT_GOAL := help

help: ## these lines
	@awk -F ':[^#]*## ' '/^[a-z]+:[^#]*## / {printf "%-10s%s\n", $$1, $$2}' Makefile

setup: .venv/.ready ## make the environment in .venv

# The mark is written last: an installation that was stopped half way is taken up again.
.venv/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, and $(PYTHON) is {sys.version.split()[0]}: make PYTHON=...")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(NO_VENV)' >&2; exit 1; }
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv --clear .venv || { echo '$(NO_VENV)' >&2; exit 1; }
	@$(BIN)/python book/torch_build.py $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

execute: .venv/.ready ## execute the notebooks that are stale, into .executed
	@$(BIN)/python book/execute.py

book: execute ## build the site from the executed notebooks, and print where it is
	@$(BIN)/python book/publish.py

pdf: book ## print the whole book as one file, with chromium
	@$(BIN)/python book/pdf.py

readers: .venv/.ready ## after `make book`: commit its notebooks to the branch that Binder and Colab open
	@$(BIN)/python book/branch.py commit

chapter: .venv/.ready ## execute one chapter and build its page: make chapter NAME=01-identity
	@$(BIN)/python book/execute.py .executed "$(NAME)"
	@$(BIN)/python book/publish.py "$(NAME)"

test: execute ## execute the notebooks that are stale, then run all other tests
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal tests

OLDEST := numpy==2.0.2 pandas==2.2.2
# Keeps the words of two jobs apart, which the make of macOS, of 2006, cannot.
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

quick: .venv/.ready ## everything at the fast scale, in a few minutes, without the slow tests
	@NALU_SCALE=fast $(MAKE) --no-print-directory -j2 $(SYNC) quick-notebooks quick-tests

quick-notebooks:
	@$(BIN)/python book/execute.py .executed-fast

quick-tests:
	@$(BIN)/pytest -q -m 'not slow and not browser' tests

# As on Colab; that pandas needs pytz. Laid before those of the environment, so that it takes no other environment.
oldest: .venv/.ready ## test the package with the oldest NumPy and pandas that it takes, on Python 3.11 or 3.12
	@rm -rf .oldest
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target .oldest $(OLDEST) pytz==2025.2
	@PYTHONPATH=$(CURDIR)/.oldest $(BIN)/pytest -q -m 'not slow' tests/units tests/tasks tests/statistics tests/engine \
	  tests/training tests/experiments tests/book/test_tables.py tests/book/test_claims.py

lint: .venv/.ready ## what is checked before each commit, of all files
	@$(BIN)/pre-commit run --all-files

machines: .venv/.ready ## whether other processors and compilers, and node, train to the same bits (minutes)
	@$(BIN)/python tests/machines.py

paper: .venv/.ready ## train what takes longer than a chapter may, and store it in nalu/book/results
	$(BIN)/python book/tables/language.py
	$(BIN)/python book/tables/single_module.py

lab: .venv/.ready ## open the chapters in JupyterLab, as copies of your own in lab/
	@$(BIN)/python book/lab.py $(LAB)

edit: sync ## open the chapters' sources in JupyterLab; saving there writes text and notebook
	@JUPYTER_PREFER_ENV_PATH=1 $(BIN)/jupyter lab $(LAB)

sync: .venv/.ready ## make each text in book/ and its notebook the same, from the one that was edited
	@$(BIN)/python book/pairs.py

offline: book/_static/offline tests/npm ## fetch the front-end files, so that the site asks nothing of other hosts

book/_static/offline tests/npm: book/offline.sh
	bash book/offline.sh

clean: ## remove what was executed and built; the environment and your copies in lab/ stay
	rm -rf _build .executed .executed-fast .oldest book/_static/offline tests/npm benchmarks/npm
