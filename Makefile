# Every target creates .venv itself and is safe to repeat.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test bench-peers lint format clean
setup: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	touch $(READY)

demo: $(READY)
	$(BIN)/apicache demo

# Tests marked `browser` need a Chromium in PATH: apt-get install chromium
# Those marked `mysql` need a MariaDB server there: apt-get install mariadb-server
BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
MARIADB := $(shell command -v mariadbd)
LEFT_OUT := $(if $(BROWSER),,not browser)$(if $(BROWSER)$(MARIADB),, and )$(if $(MARIADB),,not mysql)
test: $(READY)
	$(if $(BROWSER),,@echo "no Chromium in PATH: tests of the dashboard are left out")
	$(if $(MARIADB),,@echo "no MariaDB in PATH: tests of PyMySQL are left out")
	$(BIN)/python -m pytest -n auto --dist loadgroup $(if $(LEFT_OUT),-m "$(LEFT_OUT)")

bench-peers: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group peers
	$(BIN)/python tests/figures/measure.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .apicache dist
