# Each target sets up what it needs by itself and is quick the second time.
PYTHON ?= python3
VENV   ?= .venv
# More than there are processors: much of a test is waiting for another process.
JOBS   ?= $(shell echo $$(( $$(nproc) * 3 / 2 )))
BIN    := $(VENV)/bin
INSTALL := scripts/install $(PYTHON) $(VENV)

.PHONY: demo test test-all test-ceph cover check hosts bench soak clean

demo: $(VENV)/.stamp-base
	$(BIN)/python examples/wordcount.py

# What `make check` runs is not run again here.
test: $(VENV)/.stamp-dev
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal --ignore=tests/test_tidy.py $(ARGS)

# The long sweeps, of which `make test` plays a short share: all faults and kills, planted bugs, 2,000 seeds of the swarm.
# More of them at a time: what was frozen is waited for until its Lease has run out.
test-all: JOBS = $(shell echo $$(( $$(nproc) * 2 )))
test-all: $(VENV)/.stamp-dev
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal -m sweep --timeout=600 $(ARGS)

# Keys in Ceph: a monitor and an OSD, in memory; where Debian's packages of it are not there, it says so.
test-ceph: $(VENV)/.stamp-dev
	$(BIN)/python scripts/with_ceph.py $(BIN)/python -m pytest -m sweep tests/ceph $(ARGS)

# `make test`, and which lines of what decides they reach; it takes a fifth longer.
cover:
	$(MAKE) test ARGS="--cov --cov-report=term $(ARGS)"

check: $(VENV)/.stamp-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_tidy.py

# FaaSFlow's genome on three hosts of namespaces, Ray on them, one killed in the middle; it takes root.
hosts: $(VENV)/.stamp-dev
	$(BIN)/python -m experiments faasflow/ray_hosts --quick $(ARGS)

bench: $(VENV)/.stamp-bench
	$(BIN)/python -m bench $(ARGS)

# Many seeds of the simulator, bounded by time; the next call goes on. ARGS="--minutes 10 --seeds 50000".
soak: $(VENV)/.stamp-dev
	$(BIN)/python -m weftrun.testing.soak $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage dist

$(VENV)/.stamp-base: pyproject.toml constraints.txt scripts/install
	$(INSTALL) .
	touch $@

$(VENV)/.stamp-dev: pyproject.toml constraints.txt scripts/install scripts/servers
	$(INSTALL) .[dev,examples]
	scripts/servers $(VENV)
	touch $@ $(VENV)/.stamp-base

$(VENV)/.stamp-bench: pyproject.toml constraints.txt scripts/install
	$(INSTALL) .[bench]
	touch $@
