# Every target works from a fresh clone. PYTHON chooses the interpreter, VENV the environment made from it.
PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
MINUTES ?= 10

SHELL  := bash
BIN    := $(VENV)/bin
CORE   := pyproject.toml setup.py $(wildcard csrc/*.c csrc/*.h csrc/*/*.h)
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-cpython test-debug test-sanitize test-valgrind test-sid versions stress fuzz saveable bench lint dev clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  (PYTHON=python3.12 chooses the interpreter, VENV=dir the environment, ARGS='...' is passed on)"

demo: $(VENV)/.durable ## kill a running program several times, resume it, compare: the whole idea in a minute
	$(BIN)/python examples/demo.py $(ARGS)

test: $(VENV)/.dev ## run the tests, but for the slow ones
	$(BIN)/python tools/versions.py test $(ARGS)

test-cpython: $(VENV)/.dev ## run CPython's own tests inside of fibers
	$(PYTEST) tests/cpython $(ARGS)

test-all: ## the tests on each of Python 3.11 to 3.15: those that are present, else those of Debian sid
	.ci/run --all --no-lint

test-debug: ## the tests of core, fibers, constructs, laws on a debug build of CPython: make test-debug PYTHON=python3.11d
	tools/check debug $(PYTHON) $(ARGS)

test-sanitize: ## the tests of core, fibers, constructs with the extension under ASan and UBSan
	tools/check sanitize $(PYTHON) $(ARGS)

test-valgrind: ## some tests of fibers under valgrind (a quarter of an hour)
	tools/check valgrind $(PYTHON) $(ARGS)

# One line each is enough to see at the end, and one failure hides no other.
SID = 'release 3.14' 'release 3.15' 'debug 3.13d' 'debug 3.14d' 'debug 3.15d' 'sanitize 3.14' 'sanitize 3.15' 'valgrind 3.14'
test-sid: ## all of these on the Pythons of Debian sid, in a folder of their own (as root; hours)
	@mkdir -p build/results; failed=; \
	for run in $(SID); do \
	  log="build/results/$${run/ /-}.log"; \
	  tools/debian-pythons tools/check $${run/ / python} $(ARGS) >"$$log" 2>&1 || failed+=" $${run/ /-}"; \
	  tail -n 1 "$$log"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed (build/results/*.log)" >&2; exit 1; fi

versions: ## put the results of these runs into the table of docs/versions.md
	$(PYTHON) tools/versions.py write

stress: $(VENV)/.dev ## run every test, the slow ones too
	$(PYTEST) $(ARGS)

fuzz: $(VENV)/.dev ## make programs and change snapshots at random for MINUTES=10; a failure prints how to have it again
	$(BIN)/python tests/fuzz/run.py --minutes $(MINUTES) $(ARGS)

saveable: $(VENV)/.dev ## write docs/saveable.md from the table of what can be saved
	PYTHONPATH=tests $(BIN)/python -m saveable.document

bench: $(VENV)/.bench ## measure, beside greenlet and others, and print the table
	$(BIN)/python benches/run.py $(ARGS)

lint: $(VENV)/.dev ## ruff, mypy --strict, and the C core with warnings as errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src/stackful
	STACKFUL_WERROR=1 $(BIN)/python setup.py -q build_ext --force --build-lib build/lint --build-temp build/lint

# One tree serves several interpreters: the extension's file name carries the version.
dev: ## build in place for the environments given: make dev PYTHON="a/bin/python b/bin/python"
ifeq ($(origin PYTHON),file)
	@$(MAKE) --no-print-directory $(VENV)/.dev
else
	@set -e; for python in $(PYTHON); do \
	  $$python setup.py -q build_ext --inplace; \
	  $$python -c 'import importlib.metadata as m; m.distribution("stackful")' 2>/dev/null \
	    || $$python -m pip install -q --no-build-isolation --no-deps -e .; \
	  echo "built for $$($$python -V) ($$python)"; \
	done
endif

clean: ## remove what was built, and the environments
	rm -rf build dist src/*.egg-info src/stackful/_core*.so $(VENV) .venv-ci .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments: one stamp for each set of extras; the core is rebuilt when its sources change ----------------------
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 15))' 2>/dev/null || { \
	  echo "stackful needs CPython 3.11 to 3.15; $(PYTHON) is: $$($(PYTHON) -V 2>&1 | head -1)" >&2; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@command -v gcc >/dev/null || command -v cc >/dev/null || { \
	  echo "stackful's core is compiled: a C compiler (gcc) is needed." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check 'setuptools>=77'

define install
$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -e '.[$(1)]'
$(BIN)/python setup.py -q build_ext --inplace
@touch $@
endef

$(VENV)/.durable: $(CORE) | $(BIN)/python
	$(call install,durable)

$(VENV)/.dev: $(CORE) | $(BIN)/python
	$(call install,dev)

$(VENV)/.bench: $(CORE) | $(BIN)/python
	$(call install,durable$(COMMA)bench)

COMMA := ,
