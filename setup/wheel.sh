#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a wheel for x86-64 systems with glibc 2.34 or newer: it carries what it needs of Debian's libraries, but for
# those that come with the packages openvino and pyarrow. docs/python.md.
#   setup/wheel.sh [FOLDER]     FOLDER for pomona-*.whl; default dist. POMONA_WHEEL_BUILD: the build folder
folder=$(realpath -m "${1:-dist}")
source "$(dirname "$0")/common.sh"
platform=manylinux_2_34_x86_64
build=$(realpath -m "${POMONA_WHEEL_BUILD:-build/wheel}")
python=.venv/bin/python
[ -x "$python" ] || die "there is no .venv: run \`make build\`, which makes it"
# The compilers of the other builds, so that ccache knows their objects.
export CC=${CC:-cc} CXX=${CXX:-c++}

mkdir -p "$build/raw" "$folder"
network="$build/models/efficientnet-lite0.onnx"
POMONA_HOME="$build" "$python" setup/make_efficientnet_lite0.py >"$build/network.log" 2>&1 && [ -f "$network" ] || die "the default network, which the wheel carries, was not made; see $build/network.log"
say "building the wheel"
rm -f "$build/raw"/*.whl "$build/repaired"/*.whl
"$python" -m build --wheel --no-isolation --skip-dependency-check --outdir "$build/raw" . \
  -C "build-dir=$build/cmake" -C cmake.define.POMONA_PORTABLE=ON -C "cmake.define.POMONA_DEFAULT_NETWORK=$network" \
  >"$build/build.log" 2>&1 || { tail -n 30 "$build/build.log" >&2; die "the build failed; its log: $build/build.log"; }

say "adding Debian's libraries"
# libopenvino, libarrow, libparquet: the packages that the wheel depends on. libpomona_*: in the wheel already.
AUDITWHEEL_LD_LIBRARY_PATH="$build/cmake/portable" PATH="$PWD/.venv/bin:$PATH" \
  "$python" -m auditwheel -v repair --plat "$platform" --only-plat --disable-isa-ext-check --wheel-dir "$build/repaired" \
  --exclude 'libopenvino*' --exclude 'libarrow*' --exclude 'libparquet*' --exclude 'libpomona_*' --exclude 'libonedal*' \
  --exclude 'libtbb*' "$build/raw"/pomona-*.whl >"$build/repair.log" 2>&1 ||
  { tail -n 30 "$build/repair.log" >&2; die "auditwheel failed; its log: $build/repair.log"; }
wheel=$(basename "$build/repaired"/pomona-*.whl)
"$python" setup/wheel_notices.py "$build/repair.log" "$build/repaired/$wheel" "$folder/$wheel"
say "built: $folder/$wheel"
