#!/usr/bin/env bash
# `make format`, `make tidy`, `make asan`, `make tsan`.
source "$(dirname "$0")/common.sh"
install_packages setup/apt-packages-tools.txt
mapfile -t sources < <(git ls-files -co --exclude-standard -- '*.cc' '*.h')
case ${1:-} in
  format)
    clang-format-19 -i "${sources[@]}"
    say "formatted ${#sources[@]} files"
    ;;
  tidy)
    setup/setup.sh release
    git ls-files -co --exclude-standard -- 'src/*.cc' 'apps/*.cc' |
      xargs -P "$(nproc)" -n 4 clang-tidy-19 -p build --quiet
    ;;
  asan | tsan)
    setup/setup.sh "$1"
    ctest --test-dir "build-$1" --output-on-failure -j "$(nproc)" --no-tests=error
    ;;
  *) die "format, tidy, asan or tsan" ;;
esac
