# Targets as a user, a contributor and continuous integration call them.
# PYTHON=... chooses the interpreter (3.11 to 3.13; 3.11 by default where present).

PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
# One more than the cores of continuous integration: some tests wait for other processes.
WORKERS ?= 3

.PHONY: install quickstart quickstart-untrained reproduce-smoke test test-slow chaos audit docs lint format clean

# The stamp depends on setup.py alone: the package is installed in editable mode.
$(VENV)/installed: setup.py tools/make_venv.sh
	sh tools/make_venv.sh "$(VENV)" "$(PYTHON)"
	touch $@

install: $(VENV)/installed

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

$(VENV)/installed-lint: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lint]'
	touch $@

quickstart: $(VENV)/installed
	$(BIN)/python -m ascl_tf.train --flagfile=flags/quickstart.flags --workdir=runs/quickstart

# The same fine-tuning on an untrained encoder, for comparison.
quickstart-untrained: $(VENV)/installed
	$(BIN)/python -m ascl_tf.train --flagfile=flags/quickstart.flags --workdir=runs/quickstart \
		--encoder_checkpoint=random --stage=finetune
	$(BIN)/python -m ascl_tf.train --flagfile=flags/quickstart.flags --workdir=runs/quickstart \
		--encoder_checkpoint=random --stage=evaluate

# Every table and figure at the smallest scale, and one page of them all.
reproduce-smoke: $(VENV)/installed
	$(BIN)/python tools/reproduce.py --preset=smoke --jobs=2

# In the order of the files: sorted by number of tests, long files of few tests would come last.
test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist=loadfile --no-loadscope-reorder

test-slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -m slow

# Kills of runs in every phase, and of reproductions.
chaos: $(VENV)/installed-test
	$(BIN)/python -m pytest -m slow tests/endurance

# Asks PyPI for published vulnerabilities of what is installed; fails where it cannot tell.
audit: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[audit]'
	$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/audited.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement=$(VENV)/audited.txt

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

# The site of docs/, in build/site; a broken link is an error. The variable silences the theme's notice on MkDocs 2.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

lint: $(VENV)/installed-lint
	$(BIN)/ruff check ascl_tf tests tools setup.py
	$(BIN)/ruff format --check ascl_tf tests tools setup.py
	$(BIN)/mypy

format: $(VENV)/installed-lint
	$(BIN)/ruff check --fix ascl_tf tests tools setup.py
	$(BIN)/ruff format ascl_tf tests tools setup.py

clean:
	rm -rf $(VENV) build dist *.egg-info
