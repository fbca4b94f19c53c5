#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cluster-scoped init script, on every node: installs the wheel of the volume into the cluster's own Python (3.11:
# runtime 15.4 LTS). The cluster names the wheel in its environment variable POMONA_WHEEL.
set -euo pipefail
: "${POMONA_WHEEL:?set it in the cluster: /Volumes/.../pomona-<version>-....whl}"
/databricks/python/bin/pip install --quiet "$POMONA_WHEEL"
# A node that cannot load it stops here, not in the middle of a job.
/databricks/python/bin/python -c 'import pomona'
