#!/usr/bin/env bash
# Everything between a fresh Debian 12 and a built command. Each step does nothing where it is done already.
#   setup/setup.sh [PRESET]     PRESET as in CMakePresets.json; default release
source "$(dirname "$0")/common.sh"
preset=${1:-release}

install_packages setup/apt-packages.txt
case "$preset" in asan | tsan) install_packages setup/apt-packages-tools.txt ;; esac
install_wheels .venv setup/requirements.lock
.venv/bin/python setup/make_efficientnet_lite0.py

folder=build
[ "$preset" = release ] || folder="build-$preset"
if [ ! -f "$folder/build.ninja" ]; then
  say "configuring ($preset)"
  mkdir -p "$folder"
  cmake --preset "$preset" >"$folder/configure.log" 2>&1 || {
    tail -n 20 "$folder/configure.log" >&2
    die "CMake failed; its log: $folder/configure.log"
  }
fi
if ! ninja -C "$folder" -n | grep -q 'no work to do'; then
  say "building ($preset)"
  NINJA_STATUS='       [%f/%t, %e s] ' ninja -C "$folder" || die "the build failed; see above"
fi
say "built: $folder/bin/pomona"
