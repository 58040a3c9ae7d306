# make demo: see a network learn.  make test: see the tests pass.  make docs: build the site.
# All are quick when repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-bounds lint docs clean

demo: $(VENV)/.installed
	$(BIN)/plastorch run softhebb-digits
	@echo "All runs so far:"
	@$(BIN)/plastorch report

# A process per core, each with one thread, so that none waits for another's; conftest.py says which
# tests belong together, and what comes first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup \
	--no-loadscope-reorder --max-worker-restart 0

test: $(VENV)/.installed-test
	$(PYTEST) $(PYTEST_ARGS)

# The tests of the compiled kernels with every index checked, which takes compiled code of its own,
# optimized less, so that it is ready sooner. Hostile arguments come last, when much is compiled;
# in single precision the indices are the same.
BOUNDS := $(addprefix tests/,stp/test_sequence.py stp/test_chunked.py \
	efference/test_views.py files/test_correlative_encode.py files/test_record_parts.py \
	spiking/test_network.py \
	spiking/fatigue/test_fatigue_events.py spiking/patterns/test_attribution.py \
	spiking/patterns/test_parts.py spiking/patterns/test_pattern_network.py \
	spiking/patterns/test_winners.py spiking/shortterm/test_shortterm.py \
	spiking/shortterm/test_shortterm_events.py hostile/test_kernels.py)

test-bounds: $(VENV)/.installed-test
	NUMBA_BOUNDSCHECK=1 NUMBA_OPT=1 NUMBA_CACHE_DIR=$(abspath $(VENV)/numba-bounds) \
		$(PYTEST) -k "not single_precision and not another_process and not what_is_seen" $(BOUNDS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell *.md .github benchmarks/*.py benchmarks/peers docs examples src

docs: docs/_build/.built
	@echo "The site: file://$(CURDIR)/docs/_build/html/index.html"

clean:
	rm -rf $(VENV) docs/_build docs/api/classes

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "plastorch needs Python 3.11 or newer; say which: make demo PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "python3 -m venv failed; on Debian: apt install python3-venv"; exit 1; }

# pip compiles no modules: Python does at their first import, and most are never imported.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --editable

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[figures,files]'
	@touch $@

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[$*]'
	@touch $@ $(VENV)/.installed

# The pages run the package's code, so they are made anew, as a whole, when any of it changed.
docs/_build/.built: $(VENV)/.installed-docs $(wildcard *.md docs/*.* docs/*/*.* docs/_templates/*/*) $(shell find src benchmarks -name '*.py' -o -name '*.json')
	rm -rf docs/api/classes
	$(BIN)/python -m sphinx -j auto -E -W --keep-going -q docs docs/_build/html
	@touch $@
