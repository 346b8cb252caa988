# Everything a fresh Debian or Ubuntu machine needs is set up by the targets themselves; each can be run again.
#
#   make demo       the sample clips, from nothing to a page to look at
#   make docs       the documents as a site, out/docs/index.html; a broken link is an error
#   make study      a whole example study: collected, coded by two people, claimed, bundled (examples/study/README.md)
#   make test       the tests
#   make check      lint, format, types
#   make browser    Chromium, for the tests that open a report in it
#   make test-cluster  submission to a Ray head, three nodes, an object store; all on this machine
#   make chaos      three nodes, twenty seeds of faults, the same command until it is done (SEEDS=2: fewer)
#   make test-vllm  a real engine of vLLM's CPU build, in a virtual environment of its own (4 GB)
#   make dist       wheel, source archive and the list of packages of a release
#   make lint-workflows  GitHub's workflows and CITATION.cff, without asking GitHub
#   make simulate   histories from seeds of all that pays: docs/simulation.md
#   make test-full  all of them, with the long ones (more files)
SHELL := /bin/bash
BIN := .venv/bin
LOCKED := pyproject.toml .ci/setup .ci/torch $(wildcard .ci/locks/*.txt)
READY := .venv/.ready-$(shell cat $(LOCKED) 2>/dev/null | cksum | cut -d' ' -f1)
# test files at once; 0: one after another, in the order of their names
JOBS ?= 2
# only tests with these markers, such as ONLY="not ray"
ONLY ?=
export TIKVAL_CACHE ?= $(CURDIR)/.cache
export PYTHON
# set in many containers; every process would compile this package anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup browser demo simulate test test-cluster test-chaos chaos test-vllm test-full check dist lint-workflows docs study clean

setup: $(READY)

$(READY): $(LOCKED)
	.ci/setup
	@rm -f .venv/.ready-* && touch $@

# without it the tests that open a report in Chromium are skipped, and say so
browser: $(READY)
	.ci/setup-browser

demo: $(READY)
	@$(BIN)/tikval demo --out out/demo

# from scratch each time: only then a page says all that is wrong with it
docs: $(READY)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet -c docs -b html . out/docs
	@echo "out/docs/index.html"

study: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" examples/study/run.sh out/study

test: $(READY)
	$(BIN)/pytest $(IN) -m "not full and not cluster and not vllm$(if $(ONLY), and ($(ONLY)))" --durations=40 -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-cluster: $(READY)
	$(BIN)/pytest -m "cluster and not full" --durations=12

# the short form of chaos: one seed, and the tables without faults
test-chaos: $(READY)
	$(BIN)/pytest tests/chaos -m "not full" --durations=3

chaos: $(READY)
	$(BIN)/python -m benchmarks.chaos $(if $(SEEDS),--seeds $(SEEDS)) $(if $(QUICK),--quick)

test-vllm: $(READY)
	.ci/setup-vllm
	.venv-vllm/bin/pytest -m "vllm and not full" tests/flow/test_vllm.py tests/flow/test_vllm_hears.py tests/flow/test_vllm_jobs.py --durations=5

simulate: $(READY)
	$(BIN)/python -W ignore -m tests.simulation --first $(or $(FIRST),0) --seeds $(or $(SEEDS),300)

test-full: $(READY)
	$(BIN)/pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/words
	$(BIN)/mypy

# an environment of its own
dist:
	.ci/dist

lint-workflows:
	.ci/lint-workflows

clean:
	rm -rf .venv .venv-vllm .venv-lint .venv-release .cache out dist .mypy_cache .ruff_cache .pytest_cache
