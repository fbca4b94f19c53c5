#!/usr/bin/env bash
# `make bench`: builds the benchmarks and prints one BENCH line a figure.
source "$(dirname "$0")/common.sh"
setup/setup.sh bench
exec .venv/bin/python bench/bench.py build-bench/bin
