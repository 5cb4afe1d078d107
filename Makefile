# Everything a newcomer needs: `make demo`, `make test`, `make dev`.
# Needs Python 3.11+ and make; everything else is installed from pinned, hashed requirements:
# complete ones, so pip resolves nothing (`--no-deps`; older pips cannot match extras to pins).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help clients stripe-test demo dashboard test test-all tests all-tests faults changes year property proofs einvoices conformance mutants bench bench-quick spark-test sbom audit check dev docs lock
.DEFAULT_GOAL := help

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 18

$(VENV)/.installed: requirements.txt pyproject.toml setup.py
	@echo "Installing into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.prepared: $(VENV)/.installed $(shell find billing_pipeline dbt_project -path dbt_project/target -prune -o -name '*.py' -print -o -name '*.sql' -print -o -name '*.yml' -print -o -name '*.md' -print)
	@$(BIN)/python -m billing_pipeline.prepare
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the development tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-bench: requirements-bench.txt $(VENV)/.installed
	@echo "Installing what the benchmarks compare with ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-bench.txt
	@touch $@

stripe-test: $(VENV)/.installed-dev ## Compare the sandbox with a Stripe account: make stripe-test STRIPE_TEST_KEY=sk_test_…
	@STRIPE_TEST_KEY="$(STRIPE_TEST_KEY)" $(BIN)/python -m tests.stripe_account

clients: $(VENV)/.installed-dev ## Real clients of Stripe sync the demo's account (after make demo; downloads them, minutes)
	@$(BIN)/python -m tests.clients

demo: $(VENV)/.prepared ## Close three months of the sample data against the embedded sandbox
	@$(BIN)/python -m billing_pipeline.commands.demo

dev: $(VENV)/.prepared ## The Dagster UI over the same state as the commands
	@$(BIN)/billing ui --daemon

$(VENV)/.installed-dashboard: requirements-dashboard.txt $(VENV)/.installed
	@echo "Installing the dashboard ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dashboard.txt
	@touch $@

dashboard: $(VENV)/.installed-dashboard ## The dashboard over what was published, on http://127.0.0.1:2718
	@$(BIN)/billing dashboard

# Beside each other: what checks types keeps one core busy, and that for a minute.
test: $(VENV)/.installed-dev $(VENV)/.prepared ## Run the style checks and the tests, but for those marked slow
	@$(MAKE) --no-print-directory -j 2 check tests

test-all: $(VENV)/.installed-dev $(VENV)/.prepared ## Run the style checks and every test, those in a browser too
	@$(MAKE) --no-print-directory -j 2 check all-tests

# Prepared, for else each of their homes would parse dbt's project anew, which takes 10 seconds; and
# compiled, for the hundreds of processes that they start may not write what they compile.
PYTEST := $(BIN)/python -m compileall -q billing_pipeline tests && \
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

tests: $(VENV)/.installed-dev $(VENV)/.prepared
	@$(PYTEST) -m "not slow"

all-tests: $(VENV)/.installed-dev $(VENV)/.prepared
	@$(PYTEST)

faults: $(VENV)/.installed-dev ## Bill through every single fault, every damaged file, 2,000 random schedules of faults; odd input
	@$(BIN)/python -m tests.fuzz --cases 3000
	@$(BIN)/python -m tests.faults --single --damage --schedules 2000

changes: $(VENV)/.installed-dev ## Bill through 2,000 sequences of what people change in the inputs and in Stripe
	@$(BIN)/python -m tests.changes --sequences 2000

year: $(VENV)/.installed-dev $(VENV)/.prepared ## Twelve months of the daemon on a virtual clock, with their diary (an hour)
	@$(BIN)/python -m tests.year

check: $(VENV)/.installed-dev ## Run the style checks
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/sqlfluff lint --processes 2 --disable-progress-bar dbt_project/models dbt_project/tests

property: $(VENV)/.installed-dev ## 100,000 made-up cases through the pipeline and an independent oracle (minutes)
	@$(BIN)/python -m tests.property --cases 100000

proofs: $(VENV)/.installed-dev ## 10,000 made-up cases whose invoices prove themselves, computed by node (minutes)
	@$(BIN)/python -m tests.property --cases 10000 --size 200 --proofs

einvoices: $(VENV)/.installed-dev $(VENV)/.prepared ## 2,000 documents of made-up cases through the official rules of EN 16931 (minutes)
	@$(BIN)/python -m tests.einvoices --cases 2000

conformance: $(VENV)/.installed ## Measure our engine by the scenarios of conformance/ (minutes)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python conformance/run.py --engine "python conformance/adapters/ours.py"

mutants: $(VENV)/.installed-dev ## Make wrong changes on purpose and see each fail a test (minutes)
	@$(BIN)/python -m tests.mutants

bench: $(VENV)/.installed-bench $(VENV)/.prepared ## Measure on this machine and write benchmarks/README.md (minutes)
	@$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.installed-bench $(VENV)/.prepared ## A small measurement
	@$(BIN)/python -m benchmarks --quick

SECURITY_BIN := .venv-security/bin

.venv-security/.installed: requirements-security.txt
	@echo "Installing what looks for known holes into .venv-security ..."
	@test -x $(SECURITY_BIN)/python || $(PYTHON) -m venv .venv-security
	@$(SECURITY_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-security.txt
	@touch $@

sbom: .venv-security/.installed ## Write sbom.json: everything that is installed, in the form of CycloneDX
	@PYTHONWARNINGS=ignore $(SECURITY_BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --of JSON -o sbom.json
	@echo "Wrote sbom.json."

audit: .venv-security/.installed ## Look for known holes in the pinned requirements (asks pypi.org)
	@$(SECURITY_BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.txt

SPARK_BIN := .venv-spark/bin

.venv-spark/.installed: requirements-spark.txt requirements-dev.txt pyproject.toml
	@echo "Installing Spark into .venv-spark ..."
	@test -x $(SPARK_BIN)/python || $(PYTHON) -m venv .venv-spark
	@$(SPARK_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-spark.txt -r requirements-dev.txt
	@$(SPARK_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

spark-test: .venv-spark/.installed ## Metering on Spark (needs Java 17): every table as DuckDB's, on a million events too
	@$(SPARK_BIN)/python -m pytest tests/dbt/test_spark_ansi.py
	@$(SPARK_BIN)/python -m tests.spark --write

LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url -q --custom-compile-command "make lock"
LOCK := uv pip compile pyproject.toml --extra install $(LOCK_OPTIONS)

docs: ## Write docs/inputs.md from the columns of the inputs
	@$(BIN)/python -c "from billing_pipeline.commands.init import input_page as page; print(page('2024-01'), end='')" > docs/inputs.md

lock: ## Resolve the dependencies anew (needs uv)
	$(LOCK) -o requirements.txt
	$(LOCK) --extra dashboard --extra dev -c requirements.txt -o requirements-dev.txt
	$(LOCK) --extra dashboard -c requirements-dev.txt -o requirements-dashboard.txt
	$(LOCK) --extra postgres -c requirements-dev.txt -o requirements-postgres.txt
	$(LOCK) --extra bench -c requirements-dev.txt -o requirements-bench.txt
	$(LOCK) --extra spark -c requirements-dev.txt -o requirements-spark.txt
	printf 'cyclonedx-bom>=7\npip-audit>=2.10\n' | uv pip compile - $(LOCK_OPTIONS) -o requirements-security.txt
