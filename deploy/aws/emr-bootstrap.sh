#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bootstrap action of EMR 7 (Amazon Linux 2023), on every node: emr-bootstrap.sh s3://.../pomona-env.tar.gz
# Executors get their environment by --archives; the primary node unpacks it too, for the command itself.
set -euo pipefail
archive=${1:?the environment archive, as pomona package --target emr makes it}
sudo dnf install -y -q python3.11
if grep -q '"isMaster": *true' /mnt/var/lib/info/instance.json; then
  sudo mkdir -p /opt/pomona
  aws s3 cp --only-show-errors "$archive" /tmp/pomona-env.tar.gz
  sudo tar -xzf /tmp/pomona-env.tar.gz -C /opt/pomona
  rm /tmp/pomona-env.tar.gz
  sudo ln -sf /opt/pomona/bin/pomona /usr/local/bin/pomona
fi
