#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pomona on EMR:
#   emr.sh up    STACK Vpc=.. Subnet=.. PhotosBucket=.. ResultsBucket=.. ArtifactsBucket=.. [InstanceType=..] ...
#   emr.sh run   STACK s3://photos s3://results [options of pomona run]     a step; waits for its end
#   emr.sh ui    STACK        Spark's and YARN's pages at http://localhost:18080 and :8088, through SSM
#   emr.sh down  STACK        ends the cluster and removes roles and groups; buckets stay
# `up` needs pomona-env.tar.gz in this folder: pomona package --target emr -o pomona-env.tar.gz
set -euo pipefail
usage() {
  sed -n '4,8p' "$0" >&2
  exit 2
}
[ $# -ge 2 ] || usage
verb=$1 stack=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
output() {
  aws cloudformation describe-stacks --stack-name "$stack" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}

case $verb in
  up)
    bucket='' prefix=pomona-artifacts
    for word in "$@"; do
      case $word in
        ArtifactsBucket=*) bucket=${word#*=} ;;
        ArtifactsPrefix=*) prefix=${word#*=} ;;
        *=*) ;;
        *) usage ;;
      esac
    done
    [ -n "$bucket" ] || usage
    [ -f pomona-env.tar.gz ] || { echo "no pomona-env.tar.gz here: pomona package --target emr -o pomona-env.tar.gz" >&2; exit 1; }
    aws s3 cp --only-show-errors pomona-env.tar.gz "s3://$bucket/$prefix/pomona-env.tar.gz"
    aws s3 cp --only-show-errors "$here/emr-bootstrap.sh" "s3://$bucket/$prefix/emr-bootstrap.sh"
    aws cloudformation deploy --stack-name "$stack" --template-file "$here/emr.yaml" --capabilities CAPABILITY_IAM \
      --tags application=pomona --parameter-overrides "$@"
    ;;
  run)
    [ $# -ge 2 ] || usage
    cluster=$(output ClusterId)
    # JSON by a program that knows how to quote.
    steps=$(python3 -c 'import json, sys
print(json.dumps([{"Name": "pomona run", "Type": "CUSTOM_JAR", "Jar": "command-runner.jar", "ActionOnFailure": "CONTINUE",
                   "Args": ["pomona", "run", *sys.argv[1:], "--engine", "spark", "--master", "yarn"]}]))' "$@")
    step=$(aws emr add-steps --cluster-id "$cluster" --steps "$steps" --query 'StepIds[0]' --output text)
    echo "step $step on $cluster"
    # Not `aws emr wait`: that gives up after half an hour.
    while true; do
      state=$(aws emr describe-step --cluster-id "$cluster" --step-id "$step" --query Step.Status.State --output text)
      case $state in
        PENDING | RUNNING | CANCEL_PENDING) sleep 30 ;;
        COMPLETED) exit 0 ;;
        *) break ;;
      esac
    done
    logs=$(aws emr describe-cluster --cluster-id "$cluster" --query Cluster.LogUri --output text)
    echo "step $step ended as $state; its log, in some minutes: ${logs%/}/$cluster/steps/$step/" >&2
    exit 1
    ;;
  ui)
    cluster=$(output ClusterId)
    instance=$(aws emr list-instances --cluster-id "$cluster" --instance-group-types MASTER \
      --query 'Instances[0].Ec2InstanceId' --output text)
    trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
    for port in 18080 8088; do
      aws ssm start-session --target "$instance" --document-name AWS-StartPortForwardingSession \
        --parameters "portNumber=$port,localPortNumber=$port" &
    done
    wait
    ;;
  down)
    aws cloudformation delete-stack --stack-name "$stack"
    aws cloudformation wait stack-delete-complete --stack-name "$stack"
    ;;
  *) usage ;;
esac
