# Everything a newcomer runs. `make demo` and `make test` set up what they need on a bare Debian 12.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: help setup setup-runtime setup-system demo serve test test-faults test-stores test-slow check format bench \
	lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SECONDS_OF_DEMO ?= 20
PYTEST_ARGS ?=
# Real parts that tests talk to: a browser, a TURN server, a second media stack, a font with accents, a database,
# an SFU, and what judges a unit of systemd and alert rules (nothing of these is started).
DEBIAN_PACKAGES := chromium coturn ffmpeg fonts-dejavu-core groff-base iproute2 nftables janus nginx-light postgresql prometheus systemd

help: ## list the targets
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

API_PAGE := signaling/docs/renderer/swagger-ui-bundle.js
setup: setup-npm setup-runtime setup-system $(VENV)/.dev $(API_PAGE) ## install what running and testing need, and nothing else

SEGMENTATION := signaling/web/segmentation/LICENSE.md
setup-runtime: $(VENV)/.runtime $(SEGMENTATION)

# What puts a background behind an agent. Without npm, or its registry, everything else works.
$(SEGMENTATION): deploy/install-segmentation deploy/segmentation/package-lock.json | $(VENV)/bin/python
	@deploy/install-segmentation $(abspath $(VENV))

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); deploy/install-debian-packages python3-venv; $(PYTHON) -m venv $(VENV); }

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

.PHONY: setup-npm
setup-npm:
	@command -v npm >/dev/null || deploy/install-debian-packages nodejs npm

# What shows the API at /docs and sends calls; without it /docs is a plain page.
.PHONY: api-page
api-page: $(API_PAGE) ## fetch what shows the API at /docs

$(API_PAGE): deploy/fetch-api-page
	deploy/fetch-api-page && touch $@ || echo "/docs stays a plain page"

setup-system:
	@deploy/install-debian-packages $(DEBIAN_PACKAGES)

demo: setup-runtime ## record a synthetic call of two people and a screen share, and report
	$(BIN)/bystander demo --seconds $(SECONDS_OF_DEMO)

serve: setup-runtime api-page ## run the server on 127.0.0.1:8080 with data in ./data
	$(BIN)/bystander serve

# First what needs no clock, several files at once; then calls, browsers and codecs, which need the machine for themselves.
QUICK := not faults and not stores and not slow
test: setup ## the test suite, on real parts, in a few minutes
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "$(QUICK) and not real_time" $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "$(QUICK) and real_time" $(PYTEST_ARGS)

test-faults test-stores test-slow: setup ## the slower suites: faults by the dozen, more stores, minutes of media
	$(BIN)/python -m pytest --timeout 1800 -m $(@:test-%=%) $(PYTEST_ARGS)

# WebRTC stacks that are not ours: what npm, PyPI and Debian have of them.
.PHONY: test-interop
test-interop: setup $(VENV)/interop/.installed $(VENV)/interop-python/.installed ## publish by every stack that can be had, and write the table of docs/interop.md
	@deploy/install-debian-packages ffmpeg firefox-esr gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice \
		gstreamer1.0-plugins-bad gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly python3-gi
	$(BIN)/python -m tests.interop

$(VENV)/interop/.installed: | $(VENV)/bin/python
	command -v npm >/dev/null || deploy/install-debian-packages nodejs npm
	NODE_OPTIONS=--use-openssl-ca npm install --no-fund --no-audit --loglevel error --cache $(VENV)/npm-cache \
		--prefix $(VENV)/interop @roamhq/wrtc@0.10.0 werift@0.25.2 node-datachannel@0.33.4
	touch $@

$(VENV)/interop-python/.installed: benchmarks/requirements-fidelity.lock | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/interop-python
	$(VENV)/interop-python/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

# What strangers send, made up by a fuzzer that sees what it reaches: so many minutes for each reader.
FUZZ_MINUTES ?= 5
FUZZ_TARGETS ?= $(notdir $(wildcard tests/corpus/*))
.PHONY: fuzz
fuzz: $(VENV)/.fuzz ## feed made-up input to what reads strangers' bytes (FUZZ_MINUTES each, FUZZ_TARGETS)
	for target in $(FUZZ_TARGETS); do echo "== $$target"; $(BIN)/python -m tests.fuzz $$target $(FUZZ_MINUTES); done

$(VENV)/.fuzz: requirements-fuzz.lock $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	touch $@

# A second browser, a player that is none, shells, and a sender of plain RTP.
test-slow: setup-players
.PHONY: setup-players
setup-players:
	@deploy/install-debian-packages firefox-esr fish tcpdump tinyproxy-bin vlc-bin vlc-plugin-base zsh \
		gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good

# Rules of accessibility that pages are held to; nothing of it is served to anybody.
test-slow: $(VENV)/axe/.installed
$(VENV)/axe/.installed: | $(VENV)/bin/python
	command -v npm >/dev/null || deploy/install-debian-packages nodejs npm
	NODE_OPTIONS=--use-openssl-ca npm install --no-fund --no-audit --loglevel error --cache $(VENV)/npm-cache \
		--prefix $(VENV)/axe axe-core@4.14.1
	touch $@

.PHONY: screenshots
screenshots: setup ## make docs/screenshots again, of every page of the console
	$(BIN)/python -m tests.console.screenshots

# Microsoft's emulator of Azure comes from npm, which is to believe the system's certificates; OpenStack Swift from
# Debian, as a library, which starts nothing by itself.
test-stores: $(VENV)/azurite/.installed setup-swift
.PHONY: setup-swift
setup-swift:
	@deploy/install-debian-packages python3-swift

$(VENV)/azurite/.installed: | $(VENV)/bin/python
	command -v npm >/dev/null || deploy/install-debian-packages nodejs npm
	NODE_OPTIONS=--use-openssl-ca npm install --no-fund --no-audit --loglevel error --cache $(VENV)/npm-cache \
		--prefix $(VENV)/azurite azurite@3.35.0
	touch $@

check: setup-runtime $(VENV)/.dev ## style, types, and the walls between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_walls.py tests/test_design.py tests/test_docs.py tests/recorder/test_diagrams.py

format: $(VENV)/.dev ## put the code into its one shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A part of the suite on every Python from 3.11 to 3.13 that this machine has, each in an environment of its own.
PYTHONS := $(foreach version,3.11 3.12 3.13,$(shell python$(version) -c 'print("$(version)")' 2>/dev/null))
.PHONY: test-pythons sbom
test-pythons: setup ## a part of the suite on Python 3.11, 3.12 and 3.13, as far as the machine has them
	test -n "$(PYTHONS)"
	for version in $(PYTHONS); do \
		test -x $(VENV)-$$version/bin/python || python$$version -m venv $(VENV)-$$version; \
		$(VENV)-$$version/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock; \
		$(VENV)-$$version/bin/python -m pytest -q tests/media tests/storage/test_spool.py tests/recorder/test_end_to_end.py; \
	done

sbom: setup ## write out/sbom.json, a CycloneDX bill of what runs
	mkdir -p out
	$(BIN)/cyclonedx-py requirements requirements.lock --output-reproducible --output-file out/sbom.json

bench: setup ## measure what docs/cost.md publishes; fails where it got worse by more than 15 %
	$(BIN)/python -m benchmarks

# libwebrtc's own receiver, which nothing else needs.
.PHONY: bench-fidelity
bench-fidelity: setup $(VENV)/.fidelity ## hold the same bad calls with libwebrtc and with us, side by side
	$(BIN)/python -m benchmarks.fidelity

$(VENV)/.fidelity: benchmarks/requirements-fidelity.lock $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

lock: $(VENV)/.dev ## pin every dependency again, with hashes and without addresses
	deploy/lock $(BIN)/uv

clean: ## remove what the other targets made
	rm -rf $(VENV) signaling/web/segmentation signaling/docs/renderer out .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
