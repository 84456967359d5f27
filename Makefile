# What can be done here; `make` lists it. CI runs `make test`.
SHELL := /bin/bash
TARGET := x86_64-unknown-linux-gnu
# What tests/cluster/toolchain has installed is found first.
CACHE := $(or $(WARMFRONT_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/warmfront)
export PATH := $(CACHE)/tools/bin:$(PATH)
SCRIPTS := $(shell grep -lE '^\#!.*bash' .ci/* tests/cluster/* tests/bench/* tests/sim/timelines examples/pipelines/* 2>/dev/null)

.PHONY: help test lint advisories unit chart other-tools e2e image soak scenario judge judge-cost generate release bench cluster cluster-down demo demo-down rust

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# The linker of the release works on one core: the tests have the other one meanwhile.
test: lint ## Run all tests, those on a real cluster included
	$(MAKE) --jobs 2 unit release
	$(MAKE) chart other-tools e2e

e2e: release ## Run the tests on a real cluster
	tests/cluster/run-tests

rust:
	@tests/cluster/toolchain rust

lint: rust ## Check format, lints, dependencies and scripts
	@tests/cluster/toolchain deny shellcheck actionlint
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --log-level warn check bans licenses sources
	shellcheck -x -P SCRIPTDIR -S warning $(SCRIPTS)
	actionlint

advisories: rust ## Check the crates against known advisories; needs the network (releases run it)
	@tests/cluster/toolchain deny
	cargo deny --log-level warn check advisories

unit: rust ## Run the tests that need no cluster
	cargo test --workspace --locked

chart: rust ## Test the chart: render it with Helm, every value changed
	@tests/cluster/toolchain helm
	cargo test --locked -p warmfront --test install -- --ignored

# Built as tests/cluster/compile builds it, so that each is built once.
other-tools: ## Try health rules, action.yml and the pipelines as Argo CD, Flux and runners would
	@tests/cluster/toolchain go
	cd tests/cluster/modules/health && CGO_ENABLED=0 go test -mod=readonly -trimpath ./...
	cd tests/pipelines && CGO_ENABLED=0 go test -mod=readonly -trimpath ./...

soak: rust ## Play every failure of the simulation, thousands of random worlds, specs and statuses (two hours)
	WARMFRONT_FUZZ=50000 cargo test --locked -p warmfront --lib fuzz::
	WARMFRONT_CRASH_STRIDE=1 WARMFRONT_FAULT_STRIDE=1 WARMFRONT_LEADER_SEEDS=100 WARMFRONT_WORLDS=$(or $(WORLDS),5000) \
	  cargo test --locked -p warmfront-sim -- --nocapture

scenario: rust ## Play one scenario: make scenario FILE=tests/scenarios/04-promoted.yaml
	@cargo run --locked -q -p warmfront-sim --bin scenario -- $(FILE) $(WITH)

# One row, and one run of it tick by tick: make judge FLAGS="--only R14 --trace 0". With other tools' rules: FLAGS=--others; as JSON: FLAGS="-o json".
judge: rust ## Hold the judge to what is required, in a simulated world: make judge [SCENARIOS=FILE] [RUNS=1000] [SEED=1]
	@cargo run --locked -q -p warmfront-judge -- $(SCENARIOS) $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(FLAGS)

judge-cost: rust ## Measure what one evaluation of a rollout costs, in CPU time and in the status
	@RUSTFLAGS="-C target-feature=+crt-static" cargo run --release --locked -q --target $(TARGET) -p warmfront-judge -- --cost

generate: rust ## Write the generated files (CRDs, RBAC, the reference of kubectl canary, the chart's version and README, moments of releases)
	UPDATE=1 cargo test --locked --test generated
	UPDATE=1 cargo test --locked --test install written::
	UPDATE=1 cargo test --locked -p warmfront-sim --test failures moments::

release: rust ## Build the static binaries
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target $(TARGET) -p warmfront -p catalog

# For another architecture: make image FLAGS="--platform linux/arm64".
image: ## Build the controller's image with docker, podman or buildah: make image [IMAGE=NAME:TAG]
	.ci/image $(or $(IMAGE),warmfront:$(shell .ci/version)) $(FLAGS)

# One size alone: make bench N=200. Flags of the measuring program: FLAGS="--only active --active-seconds 60".
bench: release ## Measure what the controller costs with 1, 200, 1,000 and 5,000 rollouts
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target $(TARGET) -p warmfront-bench
	BENCH_FLAGS="$(FLAGS)" tests/bench/run $(N)

cluster: ## Bring a local cluster up
	tests/cluster/up

cluster-down: ## Remove it
	tests/cluster/down

demo: release ## Show four releases of a cached app on a real local cluster
	tests/cluster/up demo
	tests/cluster/images demo
	tests/cluster/releases demo

demo-down: ## Remove the demo's cluster
	tests/cluster/down demo
