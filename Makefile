# One command each; `make help` lists them. Setting up happens once, and again only where its inputs change.
.DEFAULT_GOAL := help
.PHONY: help setup programs demo up test check dashboards bench chaos soak figures privacy replay-proof city

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := .venv/installed
KAFKA := .local/kafka/installed
STEP := infra/local/setup-step

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: programs $(PACKAGES) $(KAFKA) ## install all that is needed: programs, .venv, Kafka

demo: setup ## a site at work, from the camera to the motor (PHOTOS=folder for your own faces, SECURE=1: with certificates)
	$(BIN)/fairroll demo $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(SECURE),--secure)

up: setup ## the whole pipeline on this machine, until Ctrl-C (SECURE=1: with certificates)
	$(BIN)/fairroll up $(if $(SECURE),--secure)

test: setup ## every test, against real brokers, four at a time
	$(BIN)/pytest -n 4 --no-loadscope-reorder

check: setup ## style, types and the borders between folders
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m grafana --check

dashboards: setup ## write grafana/dashboards and the alerts from grafana/*.py
	$(BIN)/python -m grafana

bench: setup ## how fast it answers (PARTS=, TURNS=, RECORD=1 writes docs/benchmarks.md)
	$(BIN)/python -m tests.experiments.bench $(PARTS) $(if $(TURNS),--turns $(TURNS)) $(if $(RECORD),--record)

chaos: setup ## what faults under load do to its promises (SECONDS= of each fault, SEED=, RATE=, ONLY=)
	$(BIN)/python -m tests.experiments.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(RATE),--rate $(RATE)) $(if $(ONLY),--only $(ONLY))

soak: setup ## the highest rate that this machine holds, for ten minutes: is memory flat? (MINUTES=)
	$(BIN)/python -m tests.experiments.chaos.soak $(if $(MINUTES),--minutes $(MINUTES))

figures: setup ## how well templates tell people apart, and that two keys cannot be linked (FACES=, PNG=)
	$(BIN)/python -m tests.experiments.figures $(if $(FACES),--faces "$(FACES)") $(if $(PNG),--figure "$(PNG)")

privacy: setup ## what it claims of faces, each with its evidence from a run on real brokers
	$(BIN)/python -m tests.experiments.privacy

replay-proof: setup ## a recorded run of 100,000 requests, replayed byte for byte (REQUESTS=)
	$(BIN)/python -m tests.experiments.replay_proof $(if $(REQUESTS),--requests $(REQUESTS))

city: setup ## how many series the metrics of 2,000 dispensers and 100,000 visitors have (6 minutes)
	$(BIN)/python -m tests.experiments.city

programs:
	@infra/local/system-packages

$(PACKAGES): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Python 3.11 or newer is needed: make setup PYTHON=python3.11")'
	@test -x $(BIN)/python || $(STEP) 'virtual environment in .venv' $(PYTHON) -m venv .venv
	@$(STEP) 'Python packages, 4.7 GB' $(BIN)/pip install -c constraints.txt -e '.[device,vision,edge,pipeline,preview,dev]'
	@$(STEP) 'facenet-pytorch' $(BIN)/pip install -c constraints.txt --no-deps facenet-pytorch
	@touch $@

$(KAFKA): infra/local/pom.xml | programs $(PACKAGES)
	@rm -rf $(@D)/lib
	@$(STEP) 'Kafka' mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory='$(CURDIR)/$(@D)/lib'
	@$(STEP) 'archive of its classes, for a fast start' $(BIN)/python -m infra.local.class_archive
	@touch $@
