# Every target makes the environment first if it is missing or older than its pins. Paths may hold spaces: all here
# are relative to this folder.

PYTHON := .venv/bin/python
INSTALLED := .venv/.installed
SAMPLE_FLAGS := $(if $(filter 1,$(ONCE)),--once)
# SHORT=1 leaves out what takes minutes.
LONG := $(if $(filter 1,$(SHORT)), and not long)

.DEFAULT_GOAL := help
.PHONY: help install run up test lint e2e faults gate bench train-video train-code train-text screens vllm-install vllm-up api-fuzz

help:
	@echo 'make run [ONCE=1]    start everything and make a sample clip and completion (ONCE=1: then stop)'
	@echo 'make up              start everything, no sample'
	@echo 'make test            the tests, on embedded servers or on DATABASE_URL and REDIS_URL'
	@echo 'make lint            ruff and the import contracts'
	@echo 'make e2e [SHORT=1]   in a real browser'
	@echo 'make faults [SHORT=1] kills, stops and corruption'
	@echo 'make gate [SHORT=1]  the deploy gate: may this release go out?'
	@echo 'make api-fuzz [EXAMPLES=10] the API against its own document, with all that chance makes up'
	@echo 'make bench [NAME=x]  one JSON object a line'
	@echo 'make train-video, make train-code   train the models that ship, anew'
	@echo 'make train-text      train the text filter that ships, anew'
	@echo 'make vllm-up         a vLLM server without a GPU, in an environment of its own (2.5 GB)'
	@echo 'make screens [ONLY=x]  pictures of every page in docs/screens, from a Backlot of its own'

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@found=; for candidate in python3.11 python3; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  if [ -z "$$found" ]; then echo 'Backlot needs Python 3.11 (python3.11, or python3 of that version, on the PATH).' >&2; exit 1; fi; \
	  echo "making .venv with $$found"; "$$found" -m venv --clear .venv; \
	fi
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(INSTALLED)

run: $(INSTALLED)
	@exec $(PYTHON) manage.py serve $(SAMPLE_FLAGS)

up: $(INSTALLED)
	@exec $(PYTHON) manage.py serve --no-sample

test: $(INSTALLED)
	$(PYTHON) -m pytest -m 'not e2e and not faults and not long'

lint: $(INSTALLED)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

e2e: $(INSTALLED)
	$(PYTHON) -m pytest -m 'e2e$(LONG)' tests/e2e

faults: $(INSTALLED)
	$(PYTHON) -m pytest -m 'faults$(LONG)'

gate: $(INSTALLED)
	SHORT=$(SHORT) $(PYTHON) -m tests.release_gate

api-fuzz: $(INSTALLED)
	API_FUZZ_EXAMPLES=$(or $(EXAMPLES),10) $(PYTHON) -m pytest -q -m long tests/generation/test_api_fuzz.py

bench: $(INSTALLED)
	@$(PYTHON) -m bench $(NAME)

train-video: $(INSTALLED)
	$(PYTHON) -m generation.engines.training.train_video $(ARGS)

train-code: $(INSTALLED)
	$(PYTHON) -m generation.engines.training.train_code $(ARGS)

train-text: $(INSTALLED)
	$(PYTHON) manage.py train_text_filter $(ARGS)

screens: $(INSTALLED)
	$(PYTHON) -m tests.e2e.screens $(ONLY)

VLLM := var/vllm/venv
VLLM_INSTALLED := var/vllm/.installed

vllm-install: $(VLLM_INSTALLED)

$(VLLM_INSTALLED): deploy/vllm/requirements.txt
	@mkdir -p var/vllm
	$(if $(wildcard $(VLLM)/bin/python),,$$(command -v python3.11 || command -v python3) -m venv $(VLLM))
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r deploy/vllm/requirements.txt
	@touch $(VLLM_INSTALLED)

vllm-up: $(VLLM_INSTALLED)
	@exec $(VLLM)/bin/python deploy/vllm/up.py
