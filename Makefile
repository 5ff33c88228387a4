# `make` lists the targets. Each of them sets up what it needs by itself.

# These are for the command line of make: other programs' variables of such
# short names mean something else.

# The images of the book and of `make quality`; see d2l_gan/data.
DATA := $(or $(D2L_GAN_DATASET),digits)
export D2L_GAN_DATASET := $(DATA)

# The build of MXNet in .venv; by default the one that is there, or `mxnet`
MXNET := $(D2L_GAN_MXNET)
export D2L_GAN_MXNET := $(MXNET)

# A Python that has PyTorch; by default, that of .venv-torch if it is there
TORCH := $(D2L_GAN_TORCH)
export D2L_GAN_TORCH := $(TORCH)

# Seconds that one cell of a chapter may take
TIMEOUT := 600

# With 0 the pages and notebooks have no solutions of the exercises.
SOLUTIONS := 1

PY := .venv/bin/python

.PHONY: help chapter notebooks solutions lib test quality bench film torch lint format lock venv clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s%s\n", $$1, $$2 }' \
	    Makefile
	@echo 'PYTHON=python3.x chooses the Python (3.9 to 3.12) of .venv,'
	@echo 'MXNET=mxnet-cu117 a build of MXNet for GPUs, TORCH=python a Python'
	@echo 'that has PyTorch, for bench. DATA=mnist, or a folder, chooses other'
	@echo 'images for chapter and quality. SOLUTIONS=0 leaves the solutions out'
	@echo 'of chapter and notebooks.'

chapter: venv ## run what changed in the chapters, make the pages
	@$(PY) -m d2l_gan.book chapter --timeout $(TIMEOUT) \
	    $(if $(filter 0,$(SOLUTIONS)),--no-solutions)

notebooks: venv ## write the notebooks only, without outputs, and run nothing
	@$(PY) -m d2l_gan.book notebooks \
	    $(if $(filter 0,$(SOLUTIONS)),--no-solutions)

solutions: venv ## run what changed in the solutions of the exercises
	@$(PY) -m d2l_gan.book solutions --timeout $(TIMEOUT)

slides: classroom ## a deck of slides for each chapter
	@$(PY) -m d2l_gan.book slides --timeout $(TIMEOUT)

assignments: classroom ## graded notebooks, for nbgrader, and proof that they work
	@.venv-classroom/bin/python -m d2l_gan.book assignments

lib: venv ## write d2l_gan/*.py from the chapters
	@$(PY) -m d2l_gan.book lib

test: venv ## run the tests
	@$(PY) -m pytest

quality: venv ## train all systems by the same work, and judge them (takes long)
	@$(PY) benchmarks/quality.py

bench: venv ## time our code beside d2l's, in MXNet and in PyTorch
	@$(PY) benchmarks/speed.py

film: venv ## chapters/img/film.png, which is on top of README.md, anew
	@$(PY) benchmarks/film.py

torch: venv ## .venv-torch, for the rows of `bench` that need PyTorch
	@$(PY) -m venv .venv-torch
	@.venv-torch/bin/python -m pip install torch==2.13.0

lint: venv ## look for faults and unusual layout in the code
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .

format: venv ## lay out the code that is written by hand
	@$(PY) -m ruff check --fix . && $(PY) -m ruff format .

lock: ## pin the newest versions that go together (needs uv)
	@for v in 3.9 3.10 3.11 3.12; do \
	    uv pip compile --quiet --upgrade --no-header --python-version $$v \
	        --extra book --extra test setup.py \
	        --output-file requirements/python$$v.txt || exit 1; \
	done

classroom: venv # .venv-classroom, for slides and assignments
	@sh requirements/classroom.sh

venv: # .venv with the pinned packages; done again when the pins change
	@sh requirements/install.sh

clean: ## remove the pages, the notebooks and the cache (not .venv)
	rm -rf _build
