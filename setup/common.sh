# Shared by the scripts of setup/: sourced, not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; else bold='' plain=''; fi
say() { printf '%s%5ds%s  %s\n' "$bold" "$SECONDS" "$plain" "$*"; }
die() {
  printf 'set-up stopped: %s\n' "$*" >&2
  exit 1
}

# install_packages FILE: installs what FILE lists and this machine lacks.
install_packages() {
  local missing=() package
  while read -r package; do
    case "$package" in '' | '#'*) continue ;; esac
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done <"$1"
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "this set-up knows Debian's apt-get only. Install by hand: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "run as root, or install sudo, or install by hand: ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${#missing[@]} Debian packages"
  "${as_root[@]}" apt-get update -qq || die "apt-get update failed: is the package mirror reachable?"
  # Who set this machine up before may be another user: the log has a name of its own, and goes where all is well.
  local log
  log=$(mktemp --tmpdir pomona-apt-XXXXXX.log)
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >"$log" 2>&1 || die "apt-get install failed; its log: $log. Missing: ${missing[*]}"
  rm -f "$log"
}

# install_wheels VENV LOCK: makes VENV hold what LOCK names; does nothing where it does already.
install_wheels() {
  local venv=$1 lock=$2 stamp
  stamp="$venv/.$(basename "$lock").sha256"
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(sha256sum <"$lock")" ]; then return 0; fi
  say "installing Python packages of $lock into $venv"
  [ -x "$venv/bin/python" ] || /usr/bin/python3 -m venv "$venv" ||
    die "python3 -m venv failed: install python3-venv"
  # As a module: the first line of bin/pip names the folder that the environment was made in.
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$lock" ||
    die "pip could not install $lock: is a package index reachable (PIP_INDEX_URL, https_proxy)?"
  sha256sum <"$lock" >"$stamp"
}
