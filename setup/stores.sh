#!/usr/bin/env bash
# Stand-ins for the clouds' object stores in the slow tests: fake-gcs-server (Go 1.24 or later) and Azurite (Node).
# What cannot be installed is said, and its tests are skipped.
source "$(dirname "$0")/common.sh"
version=v1.56.1
if [ ! -x .venv/bin/fake-gcs-server ]; then
  if command -v go >/dev/null && [ "$(printf '%s\n' go1.24 "$(go env GOVERSION)" | sort -V | head -n 1)" = go1.24 ]; then
    say "building the stand-in for Google's storage (fake-gcs-server $version)"
    GOBIN="$PWD/.venv/bin" GOFLAGS=-mod=mod go install "github.com/fsouza/fake-gcs-server@$version" ||
      say "fake-gcs-server could not be built: tests of gs:// will be skipped"
  else
    say "no Go 1.24 or later: tests of gs:// will be skipped"
  fi
fi
azurite=tests/stores/azurite
if [ ! -f $azurite/node_modules/.whole ]; then
  if node=$(setup/node.sh); then
    say "installing the stand-in for Azure's storage (Azurite)"
    (cd $azurite && PATH="$node:$PATH" npm ci --no-audit --no-fund --ignore-scripts --silent && touch node_modules/.whole) ||
      say "Azurite could not be installed: tests of abfs:// will be skipped"
  else
    say "no Node: tests of abfs:// will be skipped"
  fi
fi
