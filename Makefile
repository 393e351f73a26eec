# Everything starts here; works with GNU Make 3.81 (macOS) and later. `make help` lists the targets.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.gitwright-ready
# Bytecode is kept, whatever the environment says: the tests start hundreds of processes, each of which would compile the bot again.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --inline-snapshot=disable
SEED ?= 1
TEST_WORKERS ?= 3
# `make check` gives a failed test one second run and names it at the end (tests/again.py); `make test` gives none.
AGAIN ?=
DEMO_OUT ?= demo-out
DEMO_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-real test test-agents check lint long bench eval lock docs serve fix clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv/ with .venv/bin/gitwright
	@:

$(STAMP): requirements-dev.lock pyproject.toml .ci/setup
	@MAKE_VERSION=$(MAKE_VERSION) sh .ci/setup $(VENV)
	@touch $@

demo: $(STAMP) ## Take one labelled issue to merged pull requests, on the embedded forge
	@$(BIN)/python -m bot demo --out "$(DEMO_OUT)" $(DEMO_ARGS)

demo-real: $(STAMP) ## Take a real project's fixed issue to its end: PROJECT=name, and CLONE=folder, ISSUE=file where offline; AGENT=opencode
	@$(BIN)/python -m $(if $(filter opencode,$(AGENT)),tests.demo.real_agent,bot.demo.real) "$(PROJECT)" --out "$(DEMO_OUT)" $(if $(CLONE),--clone "$(CLONE)") \
		$(if $(ISSUE),--issue-file "$(ISSUE)") $(DEMO_ARGS)

test: $(STAMP) ## Every kind of test, with few seeds; below five minutes
	@HYPOTHESIS_PROFILE=reduced $(PYTEST) -m "not long and not agents" --judge-complete -n $(TEST_WORKERS) --hypothesis-seed=$(SEED) $(AGAIN)

check: $(STAMP) ## Lint, types, contracts, generated docs, make test, then the long suites
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test AGAIN="--reruns 1"
	@$(MAKE) --no-print-directory long AGAIN="--reruns 1"

lint: $(STAMP)
	@$(BIN)/ruff check --quiet . && echo "ruff: no finding"
	@$(BIN)/ruff format --check --quiet . && echo "format: no finding"
	@$(BIN)/mypy
	@contracts=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$contracts"; exit 1; }; echo "imports: every contract kept"
	@if [ -f docs/generate.py ]; then $(BIN)/python docs/generate.py --check; fi

# Property tests run again here, with many more examples than in `make test`.
long: $(STAMP)
	@HYPOTHESIS_PROFILE=full $(PYTEST) -m "long or hypothesis" -n $(TEST_WORKERS) --hypothesis-seed=$(SEED) $(AGAIN)

# Not part of `make check`: they weigh a gigabyte. The table at the end is that of docs/agents.md.
test-agents: $(STAMP) ## The real agents from npm (claude, codex, gemini, opencode), against a scripted model; needs node 20
	@$(BIN)/python -m tests.agents.real.agents
	@GITWRIGHT_REQUIRE=all $(PYTEST) -m agents tests/agents/real

bench: $(STAMP) ## Measure against baselines of the same run; prints ratios, judges nothing
	@for each in webhook_ack label_to_plan idle eight_tasks many_branches isolation agent_memory broker_call core_parts; do $(BIN)/python -m bench.$$each || exit 1; echo; done

eval: $(STAMP) ## Recompute the figures of the algorithms from recorded runs: make eval DATA=folder
	@test -n "$(DATA)" || { echo "give the folder of the data sets: make eval DATA=..."; exit 2; }
	@$(BIN)/python -m bench.eval_drift "$(DATA)"
	@$(BIN)/python -m bench.fit_messy "$(DATA)/messy_runs/dev.jsonl"

lock: ## Resolve both lock files anew (needs a package index)
	@sh .ci/lock

docs: $(STAMP) ## Write the generated parts of docs/ anew
	@if [ -f docs/generate.py ]; then $(BIN)/python docs/generate.py; else echo "No page is generated yet."; fi

serve: $(STAMP) ## Run the bot with the settings of .env or the environment
	@$(BIN)/python -m bot serve

fix: $(STAMP) ## Format, and mend what ruff can mend
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

clean: ## Remove what these targets made (also .venv/)
	@rm -rf $(VENV) "$(DEMO_OUT)" .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
