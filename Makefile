# Hat Manifesto. `make help` lists the targets. Options: PYTHON=python3.12, PYTEST_ARGS="-k journal", WORKERS=1, BENCH_ARGS=--json
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run demo test needs lint test-compiled test-interpreted sanitize bench soak fuzz lock clean

PYTEST_ARGS ?=
WORKERS ?= auto
RUN_ARGS ?=
BENCH_ARGS ?=
FUZZ_SECONDS ?= 300
UV := uv==0.13.9
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest $(PYTEST_ARGS)
# a file's tests stay together: what they share is made once
SPREAD := -n $(WORKERS) --dist loadfile

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv: locked dependencies and a compiled build; only what changed is done again
	@.ci/environment

run: setup ## paper trading: a maker on the loopback exchange of this machine (RUN_ARGS="--for 5m")
	@$(BIN)/hat run $(RUN_ARGS)

demo: setup ## a backtest from a recording (or a made market) to a report
	@$(BIN)/hat demo

test: needs lint test-compiled test-interpreted ## lint, types, import arrows, and the tests of both builds

needs: # what only tests need: a PostgreSQL server, which they start themselves
	@.ci/environment tests

lint: setup ## ruff, mypy --strict, import arrows
	@echo "lint: ruff check"
	@$(BIN)/ruff check .
	@echo "lint: ruff format --check"
	@$(BIN)/ruff format --check .
	@echo "lint: mypy --strict src"
	@$(BIN)/mypy --strict src
	@echo "lint: import arrows"
	@PYTHONPATH=src $(BIN)/lint-imports --no-logo

test-compiled: setup ## pytest on the compiled build that is installed in .venv
	@echo "test-compiled: pytest on the installed build"
	@HAT_EXPECT_BUILD=compiled $(PYTEST) $(SPREAD)

test-interpreted: setup ## pytest on src/ as plain Python
	@echo "test-interpreted: pytest on src/ as plain Python"
	@PYTHONPATH=src HAT_EXPECT_BUILD=interpreted $(PYTEST) $(SPREAD)

sanitize: setup ## pytest on a build that reports every signed overflow and wild shift; none may be reported
	@echo "sanitize: building with -fno-wrapv -fsanitize=signed-integer-overflow,shift-exponent into .cache/sanitized"
	@rm -rf .cache/sanitized .cache/overflow.* && mkdir -p .cache
	@HAT_SANITIZE=1 $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target .cache/sanitized .
	@UBSAN_OPTIONS=print_stacktrace=1:log_path=$(CURDIR)/.cache/overflow PYTHONPATH=.cache/sanitized HAT_EXPECT_BUILD=compiled $(PYTEST)
	@if grep -h -A 2 "runtime error" .cache/overflow.* 2>/dev/null; then echo "sanitize: overflows were reported, see above" >&2; exit 1; fi
	@echo "sanitize: nothing was reported"

bench: setup ## every benchmark (BENCH_ARGS=--json prints one object a line)
	@for file in benchmarks/[a-z]*.py; do \
		[ -e "$$file" ] || { echo "bench: there are no benchmarks yet"; break; }; \
		grep -q '^def main' "$$file" || continue; \
		name=$$(basename "$$file" .py); echo "bench: $$name" >&2; \
		$(BIN)/python -m "benchmarks.$$name" $(BENCH_ARGS) || exit 1; \
	done

soak: setup ## the long tests under load
	@echo "soak: pytest -m soak on the installed build"
	@HAT_EXPECT_BUILD=compiled $(PYTEST) -m soak

fuzz: setup ## hostile venue messages, guided by coverage, FUZZ_SECONDS=300 (atheris: CPython 3.11 to 3.13, Linux on x86-64)
	@$(BIN)/python -m pip install --quiet --require-hashes --target .cache/fuzz -r requirements/fuzz.txt
	@PYTHONPATH=src:tests:.cache/fuzz $(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS)

lock: ## resolve requirements/*.in again into hashed lock files for every platform and CPython 3.11 and newer
	@echo "lock: resolving with $(UV); add UPGRADE=--upgrade to move to the newest versions"
	@test -x .cache/lock/bin/python || python3 -m venv .cache/lock
	@.cache/lock/bin/python -m pip install --quiet "$(UV)"
	@cd requirements && for name in run dev fuzz peer-hftbacktest; do \
		../.cache/lock/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE) -o $$name.txt $$name.in || exit 1; \
	done
	@cd requirements && for pair in peer-nautilus-1:3.12 peer-nautilus-2:3.13 peer-async-hyperliquid:3.12; do name=$${pair%:*}; \
		../.cache/lock/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version $${pair#*:} --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE) -o $$name.txt $$name.in || exit 1; \
	done

clean: ## remove .venv, builds and caches; what runs left behind stays
	@echo "clean: removing .venv, build, caches"
	@rm -rf .venv build dist .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis src/*.egg-info
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	@find src -name '*.so' -delete
