# The two commands of the README: `make demo` and `make test`. Everything they need is installed into .venv from
# requirements.lock, with uv where it is present and venv + pip where it is not.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-long check format types floors bench bench-verdicts collector lock wheel clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (make PYTHON=python3.12)"; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv -q --allow-existing --python $(PYTHON) .venv && \
	  uv pip install -q -p $(BIN)/python --require-hashes -r requirements.lock && \
	  uv pip install -q -p $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@

demo: $(READY) ## eight nights of one box, the verdict on the last, and a live server
	@$(BIN)/hosts-mcp demo $(DEMO)

test: $(READY) check ## lint, types, floors and tests: under five minutes on two cores
	$(BIN)/python -m pytest -n 3

LONG ?= tests
WORKERS ?= 2
test-long: $(READY) ## what takes minutes: kills under load, all seeds, a real collector where `make collector` built one
	$(BIN)/python -m pytest -m long -n $(WORKERS) $(LONG)

check: $(READY) ## ruff, mypy --strict and the floors (import-linter)
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache >.venv/floors.txt || { cat .venv/floors.txt; exit 1; }

format: $(READY) ## format and fix what can be fixed
	$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

collector: $(READY) ## build a real OpenTelemetry Collector for the tests (needs Go; cached outside the repository)
	@$(BIN)/python tests/collector/build.py

bench: $(READY) ## the table of figures
	@$(BIN)/python -m benchmarks

bench-verdicts: $(READY) ## how right the verdict is, on made cases never tuned on (a quarter of an hour on two cores)
	@$(BIN)/python -m benchmarks.verdicts

lock: ## make requirements.lock anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --group dev pyproject.toml --generate-hashes --no-emit-index-url --no-header -o requirements.lock

wheel: $(READY) ## build the wheel into dist/
	$(BIN)/python -m build -q --wheel --no-isolation

clean: ## remove what the targets made here
	rm -rf .venv dist build .demo
