# SPDX-License-Identifier: Apache-2.0
# Every target is enough by itself on a fresh Debian 12: it installs what is missing, builds, and runs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PHOTOS ?=
COUNT ?= 3000
RUNS ?= 100
SEED ?= 1

.PHONY: help build demo wheel sbom test test-slow test-release faults bench bench-spark bench-serve bench-peers bench-scale format tidy asan tsan fuzz clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

build:  ## Install what is missing and build build/bin/pomona
	@setup/setup.sh release

demo: build  ## Sample photos through the whole chain; PHOTOS=FOLDER_OR_URI for your own
	@setup/demo.sh '$(PHOTOS)' '$(COUNT)'

wheel: build  ## The Python package as dist/pomona-*.whl, the command in it
	@setup/wheel.sh

test: build  ## Unit, whole-program and oracle tests
	@setup/test.sh fast

test-slow: build  ## What takes longer: object stores, Spark, HDFS, YARN, Keras, browsers
	@setup/test.sh slow

sbom: build  ## Licences of all parts: docs/licences.md, and bills of materials in build/sbom
	@setup/sbom.sh

test-release: build  ## The wheel, built and tried in bare environments; every order of imports
	@setup/test.sh release

faults: build  ## A hundred injected faults; RUNS=100 SEED=1 repeat a series
	@setup/versitygw.sh
	@POMONA_BIN="$(CURDIR)/build/bin/pomona" .venv/bin/python tests/faults/run.py --runs '$(RUNS)' --seed '$(SEED)'

bench: build  ## Figures side by side, as BENCH lines
	@setup/bench.sh

bench-spark: build  ## Spark: ours, the original pipeline, MLlib's PCA
	@setup/bench.sh spark

bench-serve: build  ## The HTTP server under load, the page's edge mode, a store 50 ms away
	@setup/bench.sh serve

PEERS ?=
bench-peers: build  ## The original pipeline, Daft, Ray Data, Python by hand, scikit-learn, MLlib; PEERS=--quick to try
	@setup/bench.sh peers $(PEERS)

PART ?= all
bench-scale: build  ## 67,692 photos end to end, a million objects, a million vectors, large photos; PART=... for one
	@setup/bench.sh scale $(PART)

format:  ## Format the C++ sources
	@setup/tools.sh format

tidy:  ## clang-tidy over the C++ sources, types of the pages
	@setup/tools.sh tidy

asan:  ## Unit and whole-program tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@setup/tools.sh asan

tsan:  ## Unit and whole-program tests under ThreadSanitizer
	@setup/tools.sh tsan

fuzz:  ## Fuzzers over every reader of foreign bytes, an hour in all (FUZZ_SECONDS=N each)
	@setup/tools.sh fuzz

clean:  ## Remove what was built (not .venv, not the networks)
	rm -rf build build-* demo
