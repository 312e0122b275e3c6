# run, test, chaos, lint, bench, demo-model, clean. Needs python3 (3.11 or newer), make and git; everything else goes to .venv.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check
SOURCES := pyproject.toml constraints.txt
# The requirements of the groups named in $(1), from pyproject.toml.
requirements = $(BIN)/python -c 'import sys, tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	print(*p["dependencies"], *(r for g in sys.argv[1:] for r in p["optional-dependencies"][g]), sep="\n")' $(1)

.DEFAULT_GOAL := help
.PHONY: help run test chaos lint bench demo-model clean

help:
	@echo "make run [PORT=8000]   start the studio on this machine"
	@echo "make test              run every test (ARGS=... goes to pytest)"
	@echo "make chaos             kill and cut off everything while 300 pictures are rendered (ARGS=--seed 7)"
	@echo "make lint              ruff, mypy, missing migrations"
	@echo "make bench             run the benchmarks"
	@echo "make demo-model        train the demo model again (SMOKE=1: a few steps, to see that it runs)"
	@echo "make clean             remove .venv and caches; var/ with your data stays"

# exec: make's child is the supervisor itself, so a signal to make reaches it.
run: .venv/run.stamp
	@set -a; if [ -f .env ]; then . ./.env; fi; set +a; exec $(BIN)/python manage.py runstudio --port '$(PORT)'

test: .venv/dev.stamp
	@exec $(BIN)/python tests/run.py $(ARGS)

# In all shapes, with servers of its own; some minutes. ARGS=--help says more.
chaos: .venv/dev.stamp
	@exec $(BIN)/python -m tests.chaos $(ARGS)

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run

bench: .venv/dev.stamp
	@set -e; for file in benchmarks/[!_]*.py; do echo "== $$file"; PYTHONPATH=. $(BIN)/python "$$file"; done

# Goes on from the checkpoints in var/demo-model; ARGS=... goes to python -m demo_model.
demo-model: .venv/run.stamp
	$(BIN)/python -m demo_model $(if $(SMOKE),--smoke) $(ARGS)

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
	find studio/locale -name '*.mo' -delete

# pip is what venv writes last: an interrupted attempt is made again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: for example PYTHON=python3.12 make run" >&2; exit 1; }
	@echo "Making .venv ..."
	@$(PYTHON) -m venv --clear .venv || \
		{ echo "$(PYTHON) -m venv failed: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }

.venv/run.stamp: $(BIN)/pip $(SOURCES)
	@echo "Installing the pinned packages into .venv; the first time takes a few minutes ..."
	@$(call requirements,render embedded hub) > .venv/requirements.txt
	@$(PIP) -r .venv/requirements.txt -c constraints.txt
	@touch $@

.venv/dev.stamp: $(BIN)/pip $(SOURCES)
	@echo "Installing the pinned packages and the test tools into .venv; the first time takes a few minutes ..."
	@$(call requirements,render embedded hub test lint) > .venv/requirements.txt
	@$(PIP) -r .venv/requirements.txt -c constraints.txt
	@touch .venv/run.stamp $@
