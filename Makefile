# `make` alone lists the targets. Each does its own set-up: it needs Python 3.11+ and make.

PYTHON ?= $(shell for p in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=
COURSE ?= course
QUIET = $(VENV)/etc/jupyter/labconfig/default_setting_overrides.json

.DEFAULT_GOAL = help
.PHONY: help lab reset site test notebooks handouts lint format bench package constraints clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

lab: $(VENV)/.has-lab $(QUIET) ## open your own copy of the course in JupyterLab (ARGS="--no-browser --port 8899")
	$(BIN)/python -m chatlib course $(COURSE)
	$(BIN)/jupyter lab $(COURSE)/00_start_here.ipynb $(ARGS)

# In this environment JupyterLab does not ask, over the first cells, whether it may fetch news.
$(QUIET):
	@mkdir -p $(@D)
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}' > $@

reset: $(VENV)/.has-lab ## hand a chapter out anew, and keep your copy beside it (CHAPTER=03)
	@test -n "$(CHAPTER)" || { echo "Which one? For instance: make reset CHAPTER=03"; exit 1; }
	$(BIN)/python -m chatlib course $(COURSE) --reset $(CHAPTER)

site: $(VENV)/.has-site ## build a site of the course and the reference, to read without running it
	$(BIN)/python site/build.py $(ARGS)

test: $(VENV)/.has-test ## run the tests and validate every notebook (ARGS="-k chat")
	$(BIN)/python -m pytest --nbval -n auto --dist loadscope --no-loadscope-reorder $(ARGS)

notebooks: $(VENV)/.has-test ## run the notebooks and refresh what changed in their outputs (ARGS=01_echo)
	$(BIN)/python tests/notebooks/refresh.py $(ARGS)

handouts: $(VENV)/.has-test ## make the pages for a class anew, from what the notebooks say
	$(BIN)/python tests/notebooks/handouts.py

lint: $(VENV)/.has-dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.has-dev ## lay out the code, notebooks included
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.has-bench ## measure starts, stops and deliveries; print the tables, save the chart
	$(BIN)/python -m benchmarks.serve
	$(BIN)/python -m benchmarks $(ARGS)

package: $(VENV)/.has-test ## build the wheel and the sdist, into dist/
	$(BIN)/python -m build --no-isolation

constraints: $(VENV)/.has-dev ## settle anew on exact versions, for the oldest Python
	@echo "Installing into $(VENV): this takes about a minute, once."
	@$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file constraints.txt

clean: ## remove the virtual environment
	rm -rf $(VENV)

$(VENV)/.has-%: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "This needs Python 3.11 or newer; there is $$(python3 --version 2>/dev/null || echo none)."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "Python cannot make a virtual environment; on Debian: apt install python3-venv"; rm -rf $(VENV); exit 1; }
	@echo "Installing into $(VENV): this takes about a minute, once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]" --constraint constraints.txt
	@touch $@
