# The two commands of a fresh machine are `make run` and `make test`; `make help` lists the rest.
CARGO ?= cargo
CONFIG ?= configs/quickstart.yaml
TARGET := x86_64-unknown-linux-gnu
RELEASE := target/release/phoenix-collector

.PHONY: help run control test build lint bench dist dist-core differential faults changes fuzz clean

help: ## Lists the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 15

run: ## Builds the control service with the collector in it and starts both, the collector on CONFIG (configs/quickstart.yaml).
	$(CARGO) build --release --package phoenix-control
	@exec examples/quickstart/run target/release/phoenix-control $(CONFIG)

control: ## Builds the control service and starts it alone; says where it is and, the first time, with which key.
	$(CARGO) build --release --package phoenix-control
	@exec target/release/phoenix-control serve

build: ## Builds the release binary.
	$(CARGO) build --release --package phoenix-collector

test: ## Installs what the tests need and runs them all.
	@.ci/install-test-tools
	.ci/with-postgres $(CARGO) test --workspace

lint: ## Checks formatting and lints, as CI does.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: ## Compares CPU, memory, throughput and loss with the null relay and, where installed, other collectors.
	$(CARGO) build --release --package phoenix-collector --package phoenix-benches
	target/release/phoenix-bench compare $(BENCH_ARGS)

dist: ## Puts a static, stripped binary and its debug info into dist/.
	RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --release --package phoenix-collector --target $(TARGET)
	@mkdir -p dist
	objcopy --only-keep-debug target/$(TARGET)/release/phoenix-collector dist/phoenix-collector.debug
	objcopy --strip-all --add-gnu-debuglink=dist/phoenix-collector.debug target/$(TARGET)/release/phoenix-collector dist/phoenix-collector
	@ls -l dist; ldd dist/phoenix-collector 2>&1 || true

dist-core: ## The same with the components of otelcol's core distribution only: dist/phoenix-core, a third smaller.
	$(CARGO) build --package phoenix-builder
	RUSTFLAGS='-C target-feature=+crt-static' target/debug/phoenix-builder --config=builder/examples/core.yaml \
		--output-path=target/core --target=$(TARGET)
	@mkdir -p dist
	install -m 0755 target/core/phoenix-core dist/phoenix-core
	@ls -l dist/phoenix-core; ldd dist/phoenix-core 2>&1 || true

differential: ## Compares what processors make of requests with the Go collector that OTELCOL_PEER names.
	$(CARGO) test --package phoenix-collector --test differential -- --nocapture

faults: ## Runs the fault suite in its long form: 200 kills for each setting, 10,000 losses of power.
	PHOENIX_POWER_SEEDS=10000 $(CARGO) test --package phoenix-storage power
	PHOENIX_TURNS_SEEDS=20000 $(CARGO) test --package phoenix-delivery interleavings
	FAULTS_ROUNDS=200 $(CARGO) test --package phoenix-collector --test faults -- --nocapture

changes: ## Drives collectors under load through 200 remote changes, with the control service and its database killed.
	PHOENIX_TEST_CHANGES=200 .ci/with-postgres $(CARGO) test --package phoenix-control --test control changes -- --nocapture

fuzz: ## Runs the fuzz targets of the parsers for a minute each (needs nightly and cargo-fuzz).
	for crate in collector/pdata collector/config collector/ottl collector/storage collector/transport extensions/basicauth extensions/oidc; do ( cd $$crate/fuzz && for target in $$(cargo +nightly fuzz list); do \
		cargo +nightly fuzz run $$target -- -max_total_time=60 || exit 1; done ) || exit 1; done

clean: ## Removes what was built.
	$(CARGO) clean && rm -rf dist .test-tools
