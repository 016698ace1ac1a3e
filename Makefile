# make demo   the main job on a recorded broken host: no Docker, no root
# make check  the checks against the recorded hosts of the corpus: no Docker, no root, seconds
# make test   everything but the lab's further cases; as root it installs what the lab needs and runs real Docker daemons
# make lab-long  all of the lab, where make test takes one case a cause and engine; goes on where it was interrupted
# make fuzz   hostile inputs for a minute: FUZZ_SECONDS=3600 for longer, TARGET="nft unit" for some; python -m tests.fuzz
# make lint   ruff and mypy, as CI runs them
# make bench  check --no-probes against `docker inspect`, side by side on one daemon; then 5,000 recorded containers
# make docs   what is generated in docs/: cause pages, command and JSON reference, plugin API
# make unit   the tests that need neither Docker nor root
# make dist   one executable file for x86-64 Linux, its checksum, a Debian package: dist/; python3-venv, musl-gcc, patchelf needed
# make test-pythons  the tests without root on the oldest and the newest Python that are installed here
# make newest lint and unit tests with the newest release of every dependency, in an environment that is thrown away
# make lock   the newest releases, with their hashes, into requirements/: what every other target installs

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
FUZZ_SECONDS ?= 60

PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: demo check test lab-long fuzz lint bench docs unit newest lock dist test-pythons
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	@$(BIN)/dockernet-doctor demo

check: $(VENV)/.installed-test
	$(BIN)/pytest -n auto -q tests/unit/test_corpus.py

test: $(VENV)/.installed-test fuzz
	$(BIN)/python -m tests.lab prepare
	$(BIN)/pytest -n 3 --dist loadgroup -m "not long" tests

lab-long: $(VENV)/.installed-test
	$(BIN)/python -m tests.lab prepare
	LAB_UNDO=1 $(BIN)/pytest -n 3 --dist loadgroup -p tests.lab.long tests/lab

fuzz: $(VENV)/.installed-fuzz
	nice $(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(TARGET)

unit: $(VENV)/.installed-test
	$(BIN)/pytest -n auto -q tests/unit tests/plugin

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-test
	$(BIN)/python -m tests.lab prepare
	$(BIN)/python -m tests.bench.beside_docker; inspect=$$?; $(BIN)/python -m tests.bench.scale && exit $$inspect

docs: $(VENV)/.installed-test
	$(BIN)/python docs/generate.py

# Debian splits venv and pip off python3: as root they are installed here, otherwise the error says what is missing.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv python3-pip >/dev/null; \
	  else echo "python3-venv is missing: sudo apt-get install python3-venv" >&2; exit 1; fi; }
	@$(PYTHON) -m venv $(VENV)

# Nothing is installed that requirements/ does not name with its hash; what is built here, is built by tools of that list.
define install
@$(PIP) --require-hashes -r requirements/build.txt
@$(PIP) --require-hashes --no-build-isolation -r requirements/$(1).txt
@$(PIP) --no-deps --no-build-isolation -e .
endef

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml requirements/build.txt requirements/runtime.txt
	$(call install,runtime)
	@touch $@

$(VENV)/.installed-fuzz: $(VENV)/.installed-test requirements/fuzz.txt
	@$(PIP) --require-hashes --only-binary atheris --no-build-isolation -r requirements/fuzz.txt
	@touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml requirements/build.txt requirements/test.txt
	$(call install,test)
	@touch $@ $(VENV)/.installed

# staticx takes libraries without a RUNPATH only: Debian's own Python, whatever PYTHON says. The checkout is no part of the
# environment, so that the file holds what pip would install.
DIST := dist/.build
dist:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	  apt-get -qq install -y python3-venv libpython3.11 binutils patchelf musl-tools dpkg-dev >/dev/null; fi
	@test -x $(DIST)/bin/pip || /usr/bin/python3 -m venv $(DIST)
	@$(DIST)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	@$(DIST)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation -r requirements/dist.txt
	@$(DIST)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(DIST)/bin/python -m dockernet_doctor.packaging.build dist

# One environment for each, .venv-3.10 for 3.10; those of pyenv are looked for as well.
test-pythons:
	@set -e; pythons=$$(for minor in 10 11 12 13 14; do \
	  ls -d "$$HOME"/.pyenv/versions/3.$$minor.*/bin/python3.$$minor 2>/dev/null | tail -1 | grep . || command -v python3.$$minor || :; \
	done); \
	for python in $$(printf '%s\n' $$pythons | sed -n '1p;$$p' | uniq); do \
	  $$python --version; \
	  $(MAKE) --no-print-directory PYTHON=$$python VENV=.venv-$${python##*python} unit; \
	done

newest:
	@set -e; venv=$$(mktemp -d); trap 'rm -rf "$$venv"' EXIT; \
	$(PYTHON) -m venv "$$venv"; \
	"$$venv/bin/pip" install --quiet --disable-pip-version-check -e '.[test]'; \
	touch "$$venv/.installed-test"; \
	$(MAKE) VENV="$$venv" lint unit

lock:
	@set -e; venv=$$(mktemp -d); trap 'rm -rf "$$venv"' EXIT; \
	$(PYTHON) -m venv "$$venv"; \
	"$$venv/bin/pip" install --quiet --disable-pip-version-check uv; \
	compile() { "$$venv/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
	  --annotation-style line --custom-compile-command 'make lock' "$$@"; }; \
	compile pyproject.toml --extra test -o requirements/test.txt; \
	compile pyproject.toml -c requirements/test.txt -o requirements/runtime.txt; \
	compile pyproject.toml --extra fuzz -c requirements/test.txt -o requirements/fuzz.txt; \
	compile --group pyproject.toml:build -c requirements/test.txt -o requirements/build.txt; \
	compile --group pyproject.toml:dist -c requirements/test.txt -o requirements/dist.txt
