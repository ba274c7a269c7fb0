# Every target does the set-up it needs. The Python to build with: make PYTHON=python3.12 venv
PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3.12),$(shell command -v python3.13),python3)
BENCH ?= meta-step
CAMPAIGN ?= benchmarks/$(shell date +%F)
STUDY := configs/study/fashion_mnist.yaml
BIN := .venv/bin
STAMP := .venv/.installed

# One thread a process: test workers share the cores, and bits depend on the number of threads.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help venv demo test lint bench campaign-kills-train campaign-kills-search campaign-digests campaign-algorithms campaign-large campaign-slurm campaign-arms campaign-families campaign-study packages constraints clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## +/\1\t/' | expand -t 24

venv: $(STAMP)  ## .venv with everything installed, at the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'gtn_hpc needs Python 3.11 or later: make PYTHON=...'; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv || { echo 'Python lacks venv: apt-get install python3-venv'; exit 1; }
	@echo 'Installing into .venv (a few minutes the first time)'
	@$(BIN)/pip install -qq --constraint constraints.txt --editable '.[all,bench,test,lint]'
	@touch $@

demo: venv  ## digits: teach, search, train the winner, report
	$(BIN)/gtn demo

test: venv packages  ## the whole suite on two cores (COVERAGE=1: with coverage, in about twice the time)
	@rm -f .coverage .coverage.*
	$(BIN)/$(if $(COVERAGE),coverage run,python) -m pytest -n 6 --dist loadscope --no-loadscope-reorder $(PYTEST)
	@$(if $(COVERAGE),$(BIN)/coverage combine --quiet && $(BIN)/coverage report)

lint: venv  ## format, style, types, layers
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy gtn_hpc $(wildcard analysis/*.py)
	$(BIN)/lint-imports --no-logo

bench: venv  ## one benchmark: make bench BENCH=meta-step
	$(BIN)/gtn bench $(BENCH)

campaign-kills-train: venv  ## a hundred kills of meta-training, each of which has to change no bit (an hour)
	PATH="$(CURDIR)/$(BIN):$$PATH" nice -n 10 $(BIN)/python tests/survival/campaign_kills_train.py -o $(CAMPAIGN)-kills-train

campaign-kills-search: venv  ## five hundred kills of searches, none of which may lose a row (half an hour)
	nice -n 10 $(BIN)/python tests/search/campaign_kills_search.py -o $(CAMPAIGN)-kills-search

campaign-digests: venv  ## one search started in every way there is: equal digests (five minutes)
	nice -n 10 $(BIN)/python tests/search/campaign_digests.py -o $(CAMPAIGN)-digests

campaign-algorithms: venv  ## search algorithms against chance, over seeds: TABLE=nasbench201.csv.gz (minutes)
	nice -n 10 $(BIN)/python tests/search/campaign_algorithms.py -o $(CAMPAIGN)-algorithms --table '$(TABLE)' --images docs/images

campaign-large: venv  ## a million scores ranked and exported, the page of ten thousand architectures (ten minutes)
	nice -n 10 $(BIN)/python tests/report/campaign_large.py -o $(CAMPAIGN)-large

campaign-slurm: venv  ## a real Slurm: short limits, preemption, lost nodes; then again with accounting (half an hour)
	@sh tests/packages.sh slurmdbd mariadb-server
	PATH="$(CURDIR)/$(BIN):$$PATH" nice -n 10 $(BIN)/python -m pytest -p no:xdist --timeout 900 --durations 0 tests/slurm/campaign_slurm.py
	PATH="$(CURDIR)/$(BIN):$$PATH" SLURM_TEST_ACCOUNTING=1 $(BIN)/python -m pytest -p no:xdist --timeout 900 tests/slurm

campaign-arms: venv  ## MNIST: one choice of the teacher at a time, over seeds (three hours on two cores)
	nice -n 10 $(BIN)/python tests/meta/campaign_arms.py -o $(CAMPAIGN)-arms --images docs/images

campaign-families: venv  ## MNIST: teachers of one network, one family and a mixture, judged by five families (an hour)
	nice -n 10 $(BIN)/python tests/meta/campaign_families.py -o $(CAMPAIGN)-families

campaign-study: venv  ## may a teacher's ranking be believed? Fashion-MNIST, small NAO cells: teach, score, certify (an hour)
	@sh tests/packages.sh dataset-fashion-mnist
	$(BIN)/gtn train $(STUDY)
	$(BIN)/gtn search $(STUDY) search.workers=2
	$(BIN)/gtn final $(STUDY)
	$(BIN)/gtn report runs/study-fashion-mnist

packages:  ## Debian packages that tests use, where they can be installed
	@sh tests/packages.sh

constraints: venv  ## writes the installed versions to constraints.txt
	$(BIN)/pip freeze --exclude-editable | sed -E 's/\+[a-z0-9.]+$$//' > constraints.txt
	@touch $(STAMP)

clean:  ## removes .venv and what the tools leave
	rm -rf .venv .coverage .coverage.* .mypy_cache .ruff_cache .import_linter_cache htmlcov build *.egg-info
