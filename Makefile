# Two commands are all a newcomer needs: `make run` and `make test`. Both install what is missing and say what they do.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Found also in a shell that knows nothing (env -i): rustup's own folder, and the system's.
export HOME := $(or $(HOME),$(shell getent passwd "$$(id -u)" | cut -d: -f6))
export PATH := $(HOME)/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$(PATH)
CARGO := cargo
UI := web-proxy/ui
SDK := sdk/js
TUS := stream-service/tests/tus
# `make run LISTEN=0.0.0.0:8080 DATA=/srv/sluice`
LISTEN := 127.0.0.1:8080
DATA := ./sluice-data

.PHONY: help run test build ui sdk setup setup-test setup-bench fmt lint test-sdk test-ui test-rust test-breaks test-autobahn bench bench-bytes bench-s3 bench-hop bench-failover compose-secrets test-compose clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

run: build ## Install what is missing, build, start on http://127.0.0.1:8080 with data in ./sluice-data (Ctrl-C stops)
	@exec target/release/sluice serve --listen "$(LISTEN)" --data-dir "$(DATA)"

test: setup-test ui fmt lint test-sdk test-ui test-rust ## Install what is missing and run every check and every test

build: setup ui ## Build target/release/sluice with the page inside
	$(CARGO) build --release --locked -p sluice

setup:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

setup-bench:
	@scripts/setup.sh bench

# The stamp is newer than the lock file when node_modules is what the lock file says.
$(UI)/node_modules/.stamp: $(UI)/package.json $(UI)/package-lock.json
	@echo "== npm packages of the page, as the lock file says"
	cd $(UI) && npm ci --no-audit --no-fund
	@touch $@

$(SDK)/node_modules/.stamp: $(SDK)/package.json $(SDK)/package-lock.json
	@echo "== npm packages of the gateway's client, as the lock file says"
	cd $(SDK) && npm ci --no-audit --no-fund
	@touch $@

$(TUS)/node_modules/.stamp: $(TUS)/package.json $(TUS)/package-lock.json
	@echo "== npm packages of the upload tests, as the lock file says"
	cd $(TUS) && npm ci --no-audit --no-fund
	@touch $@

# Without a network the tests of tuspy skip themselves, and say so.
$(TUS)/.venv/.stamp: $(TUS)/requirements.txt
	@echo "== Python packages of the upload tests (tuspy), as requirements.txt says"
	@rm -rf $(TUS)/.venv
	@if python3 -m venv $(TUS)/.venv && $(TUS)/.venv/bin/pip install -q --disable-pip-version-check --require-hashes --only-binary=:all: -r $(TUS)/requirements.txt; \
	then touch $@; else rm -rf $(TUS)/.venv; echo "tuspy could not be installed (no network?): its tests will be skipped" >&2; fi

$(SDK)/dist/index.js: $(SDK)/node_modules/.stamp $(shell find $(SDK)/src $(SDK)/tsconfig.json $(SDK)/tsconfig.build.json -type f 2>/dev/null)
	@echo "== the gateway's client"
	cd $(SDK) && npm run --silent build
	@touch $@

# The page is built with the client's source: nothing of the client has to be built or installed before it.
$(UI)/dist/index.html: $(UI)/node_modules/.stamp $(shell find $(SDK)/src $(UI)/src $(UI)/index.html $(UI)/vite.config.ts $(UI)/tsconfig.json $(UI)/public -type f 2>/dev/null)
	@echo "== the page"
	cd $(UI) && npm run --silent build
	@touch $@

ui: setup $(UI)/dist/index.html ## Build the page

sdk: setup $(SDK)/dist/index.js ## Build the gateway's JavaScript client

fmt: ## Is the code formatted?
	$(CARGO) fmt --all --check

lint: ui ## No warning from clippy
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

test-sdk: setup-test $(SDK)/node_modules/.stamp ## The gateway's JavaScript client: types, tests in Node and in Chromium
	cd $(SDK) && npm test --silent

test-ui: ui ## The page's own tests
	cd $(UI) && npm test --silent

test-rust: ui sdk $(TUS)/node_modules/.stamp $(TUS)/.venv/.stamp ## Unit, integration and end-to-end tests of the services
	$(CARGO) test --workspace --locked --no-fail-fast

# About six minutes. BREAKS=n for another count, SEED=n (printed) to repeat one.
test-breaks: setup-test ## 10,000 random breaks of uploads: nothing acknowledged is lost
	SLUICE_TEST_BREAKS=$(or $(BREAKS),10000) $(if $(SEED),SLUICE_TEST_SEED=$(SEED)) $(CARGO) test --locked -p stream-service --test it random_breaks -- --nocapture

compose-secrets: ## Make ./.env and ./secrets, which docker-compose.yml needs
	@scripts/compose-secrets.sh

# As root, about five minutes; nothing of it is left on the machine but Debian packages and ~/.cache/sluice. S3=garage compiles Garage first.
test-compose: ui ## docker-compose.yml and its images for real: the journey on every copy, kills, polite stops
	@scripts/test-compose.sh

bench: setup-bench build ## Measure (see bench/README.md)
	$(CARGO) run --release --locked -p bench -- all

bench-hop: setup-bench build ## Measure requests through the edge beside nginx and haproxy
	$(CARGO) build --release --locked -p bench
	scripts/own-loopback.sh target/release/bench hop $(HOP)

# RUNS=n for another count, FAILOVER="api postgres" for some of it. 20 runs of all take about 25 minutes.
bench-failover: setup-bench build ## Measure for how long requests fail when a copy, PostgreSQL or NATS dies
	$(CARGO) build --release --locked -p bench
	target/release/bench failover $(FAILOVER) --runs=$(or $(RUNS),20)

bench-bytes: setup-bench build ## Measure bytes sent, passed on and taken in beside nginx, haproxy and Go
	$(CARGO) build --release --locked -p bench -p s3-server
	scripts/own-loopback.sh target/release/bench bytes $(BYTES)

bench-s3: setup-bench ## Measure uploads of 1 GB to an S3 store beside aws-cli and rclone
	$(CARGO) build --release --locked -p bench -p s3-server -p stream-service --bins --example s3-put
	target/release/bench s3 $(S3)

clean: ## Remove what was built (never data)
	rm -rf target $(UI)/dist $(UI)/node_modules $(SDK)/dist $(SDK)/node_modules $(TUS)/node_modules $(TUS)/.venv
