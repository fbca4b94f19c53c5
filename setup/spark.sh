#!/usr/bin/env bash
# PySpark for tests/spark, in environments of their own: .venv-spark4 (the newest) and .venv-spark3 (3.5).
# About 1.5 GB and half a minute each. Does nothing where they stand already.
#   setup/spark.sh [4|3]     both by default
source "$(dirname "$0")/common.sh"
case ${1:-both} in
  4 | 3) versions=("$1") ;;
  both) versions=(4 3) ;;
  *) die "setup/spark.sh [4|3], not '$1'" ;;
esac
install_packages setup/apt-packages-test.txt
for version in "${versions[@]}"; do
  install_wheels ".venv-spark$version" "setup/requirements-spark$version.lock"
done
