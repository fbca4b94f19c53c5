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
    git ls-files -co --exclude-standard -- 'src/*.cc' 'apps/*.cc' |
      xargs -P "$(nproc)" -n 4 clang-tidy-19 -p build --quiet
    ;;
  asan | tsan)
    setup/setup.sh "$1"
    # Suppressions are for libraries that are not ours; each says why.
    export ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1:detect_stack_use_after_return=1"
    export LSAN_OPTIONS="suppressions=$PWD/tests/fuzz/lsan.supp:print_suppressions=0"
    export UBSAN_OPTIONS="print_stacktrace=1"
    # oneTBB loads its helpers in a way (RTLD_DEEPBIND) that sanitizers cannot live with, unless told of them.
    export TBB_ENABLE_SANITIZERS=1
    ctest --test-dir "build-$1" --output-on-failure -j "$(nproc)" --no-tests=error
    ;;
  fuzz)
    setup/setup.sh asan
    read -ra targets <<<"${FUZZ_TARGETS:-}"
    export POMONA_SHARED="${POMONA_SHARED:-$(realpath -m ../shared/data)}"
    .venv/bin/python tests/fuzz/run.py build-asan/bin "${targets[@]}"
    ;;
  *) die "format, tidy, asan, tsan or fuzz" ;;
esac
