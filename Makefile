# Recipes for people and for CI; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(IMAGESEARCH_CACHE),$(HOME)/.cache/imagesearch)
# Build output stays outside the clone, so that a new clone starts warm.
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PATH := $(CACHE)/bin:$(PATH)
export ORT_DYLIB_PATH ?=

UI_SOURCES := $(shell find services/frontend/src services/frontend/public services/frontend/index.html services/frontend/*.ts services/frontend/package-lock.json -type f 2>/dev/null)
UI := services/frontend/dist/index.html
DATA_DIR ?= data

.PHONY: help
help: ## List the recipes
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: tools $(UI) ## Everything from a fresh clone to the UI on http://localhost:3000
	@cargo build --release --package imagesearch
	@ORT_DYLIB_PATH=$$(scripts/install-onnxruntime) exec $(CARGO_TARGET_DIR)/release/imagesearch up --data-dir $(DATA_DIR)

.PHONY: images
images: ## Build the container images
	@docker/build

.PHONY: compose
compose: ## Everything in containers, on http://localhost:3000
	@IMAGES="imagesearch frontend" docker/build
	@docker/start

.PHONY: kind
kind: ## Everything on a Kubernetes of its own by kind, on http://localhost:3000; scripts/kind down removes it
	@scripts/kind

.PHONY: install
install: build ## Put the program into ~/.local/bin
	install -D $(CARGO_TARGET_DIR)/release/imagesearch $(HOME)/.local/bin/imagesearch

.PHONY: build
build: tools $(UI) ## Build the release binary and the UI
	cargo build --release --package imagesearch

.PHONY: lint-charts
lint-charts: ## Charts, manifests and samples; builds its tools once, with Go
	@scripts/lint-charts

.PHONY: test
test: tools $(UI) ## Everything that proves the project on this machine
	@scripts/test

.PHONY: test-docs
test-docs: tools $(UI) ## Every command of the pages that this machine can run, and every link
	@scripts/test-docs

.PHONY: test-observability
test-observability: tools $(UI) ## Dashboards, rules and alerts on a real Prometheus over real processes
	@scripts/test-observability

.PHONY: test-compose
test-compose: tools $(UI) ## The images and docker/compose.yaml on a Docker engine of its own; needs root
	@scripts/test-compose

.PHONY: test-images
test-images: tools ## The same, with the programs built inside of the images
	@scripts/test-compose whole

.PHONY: test-cluster
test-cluster: tools ## The operator on a real Kubernetes of its own, or KUBECONFIG's; needs root
	@scripts/test-cluster

.PHONY: test-all
test-all: test test-cluster test-observability test-minio test-faults test-images test-upgrade test-dist bench soak ## Also what takes long: every fault, whole image builds, benchmarks, a soak

.PHONY: test-faults
test-faults: tools $(UI) ## Each fault that the roles are to survive, and every order of steps
	@scripts/test-faults

.PHONY: bench
bench: build ## Measure; prints the tables of docs/performance.md
	@scripts/bench

.PHONY: test-minio
test-minio: tools ## The S3 adapter against MinIO, which is built once, with Go
	@scripts/test-minio

.PHONY: soak
soak: tools $(UI) ## Kill the process at random under load for SOAK_MINUTES (10)
	@SOAK_MINUTES=$${SOAK_MINUTES:-10} scripts/soak

.PHONY: dist
dist: tools $(UI) ## What a release consists of, in dist/; without Docker: scripts/dist --without-images
	@scripts/dist

.PHONY: test-dist
test-dist: tools $(UI) ## A release without images, made twice, unpacked and run offline
	@scripts/test-dist

.PHONY: test-upgrade
test-upgrade: tools ## The data folder and the charts of the release before, with this one
	@scripts/test-upgrade

.PHONY: fuzz
fuzz: tools ## Run every fuzz target for FUZZ_SECONDS (60)
	@scripts/fuzz $${FUZZ_SECONDS:-60}

.PHONY: fmt
fmt: ## Format Rust and TypeScript
	cargo fmt --all
	cd services/frontend && npm run --silent format

.PHONY: lint
lint: tools $(UI) ## Formatting, clippy, licences and advisories, docs
	@scripts/lint

.PHONY: generate
generate: tools ## Write what is generated: references of API, configuration, metrics and resource, manifests, dashboards
	@scripts/generate

.PHONY: screenshot
screenshot: tools $(UI) ## Make docs/images/search.png anew; wants pngquant and fonts-inter
	@scripts/test-ui screenshot

.PHONY: hooks
hooks: ## Have git run scripts/pre-commit before each commit
	git config core.hooksPath scripts

.PHONY: tools
tools:
	@scripts/check-tools

$(UI): $(UI_SOURCES)
	@echo "building the UI"
	@cd services/frontend && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build
	@touch $@

.PHONY: clean
clean: ## Remove what was built here; the cache outside the clone stays
	rm -rf services/frontend/dist services/frontend/node_modules
