# make test    the tests, against an installed hepwrap
# make demo    a real job (Pythia 8) from a signed repository, compared with the native run
# make races   the index under a race detector, a million names: some minutes
# make foreign programs nobody here wrote, beside a real mount: CPython's own tests, stress-ng, fio; a quarter of an hour
# make venv    the environment of the tests        make lint    what CI checks besides the tests
# make clean   forget all of it
#
# Nothing is installed again unless a source has changed, come or gone, so a second run needs no network.

PYTHON ?= /usr/bin/python3
VENV ?= .venv
DEMO ?= .demo
EVENTS ?= 200
WORKERS ?= 2

BIN := $(VENV)/bin
SOURCES := $(shell find src interpose vfs cache fetchers perf -type f \
	! -name '*.pyc' ! -name '*.so' ! -path '*/build/*' ! -path '*.egg-info/*') setup.py pyproject.toml
# The stamps stand for, in this order: an environment, what hepwrap needs, hepwrap, what the tests and the linters need.
MADE := $(VENV)/.made
NEEDS := $(VENV)/.needs
INSTALLED := $(VENV)/.installed-$(shell sha256sum $(sort $(SOURCES)) | sha256sum | cut -c -16)
TEST_NEEDS := $(VENV)/.test-needs
LINT_NEEDS := $(VENV)/.lint-needs
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: test races foreign demo venv lint install clean
.DELETE_ON_ERROR:

test: venv
	$(BIN)/pytest -n $(WORKERS) -q $(PYTEST_ARGS)

races: venv
	$(BIN)/pytest -m long -q tests/races $(PYTEST_ARGS)

foreign: venv
	$(BIN)/python -m tests.helpers.cpython_tests
	$(BIN)/pytest -m "long or not long" -n $(WORKERS) -q tests/foreign $(PYTEST_ARGS)

venv: $(INSTALLED) $(TEST_NEEDS)

install: $(INSTALLED)

demo: $(INSTALLED)
	@$(BIN)/python examples/demo.py --directory $(DEMO) --events $(EVENTS)

lint: $(INSTALLED) $(LINT_NEEDS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check $$(git ls-files '*.py' 2>/dev/null || find . -name '*.py' -not -path './.venv/*')
	MYPYPATH=src $(BIN)/mypy -p hepwrap
	$(BIN)/lint-imports

$(MADE):
	@$(PYTHON) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' || { \
		echo "hepwrap needs Python 3.11 or later with venv: apt-get install python3-venv, or make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install 'setuptools>=66' wheel
	@touch $@

$(NEEDS): $(MADE) pyproject.toml
	$(PIP) install $$($(BIN)/python .ci/requirements.py)
	@touch $@

$(TEST_NEEDS): $(MADE) pyproject.toml
	$(PIP) install $$($(BIN)/python .ci/requirements.py test)
	@touch $@

$(LINT_NEEDS): $(MADE) pyproject.toml
	$(PIP) install $$($(BIN)/python .ci/requirements.py lint)
	@touch $@

# build/lib would keep modules that have been deleted; objects of the C parts stay.
$(INSTALLED): $(NEEDS)
	@rm -rf build/lib* build/bdist*
	$(PIP) install --no-build-isolation --no-deps --force-reinstall .
	@rm -f $(VENV)/.installed-*
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
