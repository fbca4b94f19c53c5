#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pomona on Dataproc 2.2:
#   dataproc.sh up    CLUSTER REGION gs://artifacts SERVICE_ACCOUNT [SUBNET]   ends when idle for 30 min, or after 1 day
#   dataproc.sh run   CLUSTER REGION gs://photos gs://results [options of pomona run]
#   dataproc.sh ui    CLUSTER ZONE     Spark's and YARN's pages at http://localhost:18080 and :8088, through IAP
#   dataproc.sh down  CLUSTER REGION
# `up` needs pomona-env.tar.gz in this folder: pomona package --target dataproc -o pomona-env.tar.gz
# The service account: roles/dataproc.worker on the project, roles/storage.objectViewer on the photos' bucket,
# roles/storage.objectUser on the results' bucket. No node has an address of its own (Private Google Access is needed).
set -euo pipefail
usage() {
  sed -n '4,7p' "$0" >&2
  exit 2
}
[ $# -ge 3 ] || usage
verb=$1 cluster=$2 place=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)

case $verb in
  up)
    [ $# -ge 2 ] || usage
    artifacts=${1%/} account=$2 subnet=${3:-default}
    [ -f pomona-env.tar.gz ] || { echo "no pomona-env.tar.gz here: pomona package --target dataproc -o pomona-env.tar.gz" >&2; exit 1; }
    gcloud storage cp pomona-env.tar.gz "$here/init.sh" "$artifacts/"
    gcloud dataproc autoscaling-policies import pomona --region "$place" --source "$here/autoscaling.yaml" --quiet
    gcloud dataproc clusters create "$cluster" --region "$place" --image-version 2.2-debian12 \
      --subnet "$subnet" --no-address --service-account "$account" --scopes cloud-platform \
      --shielded-secure-boot --metadata "pomona-archive=$artifacts/pomona-env.tar.gz,block-project-ssh-keys=true" \
      --initialization-actions "$artifacts/init.sh" --autoscaling-policy pomona \
      --master-machine-type n2-standard-4 --worker-machine-type n2-standard-8 --num-workers 2 \
      --max-idle 30m --max-age 1d --labels application=pomona \
      --properties "spark:spark.yarn.dist.archives=$artifacts/pomona-env.tar.gz#environment,spark:spark.pyspark.python=./environment/bin/python,spark:spark.executor.memoryOverheadFactor=0.4"
    ;;
  run)
    [ $# -ge 2 ] || usage
    # The driver runs on the primary node, where nothing unpacks the archive again.
    gcloud dataproc jobs submit pyspark "$here/run.py" --cluster "$cluster" --region "$place" \
      --properties spark.pyspark.driver.python=/opt/pomona/bin/python -- "$@"
    ;;
  ui)
    gcloud compute ssh "$cluster-m" --zone "$place" --tunnel-through-iap -- -N -L 18080:localhost:18080 -L 8088:localhost:8088
    ;;
  down)
    gcloud dataproc clusters delete "$cluster" --region "$place" --quiet
    ;;
  *) usage ;;
esac
