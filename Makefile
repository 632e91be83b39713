# Everything a newcomer types. `make demo` and `make test` install what is missing (Debian 12; root or sudo).

CARGO ?= cargo
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
# Without a loader at work both start 0.4 ms sooner, and run in a root that has no libraries.
STATIC := -C target-feature=+crt-static
DIST := $(or $(CARGO_TARGET_DIR),target)/dist
PAYLOAD_CRATES := libcuda libnvml libcudart libcublas libcublaslt libnccl

.PHONY: help build release demo test clients bench soak fuzz lint clean

help:
	@echo "make demo     run a real language model on the virtual GPU"
	@echo "make test     install what the tests need, build, run all tests"
	@echo "make clients  run real CUDA programs from package registries, print a table"
	@echo "make bench    print the ratios of the design, write target/bench.json"
	@echo "make soak     storms of processes and random kills for half an hour (SECONDS=…), then looks for what is left"
	@echo "make fuzz     parsers of what programs bring, the nodes and the mediator, 20 minutes each (EACH=…)"
	@echo "make build    vgpu-run, its engine and its payload in $(RELEASE); all of it as one file in $(RELEASE)/one-file"
	@echo "make release  one file, licences and checksums, as a tarball that is the same each time, in $(DIST)"
	@echo "make lint     formatting, clippy and documentation, warnings denied"

build:
	scripts/setup build
	$(CARGO) build --release --locked $(addprefix -p ,$(PAYLOAD_CRATES)) -p link-payload -p installation
	$(CARGO) rustc --release --locked -p vgpu-run --bin vgpu-run -- $(STATIC)
	$(CARGO) rustc --release --locked -p engine --bin vgpu-engine -- $(STATIC)
	$(CARGO) rustc --release --locked -p nvidia-smi --bin nvidia-smi -- $(STATIC)
	$(RELEASE)/link-payload
	scripts/one-file $(RELEASE) $(RELEASE)/one-file/vgpu-run

release:
	scripts/setup build
	scripts/release $(DIST)

demo: build
	scripts/setup demo
	scripts/demo

test: build
	scripts/setup test
	scripts/run-tests

clients: build
	scripts/setup test
	scripts/clients

# BENCH_FLAGS=saxpy measures the kernels' rows of that name alone; `--processes 9` takes more samples.
bench: build
	scripts/setup bench
	$(CARGO) build --release --locked -p tests -p benchmarks --bins
ifndef BENCH_FLAGS
	$(RELEASE)/bench-getting-in --quick
	$(RELEASE)/bench-device
endif
	$(RELEASE)/benchmarks $(BENCH_FLAGS)

SECONDS ?= 1800
soak: build
	scripts/soak $(SECONDS)

# libFuzzer is C++, which the build's packages include.
EACH ?= 1200
fuzz:
	scripts/setup build
	scripts/fuzz $(EACH)

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps
	scripts/fuzz --check

clean:
	$(CARGO) clean
