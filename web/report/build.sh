#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh WORK OUT: makes OUT/report_template.cc in a copy of this folder at WORK, so that the sources stay clean.
# Installs what package-lock.json names only where that changed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$1
out=$2
PATH=$("$here/../../setup/node.sh"):$PATH
export PATH

rm -rf "$work/common"
mkdir -p "$work/report"
cp -R "$here/../common" "$work/"
work=$work/report
rm -rf "$work/src"
cp -R "$here/src" "$here/build.mjs" "$here/package.json" "$here/package-lock.json" "$work/"
if ! cmp -s "$work/package-lock.json" "$work/installed-lock.json"; then
  rm -f "$work/installed-lock.json"
  (cd "$work" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
  cp "$work/package-lock.json" "$work/installed-lock.json"
fi
node "$work/build.mjs" "$out"
