# The commands of this project. `make run` and `make test` work on a fresh Debian 12 with git and make, as root.
.PHONY: help build run test check format bench test-sanitize test-full sim-long clean
MAKEFLAGS += --no-print-directory

help:
	@echo "make build          build/release/quorate"
	@echo "make run            build, then a three-node cluster on this machine"
	@echo "make test           everything that CI runs (docs/TESTING.md)"
	@echo "make check          format, layers, purity, sizes, clang-tidy on what changed: before each commit"
	@echo "make format         rewrite the sources in the house format"
	@echo "make bench          Quorate and etcd, and the three protocols, side by side; writes docs/PERFORMANCE.md's tables"
	@echo "make test-sanitize  the tests under asan+ubsan, then tsan"
	@echo "make sim-long       the simulator until Ctrl-C; a report in build/sim-long, and failure if a rare branch was never reached"
	@echo "make test-full      the whole matrices: many seeds, every bug searched for, long crash loops"

packages-%:
	@tools/install-packages $*

build: packages-build
	@cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
	@ninja -C build/release quorate

run: build
	@build/release/quorate local

test: packages-build packages-test packages-browser packages-peers
	@tools/run-tests

test-full: packages-build packages-test packages-browser packages-peers
	@tools/run-tests --full

test-sanitize: packages-build packages-test
	@tools/run-tests --sanitize

check: packages-build packages-check
	@tools/check

format: packages-check
	@git ls-files 'src/*.h' 'src/*.cc' 'tests/*.cc' 'bench/*.cc' | xargs clang-format-16 -i

bench: build packages-peers
	@tools/run-bench
	@bench/protocols.py

# SIM_PROTOCOL=zab make sim-long: one protocol; Ctrl-C ends it, and it says what it did.
sim-long: packages-build packages-test
	@tools/sim-long

clean:
	@rm -rf build/release build/debug build/asan build/tsan build/bugs
