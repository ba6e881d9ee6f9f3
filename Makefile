# Each target sets itself up: nothing but Python >= 3.11, make and a network is needed.
#   make demo [DATA=DIR] [WEB=1]   a pump station with faults, watched from socket to alert; WEB=1: with the live page
#   make demo LEARN=1      from nothing to a better model: recorded, learned, taught, tried in the shadow, promoted, turned back
#   make fleet             40 pumps of three makes, four of them sick: fit, backtest, report; on a local Ray cluster, too, where ray can be installed
#   make test              all that CI runs: lint, types, tests
#   make bench             speed, latency, memory, side by side with a bare loop
#   make bench-quality [DATA=DIR SEEDS=3]   detection beside the classics, the budget, sick sensors, reasons; an hour, goes on where it was stopped
#   make chaos [N=1000 SEED=1] [LEARN=1]   so many faults on real processes: alerts lost, doubled, stuck; LEARN=1: while models are made, sent, promoted
#   make soak [MINUTES=30]       2,000 messages a second, garbage among them: memory flat, nothing lost
#   make node-red          Node-RED and the schema of AsyncAPI into out/npm, for the tests that run them; needs npm
#   make homeassistant     Home Assistant into out/homeassistant, for the tests that run it; needs Python 3.13
#   make sparkplug         pysparkplug into out/sparkplug, an edge node for the tests that read one
#   make packages [ARGS="--python 3.13"]   wheels, Debian packages for amd64 and arm64, checksums, bills of materials into out/packages; needs dpkg-deb
#   make arm               an arm64 Debian under qemu: installed without a network, all families' scores and a daemon's alerts as here; root
#   make vm [CUTS=20 ARGS="--accelerator kvm"]   a Debian with systemd in a virtual machine: installed, upgraded, killed, cut off from power, removed; root
#   make roots             the Debian packages in clean roots: come, take over, stand aside, go; root
#   make container         the image, built without a registry on a Debian root, and run; root
#   make machines [SHORT=1]   arm, roots, container and vm; each left out, with the reason, where its tools are missing; SHORT=1: minutes
#   make docs              the documents as a site in out/docs, every link checked
#   make fuzz [BYTES=10000000 FILES=10000 TRACES=100000 PACKETS=200000]   hostile payloads, packets, spoilt models, lives of alerts: each used or refused

PYTHON ?= python3
# On a machine without a GPU, a CPU build of torch saves gigabytes; pip takes one that it finds locally.
TORCH ?= torch==2.13.0
BIN := .venv/bin
HASS_PYTHON ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13*/bin/python) python3.13)
# The newest Home Assistant that any Python 3.13 takes.
HASS_PACKAGES := homeassistant==2025.4.4 home-assistant-frontend==20250411.0 paho-mqtt==2.1.0
# What imports onnxruntime before edge-ae does must not report to its vendor either.
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help demo fleet test lint types tests node-red homeassistant sparkplug packages arm vm roots container machines docs bench bench-quality chaos soak fuzz format clean

help:
	@sed -n 's/^#   //p' Makefile

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[demo]' --editable ./train
	touch $@

.venv/.web: .venv/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[web]'
	touch $@

.venv/.dev: .venv/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]' --editable ./train
	touch $@

demo: .venv/.demo $(if $(WEB),.venv/.web)
	$(BIN)/python deploy/demo.py $(if $(DATA),--data '$(DATA)') $(if $(WEB),--web) $(if $(LEARN),--learn)

fleet: .venv/.demo
	@test -e .venv/.ray || { $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[ray]' && touch .venv/.ray; } \
		|| echo 'ray cannot be installed here (pip says why above): its part is left out'
	$(BIN)/python deploy/fleet.py

test: lint types tests

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

tests: .venv/.dev
	$(BIN)/python -m pytest -n 2 $(ARGS)

node-red:
	mkdir -p out/npm
	cd out/npm && npm install --no-audit --no-fund --loglevel error node-red@4 @asyncapi/specs@6

homeassistant: out/homeassistant/bin/hass

out/homeassistant/bin/hass:
	$(HASS_PYTHON) -m venv out/homeassistant
	out/homeassistant/bin/pip install --quiet --disable-pip-version-check $(HASS_PACKAGES)

sparkplug: out/sparkplug/bin/python

out/sparkplug/bin/python:
	$(PYTHON) -m venv out/sparkplug
	out/sparkplug/bin/pip install --quiet --disable-pip-version-check 'pysparkplug>=0.6,<0.7' || { rm -rf out/sparkplug; false; }

# A tool of this target alone, so that nothing of it is in the environment that is tested.
out/cyclonedx/bin/cyclonedx-py:
	$(PYTHON) -m venv out/cyclonedx
	out/cyclonedx/bin/pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7,<8' || { rm -rf out/cyclonedx; false; }

packages: .venv/bin/python out/cyclonedx/bin/cyclonedx-py
	CYCLONEDX=out/cyclonedx/bin/cyclonedx-py $(BIN)/python -m deploy.packages $(ARGS)

arm roots container vm: .venv/.dev
	PYTHON=$(BIN)/python $(BIN)/python -m tests.machines.$@ $(if $(CUTS),--cuts $(CUTS)) $(ARGS)

# One at a time, for each wants the whole machine. A part that is left out ends with 77, and has said why.
machines: .venv/.dev
	@failed=0; for part in $(if $(SHORT),'roots --short',arm roots container vm); do \
		PYTHON=$(BIN)/python $(BIN)/python -m tests.machines.$$part || [ $$? -eq 77 ] || failed=1; \
	done; exit $$failed

.venv/.docs: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

# The variable silences an advertisement of the theme's next generation.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --config-file docs/site/mkdocs.yml

bench: .venv/.dev
	$(BIN)/python -m tests.bench.bench
	$(BIN)/python -m tests.bench.store
	$(BIN)/python -m tests.bench.swaps

bench-quality: .venv/.dev
	$(BIN)/python -m tests.bench.quality --seeds $(or $(SEEDS),3) $(if $(DATA),--data '$(DATA)') $(ARGS)
	$(BIN)/python -m tests.bench.lessons --seeds $(or $(SEEDS),3)

chaos: .venv/.dev
	$(BIN)/python -m tests.chaos.campaign --faults $(or $(N),1000) --seed $(or $(SEED),1) $(if $(LEARN),--learn) $(ARGS)

soak: .venv/.dev
	$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),30)

fuzz: .venv/.dev
	$(BIN)/python -m tests.fuzz.payloads --bytes $(or $(BYTES),10000000) --seed $(or $(SEED),1)
	$(BIN)/python -m tests.fuzz.packets --packets $(or $(PACKETS),200000) --seed $(or $(SEED),1)
	$(BIN)/python -m tests.fuzz.models --files $(or $(FILES),10000) --seed $(or $(SEED),1)
	$(BIN)/python -m tests.fuzz.lives --traces $(or $(TRACES),100000) --seed $(or $(SEED),1)

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv out build *.egg-info
