# make demo: see a salon synced.   make test: all tests.   Everything else is for those who work on it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLIENTS ?= 1500

.PHONY: setup demo test check audit-dependencies dev format screenshots clean

setup: $(STAMP)

# uv when it is on PATH, else venv and pip; both read the same constraints.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "phorest_ghl needs Python 3.11, 3.12 or 3.13; this is %s. Name another with PYTHON=python3.12 make setup." % sys.version.split()[0])'
	@if command -v uv >/dev/null 2>&1; then \
		[ -x $(BIN)/python ] || uv venv --quiet --python $(PYTHON) $(VENV); \
		uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,bench]'; \
	else \
		[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV); \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'; \
	fi
	@touch $@

demo: setup
	@$(BIN)/phorest-ghl demo --clients $(CLIENTS)

# Pins, licences, withdrawn releases and, where pip-audit and its database can be had, known vulnerabilities.
audit-dependencies: setup
	@$(BIN)/python -m phorest_ghl_tests.dependencies

dev: setup
	@$(BIN)/phorest-ghl dev

test: setup
	@$(BIN)/python -m phorest_ghl_tests

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The README's pictures, from a real demo in a real browser.
screenshots: setup
	PHOREST_GHL_TEST_SCREENSHOTS=docs/images $(BIN)/python -m pytest -q -m browser

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
