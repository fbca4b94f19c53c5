#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds dist/pomona-*.whl against .venv. It needs the Debian packages of setup/apt-packages.txt where it runs.
set -euo pipefail
cd "$(dirname "$0")/.."
# The compilers of the other builds, so that ccache knows their objects.
export CC=${CC:-cc} CXX=${CXX:-c++}
exec .venv/bin/python -m build --wheel --no-isolation --outdir dist .
