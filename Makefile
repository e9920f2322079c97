# make setup | run | run-supervised | test | check | bench | soak      (PYTHON=python3.12 make ... picks another interpreter)
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Most tests wait for processes and disks: three at a time, a file's tests by one of them.
PARALLEL := -n 3 --dist loadfile

.PHONY: setup run run-supervised test check format bench soak clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) and sys.platform == "linux" else "VX Exchange Server needs Linux and Python 3.11 or newer; this is Python %s on %s. Set PYTHON=/path/to/python3.11." % (sys.version.split()[0], sys.platform))'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'Python has no venv module: apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,check]'
	@touch $(STAMP)

run: setup
	@exec $(BIN)/vx up

run-supervised: setup
	@test -e data/SYSTEM || $(BIN)/vx init --data-dir data
	@exec $(BIN)/supervisord -c supervisord.conf

test: setup
	$(BIN)/python -m pytest -m 'not soak' $(PARALLEL)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m 'not soak' $(PARALLEL)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/python -m bench

soak: setup
	$(BIN)/python -m pytest -m soak -s

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info
