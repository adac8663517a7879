# Everything runs in .venv, which the first call makes; PYTHON=... chooses the interpreter.
# JOBS=... is how many processes test; each computes on one core.
JOBS := 2
VENV := .venv
BIN := $(VENV)/bin
ENV := env -u LD_LIBRARY_PATH -u _ROS_WHEELS_BOOTSTRAP_COMPLETE -u PYTHONPATH -u AMENT_PREFIX_PATH \
       ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST PYTHONUNBUFFERED=1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-ros test-slow check lint types contracts bench docs clean

help:  ## Print what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## Make the virtual environment (all other targets do it themselves)
	@python3 tools/bootstrap.py --venv $(VENV)

demo: setup  ## Generate a walk, run all nodes on it, report in out/demo
	@$(ENV) $(BIN)/dlcv demo --output out/demo

test: setup check  ## Run the checks and the whole test suite, ROS included
	$(ENV) DLCV_REQUIRE_ROS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

test-ros: setup  ## Run the tests that need ROS alone
	$(ENV) DLCV_REQUIRE_ROS=1 $(BIN)/python -m pytest -q -m "ros and not slow"

test-slow: setup  ## Run the tests that take minutes
	$(ENV) DLCV_REQUIRE_ROS=1 $(BIN)/python -m pytest -q -m slow --timeout 1800

check: lint types contracts  ## Run linters, type checker and import contracts

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

bench: setup  ## Measure speed; prints ratios within one run, with host and date
	@$(ENV) $(BIN)/dlcv benchmark --bare --references
	@for file in benchmarks/*.py; do $(ENV) $(BIN)/python $$file || exit 1; done

docs: setup  ## Write the generated tables into README.md, config/ and docs/
	@$(ENV) $(BIN)/dlcv nodes --write docs/reference.md --config config
	@$(ENV) $(BIN)/dlcv bench cards README.md docs/lecture.md $(wildcard docs/models/*.md)

clean:  ## Remove what was built; keeps .venv
	rm -rf build install log out dist .pytest_cache .mypy_cache .ruff_cache
