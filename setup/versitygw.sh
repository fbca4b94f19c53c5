#!/usr/bin/env bash
# The S3 server of the slow tests (versitygw), built from its Go module into .venv/bin. Needs Go 1.24 or later;
# without, says so and leaves the tests to be skipped.
source "$(dirname "$0")/common.sh"
version=v1.8.0
[ ! -x .venv/bin/versitygw ] || exit 0
if ! command -v go >/dev/null || [ "$(printf '%s\n' go1.24 "$(go env GOVERSION)" | sort -V | head -n 1)" != go1.24 ]; then
  say "no Go 1.24 or later: tests against a real S3 server will be skipped"
  exit 0
fi
say "building the S3 server of the tests (versitygw $version)"
GOBIN="$PWD/.venv/bin" GOFLAGS=-mod=mod go install "github.com/versity/versitygw/cmd/versitygw@$version" ||
  say "versitygw could not be built: tests against a real S3 server will be skipped"
