# Benchmarks; bench/README.md says what each prints. Included by the Makefile.
PEERS = bench/.venv/.installed

.PHONY: bench-setup bench-engine bench-statistics bench-chaos bench-costs bench-replay

bench-setup: setup $(PEERS)

$(PEERS): bench/requirements.txt
	$(PYTHON) -m venv bench/.venv
	bench/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@touch $(PEERS)

bench-engine: bench-setup
	$(BIN)/python bench/engine.py

# About half an hour; needs no peers. bench/chaos/README.md says what each promises.
CHAOS = boundaries trouble hostile budget waits any_json

bench-chaos: setup
	for name in $(CHAOS); do $(BIN)/python bench/chaos/$$name.py || exit 1; done

# Needs no peers; 1 GB of room in the temporary folder.
bench-costs: setup
	$(BIN)/python bench/costs.py

# Needs no peers: their rules are formulas, and the bench has them.
bench-statistics: setup
	$(BIN)/python bench/statistics.py

# Needs no peers.
bench-replay: setup
	$(BIN)/python bench/replay.py

# Needs no peers.
.PHONY: bench-prices
bench-prices: setup
	$(BIN)/python bench/prices.py

# Needs no peers.
.PHONY: bench-money
bench-money: setup
	$(BIN)/python bench/money.py

# Needs the recorded arrivals beside the checkout, and no peers.
.PHONY: bench-watch
bench-watch: setup
	$(BIN)/python bench/watch.py

# The peer is installed with npm where it is not there; 1 GB of room in the temporary folder.
.PHONY: bench-transcripts
bench-transcripts: setup
	$(BIN)/python bench/transcripts.py

# Needs npm and, for managed settings, root.
.PHONY: bench-terminal
bench-terminal: setup
	$(BIN)/python bench/terminal.py 80

# Needs root, iproute2 and sshd, and no peers. bench/chaos/README.md says what it promises.
.PHONY: bench-rollouts
bench-rollouts: setup
	$(BIN)/python bench/chaos/rollouts.py

# Reads the recorded arrivals beside the checkout where they are; needs no peers.
.PHONY: bench-gates
bench-gates: setup
	$(BIN)/python bench/rollouts.py
