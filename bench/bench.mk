# Benchmarks; bench/README.md says what each prints. Included by the Makefile.
PEERS = bench/.venv/.installed

.PHONY: bench-setup bench-engine

bench-setup: setup $(PEERS)

$(PEERS): bench/requirements.txt
	$(PYTHON) -m venv bench/.venv
	bench/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@touch $(PEERS)

bench-engine: bench-setup
	$(BIN)/python bench/engine.py
