# `make demo` and `make test` do everything a bare checkout needs; Python 3.11+ and make are enough.
PYTHON ?= python3
BIN = .venv/bin
STAMP = .venv/.installed

.PHONY: setup demo test lint format lock prices

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@echo "setting up .venv, once: a minute or two"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup
	$(BIN)/trimtab demo

test: setup
	$(BIN)/pytest -n 2 --dist worksteal

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Needs uv. The lock names versions and hashes, and no registry.
lock:
	uv pip compile --universal --python-version 3.11 pyproject.toml --extra openai --extra learn --extra hosts --group dev \
		--no-emit-index-url --no-header --generate-hashes -o requirements.lock

# After an update of genai-prices: writes what it says of the big vendors' models, which most commands read instead of it.
prices: setup
	$(BIN)/python -c "from trimtab.models.genai import write; write()"

-include bench/bench.mk
