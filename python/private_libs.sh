#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# private_libs.sh PATCHELF FROM TO: copies oneDAL and its libtbb under names of our own.
# A Python process may hold OpenVINO's older libtbb.so.12 already, and the loader takes a name only once; oneDAL
# needs the newer one (docs/decisions/0012-python-package.md).
set -euo pipefail
patchelf=$1 from=$2 to=$3
mkdir -p "$to"

copy() {  # copy FROM-NAME OUR-NAME [patchelf options]
  cp -L --remove-destination "$from/$1" "$to/$2.new"
  chmod u+w "$to/$2.new"
  "$patchelf" --set-soname "$2" --set-rpath '$ORIGIN' "${@:3}" "$to/$2.new"
  mv "$to/$2.new" "$to/$2"
}

copy libtbb.so.12 libpomona_tbb.so.12
copy libtbbmalloc.so.2 libpomona_tbbmalloc.so.2
# These name neither the C++ runtime nor each other, for whoever links one links all.
copy libonedal_core.so.4 libpomona_onedal_core.so.4 \
  --add-needed libstdc++.so.6 --add-needed libpomona_onedal_thread.so.4
copy libonedal_thread.so.4 libpomona_onedal_thread.so.4 \
  --replace-needed libtbb.so.12 libpomona_tbb.so.12 --replace-needed libtbbmalloc.so.2 libpomona_tbbmalloc.so.2
copy libonedal.so.4 libpomona_onedal.so.4 \
  --add-needed libstdc++.so.6 --add-needed libpomona_onedal_core.so.4 --add-needed libpomona_onedal_parameters.so.4
copy libonedal_parameters.so.4 libpomona_onedal_parameters.so.4 --replace-needed libonedal.so.4 libpomona_onedal.so.4
