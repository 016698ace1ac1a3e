# make demo   the main job on a recorded broken host: no Docker, no root
# make check  the checks against the recorded hosts of the corpus: no Docker, no root, seconds
# make test   everything but the lab's further cases; as root it installs what the lab needs and runs real Docker daemons
# make lab-long  all of the lab, where make test takes one case a cause and engine; goes on where it was interrupted
# make fuzz   hostile inputs for a minute: FUZZ_SECONDS=3600 for longer, TARGET="nft unit" for some; python -m tests.fuzz
# make lint   ruff and mypy, as CI runs them
# make bench  check --no-probes against `docker inspect`, side by side on one daemon
# make docs   what is generated in docs/: cause pages, command and JSON reference

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
FUZZ_SECONDS ?= 60

.PHONY: demo check test lab-long fuzz lint bench docs
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
	$(BIN)/pytest -n 3 --dist loadgroup -p tests.lab.long tests/lab

fuzz: $(VENV)/.installed-fuzz
	nice $(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(TARGET)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-test
	$(BIN)/python -m tests.lab prepare
	$(BIN)/python -m tests.bench.inspect_200

docs: $(VENV)/.installed-test
	$(BIN)/python docs/generate.py

# Debian splits venv and pip off python3: as root they are installed here, otherwise the error says what is missing.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv python3-pip >/dev/null; \
	  else echo "python3-venv is missing: sudo apt-get install python3-venv" >&2; exit 1; fi; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-fuzz: $(VENV)/.installed-test
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/.installed
