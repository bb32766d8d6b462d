# make demo   sets up the core and reads a photo and a short video
# make test   sets up everything and runs every check
# make check  lint, format, types and layers only: what runs before each commit
# make docs   builds the pages of docs/ into out/site, to be opened or served from there

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: demo test check docs

demo: $(VENV)/core
	$(BIN)/mien demo

test: check
	@sh tests/system.sh
	$(BIN)/pytest --numprocesses=auto --dist=loadfile

check: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# mkdocs-material is kept up until May 2027, and says so at each start unless told not to. Its successor, zensical 0.1,
# reads mkdocs.yml but runs no hooks: commands and cards would be missing.
docs: $(VENV)/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --site-dir out/site
	@echo out/site/index.html

# The files `python`, `core` and `dev` in .venv say what is installed, so that nothing is installed twice.

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	"mien needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/core: pyproject.toml | $(VENV)/python
	@echo "installing the core and scikit-image into $(VENV), about 700 MB"
	$(PIP) --editable . scikit-image
	@touch $@

# torch first and exactly, so that pip takes a CPU build where one is offered: anything looser, or kornia before it,
# takes the newest, which on Linux brings gigabytes of CUDA.
$(VENV)/dev: pyproject.toml | $(VENV)/python
	@echo "installing everything for development into $(VENV), about 2 GB"
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[dev]'
	@touch $(VENV)/core $@
