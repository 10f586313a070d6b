# Two commands for a newcomer: `make demo` and `make test`. Everything else is for those who build.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
MARKET ?=
SYMBOLS ?=
CYCLES ?=
DEMO_ARGS ?=
SEED   ?= 1
COUNT  ?= 1

.PHONY: demo simulate test proof figures mutation judges check types lint scan format lock bench clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

# One environment for each interpreter: uv inside it for speed, plain pip where uv cannot be had.
$(VENV)/.run: requirements/run.lock pyproject.toml
	@tools/environment.sh "$(PYTHON)" "$(VENV)" requirements/run.lock
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml
	@tools/environment.sh "$(PYTHON)" "$(VENV)" requirements/dev.lock
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run ## trade on a local BtcTurk for about two minutes and compare the books with the venue's
	@$(BIN)/btcbot demo $(if $(MARKET),--market "$(MARKET)") $(if $(SYMBOLS),--symbols "$(SYMBOLS)") $(if $(CYCLES),--cycles $(CYCLES)) $(DEMO_ARGS)

test: $(VENV)/.dev check ## every check and test; units on the newest Python too, what computes on each between
	@tools/test_pythons.sh "$(VENV)"

check: $(VENV)/.dev lint scan types ## lint, format, security scan, strict types, import contracts
	@$(BIN)/lint-imports --no-cache
lint: $(VENV)/.dev
	@$(BIN)/ruff check src tests benchmarks proof judges
	@$(BIN)/ruff format --check -q src tests benchmarks proof judges
scan: $(VENV)/.dev
	@$(BIN)/bandit -q -r src -c pyproject.toml
types: $(VENV)/.dev
	@$(BIN)/mypy

format: $(VENV)/.dev ## put the code into its one shape
	@$(BIN)/ruff check -q --fix src tests benchmarks proof judges; $(BIN)/ruff format -q src tests benchmarks proof judges

lock: $(VENV)/.dev ## resolve the locked requirements again
	@tools/lock.sh "$(BIN)"

simulate: $(VENV)/.run ## play the world of SEED=… (COUNT=…) under faults and check every invariant
	@$(BIN)/btcbot simulate $(SEED) --count $(COUNT)

proof: $(VENV)/.dev ## prove it: seeds, crashes, kills, power losses, planted bugs … about a quarter of an hour
	@$(BIN)/python -m proof ci

figures: $(VENV)/.dev ## write docs/figures.md from everything that was proved so far
	@$(BIN)/python -m proof figures

mutation: ## mutate domain and decisions, line by line, and count what the unit tests notice: about ten minutes
	@tools/environment.sh "$(PYTHON)" .venvs/mutation requirements/mutation.lock
	@.venvs/mutation/bin/python -m proof run mutation --count 1

judges: ## let clients that others wrote trade on the local BtcTurk, unmodified: about a minute
	@tools/environment.sh "$(PYTHON)" .venvs/judges requirements/judges.lock
	@.venvs/judges/bin/python -m judges

bench: $(VENV)/.dev ## measure what docs/performance.md states
	@$(BIN)/python -m benchmarks

clean: ## remove environments and caches
	rm -rf .venv .venvs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
