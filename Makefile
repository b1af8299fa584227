# Needs Python 3.11 or later and make; everything else is installed into .venv.
#   make demo [ARGS=…]                       run the whole system
#   make bench [ARGS=…]                      measure
#   make test                                all checks and tests
#   make check                               format, lint, types, imports, drift
#   make audit                               known vulnerabilities
#   make sbom                                the packages as CycloneDX, build/sbom.json
#   make sim [SEEDS=1000 ORDERS=20 SEED=n]   the whole system under seeds
#   make sim-mutants                         whether simulation finds planted bugs
#   make fuzz [EXAMPLES=1000]                hostile input against the running system
#   make chaos [SECONDS=600 RATE=20 SEED=n]  break the real stack under load
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.ready-runtime
READY := $(VENV)/.ready-dev
TOOLS := $(VENV)/tools
PACKAGES := $(wildcard shared services ops benchmarks examples)
TESTS := $(wildcard tests/unit tests/contract tests/simulation tests/fuzz tests/integration tests/browser)
ARGS ?=
PYTEST_ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup check test demo bench audit sbom sim sim-mutants fuzz chaos browser stripe-mock format lock clean

help:
	@sed -n '2,11s/^# *//p' Makefile

setup: $(READY)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; choose it with: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "cannot make a virtual environment (Debian: apt-get install python3-venv)" >&2; exit 1; }

# Hashes and no dependencies beyond the pinned ones: the same packages on every machine.
$(RUNTIME): requirements/runtime.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(READY): requirements/dev.txt $(RUNTIME)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	@touch $@

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES)
	$(BIN)/lint-imports
	$(BIN)/python -m shared.events.schemas --check
	$(BIN)/python -m ops.contracts --check
	$(BIN)/python -m ops.k8s --check
	$(BIN)/python -m ops.docs --check

test: check browser stripe-mock
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(TESTS) $(PYTEST_ARGS)

demo: $(RUNTIME)
	@$(BIN)/oms demo $(ARGS)

bench: $(RUNTIME)
	@$(BIN)/oms bench $(ARGS)

$(TOOLS)/.ready: requirements/tools.txt | $(BIN)/python
	$(BIN)/python -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --require-hashes --requirement requirements/tools.txt
	@touch $@

# Asks the advisories of PyPI about every pinned package (dev.txt holds those of runtime.txt, too). Exit status 1 for a vulnerability, and 2 where nobody could be
# asked: not having looked is not the same as having found nothing.
audit: $(TOOLS)/.ready $(RUNTIME)
	@$(BIN)/python -m ops.audit $(TOOLS)/bin/pip-audit requirements/dev.txt requirements/tools.txt requirements/chaos.txt

# What the image holds: the very versions and hashes that it is built from. The tool checks it against CycloneDX's schema.
sbom: $(TOOLS)/.ready
	@mkdir -p build
	$(TOOLS)/bin/cyclonedx-py requirements requirements/runtime.txt --pyproject pyproject.toml \
		--spec-version 1.6 --output-format JSON --output-reproducible --validate --output-file build/sbom.json

# The whole system under seeds; see tests/simulation/README.md.
SEEDS ?= 1000
FIRST ?= 0
ORDERS ?= 20
SEED ?=
KINDS ?=

sim: $(READY)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST) --orders $(ORDERS) \
		$(if $(SEED),--seed $(SEED)) $(if $(KINDS),--kinds $(KINDS)) $(ARGS)

sim-mutants: $(READY)
	@$(BIN)/python -m tests.simulation.hunting $(ARGS)

# See tests/fuzz/README.md; ARGS="--parts storm" plays one part alone.
EXAMPLES ?= 1000

fuzz: $(READY)
	@$(BIN)/python -m tests.fuzz --examples $(EXAMPLES) $(ARGS)

# Everything breaks while orders come in; see tests/chaos/README.md. Report: build/chaos.md.
SECONDS ?= 600
RATE ?= 20

# The clocks jump by a library that is compiled here; without it the run says so, and goes on.
FAKETIME := $(VENV)/faketime

$(FAKETIME)/.ready: requirements/chaos.txt | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --upgrade --no-deps --require-hashes --requirement requirements/chaos.txt \
		--target $(FAKETIME) && touch $@ || echo "libfaketime could not be built (it needs gcc and make): no clock will jump"

chaos: $(READY) $(FAKETIME)/.ready
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS) --rate $(RATE) \
		$(if $(SEED),--seed $(SEED)) $(if $(KINDS),--kinds "$(KINDS)") $(ARGS)

# Browser tests use the system's Chromium; where there is none they skip and say so.
browser:
	@sh ops/browser.sh

# Stripe's own mock, built by Go; where there is no Go, the payment tests skip what needs it and say so.
stripe-mock:
	@sh ops/stripe_mock.sh

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# After a change of requirements/*.in: pin again, for every platform, without index addresses.
lock: $(READY)
	for set in runtime dev tools chaos; do \
		$(BIN)/uv pip compile requirements/$$set.in --output-file requirements/$$set.txt \
			--universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet; \
	done

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
