# What the project can do with only Python (3.11 or newer), make and git; `make` lists it.
# Everything is installed into .venv inside this folder, from the Python package index alone.

# The first Python that works and is new enough: a name that is there but fails is passed over.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	"$$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && { echo "$$name"; break; }; done)
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
DEMO := .demo
RUFF := $(BIN)/ruff

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo pictures test check bench peers faults pandas-suite docs format clean

help: ## list what make can do here
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1  |\2/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{printf "%-21s%s\n", $$1, $$2}'
	@echo
	@echo "  PYTHON=…  the Python to use    JOBS=$(JOBS)  test processes"

venv: $(STAMPS)/check ## make the environment in .venv with all that tests and checks need

demo: export XDG_CONFIG_HOME := $(abspath $(DEMO))/settings
demo: $(STAMPS)/demo ## track a pipeline over real data, ask and draw what it did, prove it
	rm -rf $(DEMO)
	$(BIN)/lineage audit init --name demo.example/flights --store $(DEMO)/lineage
	$(BIN)/python examples/flights.py --folder $(DEMO)
	$(BIN)/lineage product list --store $(DEMO)/lineage
	$(BIN)/lineage env list --store $(DEMO)/lineage
	-$(BIN)/lineage replay delay_by_carrier --store $(DEMO)/lineage --yes
	$(BIN)/python examples/team.py --folder $(DEMO)
	$(BIN)/lineage audit verify --store $(DEMO)/lineage
	$(BIN)/python examples/tampered.py $(DEMO)/lineage

pictures: demo ## draw the pictures of README.md and docs/ anew, from the demo
	$(BIN)/lineage graph --columns --store $(DEMO)/lineage --output $(DEMO)/columns.svg
	sed 's|$(CURDIR)/||g' $(DEMO)/lineage.svg > docs/images/flights.svg
	sed 's|$(CURDIR)/||g' $(DEMO)/weather.svg > docs/images/weather.svg
	sed 's|$(CURDIR)/||g' $(DEMO)/columns.svg > docs/images/columns.svg

test: $(STAMPS)/test ## run all tests that need no system package; say which were left out
	$(BIN)/python -m pytest -n $(JOBS)

check: $(STAMPS)/check ## format, lint, types, import floors, dependencies, tests with coverage
	$(RUFF) format --check .
	$(RUFF) check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/python -m pytest -n $(JOBS) --cov --cov-report=term --cov-fail-under=92

bench: $(STAMPS)/test ## print the benchmark tables of docs/performance.md and docs/decisions.md
	@for file in tests/benchmarks/bench_*.py; do \
		name=$$(basename "$$file" .py); \
		$(BIN)/python -m "tests.benchmarks.$$name" || exit 1; done

peers: $(STAMPS)/peers ## print what recording a call costs here and with other packages
	$(BIN)/python -m tests.benchmarks.bench_peers

faults: $(STAMPS)/test ## run the fault campaigns of docs/reliability.md in full; some need FUSE, root
	FAULTS=full $(BIN)/python -m tests.faults
	FAULTS=full $(BIN)/python -m pytest -s -k "reader or surroundings or minute or EveryOrder or killed" \
		tests/faults/test_readers.py tests/faults/test_surroundings.py tests/faults/test_clocks.py \
		tests/test_background.py tests/test_compaction.py tests/test_killed.py

pandas-suite: $(STAMPS)/test ## run pandas' own tests under capture: no new failure
	$(BIN)/python -m tests.pandas_suite --keep .cache/pandas-suite

docs: $(STAMPS)/docs ## build the documentation into site/
	$(BIN)/zensical build --clean

format: $(STAMPS)/check ## format the code and mend what ruff can mend
	$(RUFF) format .
	$(RUFF) check --fix .

clean: ## remove the environment, the demo and all that was built
	rm -rf $(VENV) $(DEMO) site build dist htmlcov .coverage .coverage.* \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .cache

# Each stamp is a set of packages, installed once and again when pyproject.toml changes.

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { \
		echo "No Python of at least 3.11 with venv and ensurepip was found." >&2; \
		echo "Install one (on Debian: python3 and python3-venv), or say make PYTHON=…" >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[demo,audit,server,client]'
	@touch $@

$(STAMPS)/test: $(STAMPS)/venv pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group test --group faults
	@touch $@

$(STAMPS)/check: $(STAMPS)/test pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group test --group faults --group check
	@touch $@

$(STAMPS)/peers: $(STAMPS)/test pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group test --group faults --group peers
	@touch $@

$(STAMPS)/docs: $(STAMPS)/venv pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group docs
	@touch $@
