# Everything is installed into .venv; nothing but Python >= 3.11 and make is needed beforehand.
PYTHON ?= python3
BIN := .venv/bin
EXTRA ?=
QUICKSTART ?= runs/quickstart
WORKERS ?= 2

.PHONY: install quickstart test test-fast lint format docs clean

install: .venv/.installed-dev

# The package and what it runs on. EXTRA=cuda13 or EXTRA=tpu adds an accelerator.
.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "flaxgan needs Python 3.11 or newer; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.$(if $(EXTRA),[$(EXTRA)])'
	@touch $@

# The same with what tests and lint need.
.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev$(if $(EXTRA),$(comma)$(EXTRA))]'
	@touch $@

comma := ,

quickstart: .venv/.installed
	$(BIN)/python train.py --config configs/quickstart.py --workdir $(QUICKSTART)

test: .venv/.installed-dev lint
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

# Between edits: what needs no training of whole families, no other processes and no golden networks.
test-fast: .venv/.installed-dev
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile -m "not parity and not families and not multihost and not slow"

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, in docs/_build/html. Warnings are errors.
docs: .venv/.installed-docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

.venv/.installed-docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[docs$(if $(EXTRA),$(comma)$(EXTRA))]'
	@touch $@

clean:
	rm -rf .venv .jax_cache .pytest_cache .ruff_cache .mypy_cache .import_linter_cache build dist docs/_build *.egg-info
