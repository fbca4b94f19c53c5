#!/usr/bin/env bash
# The checkers of deploy/'s files, for tests/deploy, in an environment of their own: .venv-deploy (0.3 GB).
# Does nothing where it stands already.
source "$(dirname "$0")/common.sh"
install_wheels .venv-deploy setup/requirements-deploy.lock
