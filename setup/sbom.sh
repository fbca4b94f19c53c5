#!/usr/bin/env bash
# The inventory of licences (docs/licences.md) and the bills of materials (build/sbom), checked by their own schemas.
source "$(dirname "$0")/common.sh"
install_wheels .venv-sbom setup/requirements-sbom.lock
.venv/bin/python setup/sbom.py --learn
.venv-sbom/bin/python setup/sbom_validate.py build/sbom/pomona.cdx.json build/sbom/pomona.spdx.json
