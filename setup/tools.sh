#!/usr/bin/env bash
# `make format`, `make tidy`, `make asan`, `make tsan`, `make fuzz`.
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
    # The build is gcc's, with options that clang does not know and headers that only gcc knows how to read.
    git ls-files -co --exclude-standard -- 'src/*.cc' 'apps/*.cc' ':!*_test.cc' |
      xargs -P "$(nproc)" -n 4 clang-tidy-19 -p build --quiet --extra-arg=-Wno-unknown-warning-option \
        --extra-arg=-Wno-deprecated-declarations
    PATH=$(setup/node.sh):$PATH
    for page in app report; do
      npm --prefix "web/$page" ci --ignore-scripts --no-audit --no-fund --loglevel=error
      npm --prefix "web/$page" run --silent check
    done
    say "nothing found"
    ;;
  asan | tsan)
    setup/setup.sh "$1"
    exec setup/sanitize.sh "$1"
    ;;
  fuzz)
    setup/setup.sh asan
    read -ra targets <<<"${FUZZ_TARGETS:-}"
    export POMONA_SHARED="${POMONA_SHARED:-$(realpath -m ../shared/data)}"
    .venv/bin/python tests/fuzz/run.py build-asan/bin "${targets[@]}"
    ;;
  *) die "format, tidy, asan, tsan or fuzz" ;;
esac
