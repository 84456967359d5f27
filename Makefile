# What can be done here; `make` lists it. CI runs `make test`.
SHELL := /bin/bash
TARGET := x86_64-unknown-linux-gnu

.PHONY: help test lint unit generate release cluster cluster-down demo demo-down

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

test: lint unit ## Run all tests, those on a real cluster included
	$(MAKE) release
	tests/cluster/run-tests

lint: ## Check format and lints
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

unit: ## Run the tests that need no cluster
	cargo test --workspace --locked

generate: ## Write the generated files (CRDs, RBAC)
	UPDATE=1 cargo test --locked --test generated

release: ## Build the static binaries
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target $(TARGET) -p warmfront -p catalog

cluster: ## Bring a local cluster up
	tests/cluster/up

cluster-down: ## Remove it
	tests/cluster/down

demo: release ## Show three releases of a cached app on a real local cluster
	tests/cluster/up demo
	tests/cluster/images demo
	tests/cluster/releases demo

demo-down: ## Remove the demo's cluster
	tests/cluster/down demo
