# Every target shares one bootstrap: a virtual environment that holds exactly
# requirements.lock. `make help` lists the targets.
#
#   make lab LAB_ARGS="--no-browser --port=8890"
#   make lessons LESSONS="24_one_problem_three_models"
#   make test PYTHON=/path/to/python3.12    another Python for the environment
#   make test PYTHON=python VENV=           an environment that is already active

SUPPORTED = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
FIND_PYTHON = for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c "$(SUPPORTED)" >/dev/null 2>&1 && echo $$p && break; done
PYTHON ?= $(shell $(FIND_PYTHON))
VENV ?= .venv
LAB_ARGS ?=
LESSONS ?=
CHAOS ?= 1000 200

ifeq ($(strip $(VENV)),)
PY = $(PYTHON)
READY =
else
PY = $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)/python
READY = $(VENV)/.labkit
# The environment points at this folder, so a moved clone is set up again.
ifneq ($(shell cat "$(READY)" 2>/dev/null),$(CURDIR))
$(READY): FORCE
endif
endif

PIP = "$(PY)" -m pip install -qq --disable-pip-version-check --no-deps
COMPILE = "$(PY)" -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--fork-strategy fewest --extra dev --no-emit-index-url --no-emit-find-links $(LOCK_ARGS)
# rfc3987-syntax (with its parser, lark) checks addresses that labkit never has
# and costs 3 CPU seconds at every start of a notebook.
LEAVE_OUT = --no-emit-package rfc3987-syntax --no-emit-package lark

# What stands in none of the files before it: the packages that an extra adds.
ADDED = grep -vxF -f requirements.lock

# $(call menus,enable or disable,more server extensions,more lab extensions)
define menus
for part in formgrader validate_assignment assignment_list course_list; do \
	parts="$$parts nbgrader.server_extensions.$$part"; done; \
for part in $$parts $(2); do "$(PY)" -m jupyter_server.extension.serverextension $(1) \
	--sys-prefix --log-level=ERROR $$part || exit 1; done; \
"$(PY)" -m jupyterlab.labextensions $(1) --level=sys_prefix --log-level=ERROR \
	@jupyter/nbgrader $(3)
endef

.PHONY: help lab test test-slow chaos browser lessons store student slides bench peers doctor lock \
	frameworks grading teacher learner slide-files extras clean clean-all FORCE

help:
	@echo "make lab        open JupyterLab on the first lesson"
	@echo "make test       lint, tests and every lesson against its stored outputs"
	@echo "make test-slow  the tests that take minutes"
	@echo "make chaos      random faults: 1,000 schedules simulated, 200 real; then fuzzing"
	@echo "make browser    the tests that drive JupyterLab in Chromium"
	@echo "make lessons    run every lesson headless, HTML under build/lessons"
	@echo "make store      run lessons and store their outputs in the notebooks"
	@echo "make student    the lessons without solutions, under build/student"
	@echo "make slides     the lessons as slides that need no network, under build/slides"
	@echo "make grading    install nbgrader; make teacher: with its menus in JupyterLab"
	@echo "make bench      run the benchmarks, against the peers that make peers has installed"
	@echo "make doctor     check this machine: OK or what to do"
	@echo "make lock       renew the lock files (LOCK_ARGS=--upgrade for newer versions)"
	@echo "make clean      remove build outputs and caches; clean-all: the environment too"

lab: $(READY)
	exec "$(PY)" -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(LAB_ARGS)

test: $(READY) extras
	"$(PY)" -m ruff check .
	"$(PY)" -m pytest -m "not slow and not student" tests
	"$(PY)" -m pytest -m student -n 2 --dist worksteal tests
	"$(PY)" -m pytest --nbval --nbval-current-env --nbval-cell-timeout=120 \
		-n 2 --dist loadfile notebooks

test-slow: $(READY) extras
	"$(PY)" -m pytest -m slow --timeout=1800 tests

chaos: $(READY)
	"$(PY)" tests/chaos.py $(CHAOS)
	-@"$(PY)" -m pip install -qq --disable-pip-version-check --no-deps atheris 2>/dev/null
	"$(PY)" tests/atheris_fuzz.py 60

browser: $(READY)
	"$(PY)" -m pytest -m browser tests

lessons: $(READY)
	@"$(PY)" -m labkit lessons $(LESSONS)

store: $(READY)
	@"$(PY)" -m labkit lessons --store $(LESSONS)

student: $(READY)
	@"$(PY)" -m labkit student $(LESSONS)

slides: $(READY) slide-files
	@"$(PY)" -m labkit slides $(LESSONS)

bench: $(READY)
	@for script in $(filter-out benchmarks/bench.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; "$(PY)" "$$script" || exit 1; done

# What labkit is compared with has an environment of its own (about 3 GB).
peers:
	@test -x .venv-peers/bin/python || "$(PYTHON)" -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check \
		-r benchmarks/peers/requirements.txt
	@command -v mpirun >/dev/null || echo "Open MPI is compared if mpirun is on the PATH"

doctor: $(READY)
	@"$(PY)" -m labkit doctor

lock: $(READY)
	@mkdir -p build
	$(COMPILE) $(LEAVE_OUT) --custom-compile-command "make lock" -o requirements.lock
	$(COMPILE) --extra frameworks --constraint requirements.lock --no-annotate --no-header \
		--output-file build/frameworks.txt
	@echo "# On top of requirements.lock, where there is Java; written by: make lock" \
		> requirements-frameworks.lock
	grep -E "^(pyspark|py4j)==" build/frameworks.txt >> requirements-frameworks.lock
	$(COMPILE) $(LEAVE_OUT) --extra grading --constraint requirements.lock --no-annotate \
		--no-header --output-file build/grading.txt
	@echo "# On top of requirements.lock, for teachers; written by: make lock" \
		> requirements-grading.lock
	$(ADDED) build/grading.txt >> requirements-grading.lock
	$(COMPILE) --extra slides --constraint requirements.lock --no-annotate --no-header \
		--output-file build/slides.txt
	@echo "# On top of requirements.lock, for slides; written by: make lock" \
		> requirements-slides.lock
	grep -E "^(latex2mathml|sphinx-revealjs)==" build/slides.txt >> requirements-slides.lock

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .ipynb_checkpoints */.ipynb_checkpoints
	find labkit tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean
	$(if $(strip $(VENV)),rm -rf "$(VENV)")

ifneq ($(READY),)
# --compile: a worker imports hundreds of modules and starts three times faster
# from byte code, which pip writes even where PYTHONDONTWRITEBYTECODE is set.
$(READY): requirements.lock pyproject.toml
	@"$(PYTHON)" -c "$(SUPPORTED)" || { echo "labkit needs Python 3.11, 3.12 or 3.13:" \
		"install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x "$(PY)" || "$(PYTHON)" -m venv "$(VENV)"
	@echo "Installing the packages of requirements.lock into $(VENV), once: one to three minutes"
	@$(PIP) --compile -r requirements.lock
	@$(PIP) --no-build-isolation --editable .
	@"$(PY)" -m jupyterlab.labextensions disable --level=sys_prefix --log-level=ERROR \
		@jupyterlab/apputils-extension:announcements
	@printf "%s" "$(CURDIR)" > "$@"

$(VENV)/.labkit-frameworks: $(READY) requirements-frameworks.lock
	@echo "Java found: installing Spark (about 450 MB, once)"
	@$(PIP) --compile -r requirements-frameworks.lock
	@touch "$@"

frameworks: $(READY)
	@if java -version 2>&1 | grep -qE 'version "(1[7-9]|[2-9][0-9])'; \
	then $(MAKE) -s "$(VENV)/.labkit-frameworks"; \
	else echo "No Java 17 or newer: the comparisons with Spark are skipped"; fi

# Learners get a JupyterLab without nbgrader's menus: make teacher enables them.
$(VENV)/.labkit-grading: $(READY) requirements-grading.lock
	@echo "Installing nbgrader (about 50 MB, once)"
	@$(PIP) --retries 1 --compile -r requirements-grading.lock
	@$(call menus,disable,notebook,@jupyter-notebook/lab-extension)
	@touch "$@"

$(VENV)/.labkit-slides: $(READY) requirements-slides.lock
	@echo "Installing reveal.js for the slides (about 6 MB, once)"
	@$(PIP) --retries 1 --compile -r requirements-slides.lock
	@touch "$@"

grading: $(VENV)/.labkit-grading

teacher: grading
	@$(call menus,enable)
	@echo "JupyterLab now has nbgrader's menus. To hide them: make learner"

learner: grading
	@$(call menus,disable)

slide-files: $(VENV)/.labkit-slides

extras: frameworks
	@$(MAKE) -s grading || echo "nbgrader could not be installed: its tests are skipped"
	@$(MAKE) -s slide-files || echo "reveal.js could not be installed: its tests are skipped"
else
frameworks grading teacher learner slide-files extras:
	@echo "Active environment: Spark, nbgrader and slides are tested only if they are in it"
endif
