# Every verb installs what it needs into this directory first (.venv, .cache); nothing else on the machine changes,
# except that `test` and `check` ask apt for promtool and chromium where they are missing.

SHELL := /bin/bash
PY := .venv/bin/python
# What `make demo` passes on to `harden demo`: make demo ARGS="--seed 3 --replicas judge=2"
ARGS ?=
# What the test verbs pass on to pytest: make test-fast TESTS="tests/unit/cli -x"
TESTS ?=
LINT := .cache/lint/bin
CHECKS := lint imports types docs-check protos-check test

.DEFAULT_GOAL := help
.PHONY: help install demo demo-in-process ablations simulate fuzz test test-fast bench check list-checks hooks docs docs-check lint imports types protos protos-check clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install:  ## what the demo needs, into this directory: .venv and Kafka's jars
	@tools/setup/python.sh run && tools/setup/kafka.sh

demo:  ## the whole ring on this machine, real Kafka and Triton: play, harden, report to runs/demo
	@began=$$(date +%s.%N) && tools/setup/python.sh run && tools/setup/kafka.sh && \
	exec .venv/bin/harden demo --install-seconds $$(awk "BEGIN { print $$(date +%s.%N) - $$began }") $(ARGS)

demo-in-process:  ## the same ring in one process: no Java, no Triton
	@tools/setup/python.sh run && exec .venv/bin/harden demo --in-process $(ARGS)

ablations:  ## the demo's game with one part left out, five seeds, two worlds; to runs/ablations (about 70 min on two cores)
	@tools/setup/python.sh run && exec .venv/bin/harden study run experiments/ablations.yaml $(ARGS)

simulate:  ## schedules of faults on simulated time: make simulate ARGS="workers --seeds 0:10000" (or ring)
	@tools/setup/python.sh dev && exec $(PY) -m tests.simulation.hunt $(or $(ARGS),workers)

fuzz:  ## spoilt bytes for the codec, requests, images and weights: make fuzz ARGS="--inputs 1000000"
	@tools/setup/python.sh dev && exec $(PY) -m tests.fuzz.hunt $(ARGS)

test-fast:  ## every test that needs no service, about a minute
	@tools/setup/python.sh dev
	@$(PY) -m pytest -q -m "not (kafka or triton or s3 or prometheus or labelled or slow)" $(TESTS)

test:  ## every test, real Kafka and real Triton included
	@tools/setup/python.sh dev && tools/setup/kafka.sh && tools/setup/apt.sh promtool:prometheus chromium:chromium && tools/setup/labelled.sh
	@$(PY) -m pytest -q $(TESTS)

bench:  ## the benchmarks, into benchmarks/results.json and a table
	@tools/setup/python.sh dev && tools/setup/kafka.sh
	@$(PY) -m benchmarks.main $(ARGS)

check: $(CHECKS)  ## what CI runs, fastest first

# .ci/run asks, and runs them one by one.
list-checks:
	@echo $(CHECKS)

lint:  ## style and format; needs no library of ours
	@tools/setup/lint.sh
	@$(LINT)/ruff check . && $(LINT)/ruff format --check .

imports:  ## who may import whom; needs no library of ours
	@tools/setup/lint.sh
	@PYTHONPATH=shared:services:protos/gen $(LINT)/lint-imports

hooks:  ## git runs lint and imports before each commit
	@tools/setup/lint.sh
	@$(LINT)/pre-commit install

types:  ## types
	@tools/setup/python.sh dev
	@.venv/bin/mypy

docs:  ## docs/reference from the code, and the code blocks of docs/extending.md
	@tools/setup/python.sh dev
	@$(PY) tools/docs/generate.py

docs-check:  ## whether the generated documents are up to date
	@tools/setup/python.sh dev
	@$(PY) tools/docs/generate.py --check

protos:  ## generated code from the contracts in protos/
	@tools/setup/python.sh dev
	@tools/protos/generate.sh

protos-check:  ## contracts: style, and nothing an old reader could not bear
	@tools/setup/python.sh dev
	@tools/protos/check.sh

clean:  ## removes everything that was installed, built or played here
	rm -rf .venv .cache runs benchmarks/work
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
