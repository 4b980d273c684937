# The front door: every target sets up .venv by itself, with what it needs of the locked versions, and does nothing twice.
# uv installs where it is on the PATH; it reads no settings of pip's, so that it is told where wheels lie.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEVELOP := $(VENV)/.ready-to-develop
UV := $(shell command -v uv)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
INSTALL := $(if $(UV),uv pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)

.PHONY: setup figures lab docs test test-slow check bench clean
setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	test -x $(BIN)/python || $(if $(UV),uv venv --quiet --python $(PYTHON),$(PYTHON) -m venv) $(VENV)
	$(INSTALL) -r requirements.lock
	$(INSTALL) --no-deps --editable .
	@touch $@

$(DEVELOP): requirements-dev.lock $(READY)
	$(INSTALL) -r requirements-dev.lock
	@touch $@

figures: $(READY)  ## every figure and table, from the bundled checkpoints, into figures/
	mkdir -p figures
	$(BIN)/python -m mothello_interp.explorer export mini/four-atomic --output figures/explorer.html
	$(BIN)/python -m analyses all

lab: $(READY)  ## JupyterLab on the notebooks
	$(BIN)/python -m jupyterlab notebooks

docs: $(DEVELOP) $(patsubst %,build/%,$(wildcard notebooks/*.ipynb))  ## the documentation, into site/; open site/index.html
	$(BIN)/python -m docs.write_pages build/docs build/notebooks
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file docs/mkdocs.yml
	@echo Open site/index.html

build/notebooks/%.ipynb: notebooks/%.ipynb $(READY) $(shell find mothello_interp train -name '*.py')
	$(BIN)/python -m nbconvert --log-level WARN --to notebook --execute --output-dir $(@D) $<

test: $(DEVELOP)  ## the quick tests
	$(BIN)/python -m pytest

test-slow: $(DEVELOP)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

check: $(DEVELOP)  ## lint, format and types; JavaScript where node is installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@if command -v npx >/dev/null; then cd mothello_interp/explorer/page && npm run --silent lint && npm test --silent; \
	else echo "node is not installed: the explorer's page is not checked"; fi

bench: $(DEVELOP)  ## speeds, as ratios measured side by side
	$(BIN)/python -m benchmarks

clean:  ## forget figures, site and caches, keep .venv
	rm -rf figures site build .pytest_cache .mypy_cache .ruff_cache
