#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Initialization action of Dataproc 2.2 (Debian 12), on every node. Executors get their environment by --archives;
# the primary node unpacks it too, for the command itself. The cluster's metadata pomona-archive names it.
set -euo pipefail
role=$(/usr/share/google/get_metadata_value attributes/dataproc-role)
[ "$role" = Master ] || exit 0
archive=$(/usr/share/google/get_metadata_value attributes/pomona-archive)
mkdir -p /opt/pomona
gcloud storage cp --no-user-output-enabled "$archive" /tmp/pomona-env.tar.gz
tar -xzf /tmp/pomona-env.tar.gz -C /opt/pomona
rm /tmp/pomona-env.tar.gz
ln -sf /opt/pomona/bin/pomona /usr/local/bin/pomona
