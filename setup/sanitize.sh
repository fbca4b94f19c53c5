#!/usr/bin/env bash
# `make asan` and `make tsan`: unit tests, then whole-program tests, of programs built with sanitizers. Fails where a
# test fails or a sanitizer has something to say, whichever process it was.
#   setup/sanitize.sh asan|tsan [BUILD_FOLDER [TEST...]]      TESTs of pytest: no unit tests, and these only
source "$(dirname "$0")/common.sh"
kind=${1:-}
build=$(realpath -m "${2:-build-$kind}")
shift $(($# < 2 ? $# : 2))
reports="$build/reports"
supp=$PWD/tests/fuzz
rm -rf "$reports"
mkdir -p "$reports"
chmod 1777 "$reports"  # some tests run the command as another user

# Suppressions are for libraries that are not ours; each says why.
common="log_path=$reports/found external_symbolizer_path=/usr/bin/llvm-symbolizer-19"
case $kind in
  asan)
    export ASAN_OPTIONS="$common detect_leaks=1 allocator_may_return_null=1 detect_stack_use_after_return=1"
    export LSAN_OPTIONS="suppressions=$supp/lsan.supp print_suppressions=0"
    export UBSAN_OPTIONS="$common print_stacktrace=1"
    ;;
  tsan) export TSAN_OPTIONS="$common suppressions=$supp/tsan.supp" ;;
  *) die "setup/sanitize.sh asan|tsan [BUILD_FOLDER [TEST...]]" ;;
esac
# oneTBB loads its helpers in a way (RTLD_DEEPBIND) that sanitizers cannot live with, unless told of them.
export TBB_ENABLE_SANITIZERS=1
export POMONA_BIN="$build/bin/pomona" POMONA_BUILD="$build"
export POMONA_SHARED="${POMONA_SHARED:-$(realpath -m ../shared/data)}"

failed=0
if [ $# = 0 ]; then
  say "unit tests ($kind)"
  ctest --test-dir "$build" --output-on-failure -j "$(nproc)" --no-tests=error >"$build/ctest.log" 2>&1 || failed=1
  if [ $failed = 0 ]; then grep -E 'tests passed|Total Test time' "$build/ctest.log"; else cat "$build/ctest.log"; fi
  # The command and the server from outside; no interpreter without sanitizers can load our module.
  set -- tests/serve tests/old_files tests/test_*.py \
    --deselect "tests/old_files/test_old_files.py::test_the_python_package_reads_them"
fi
say "whole-program tests ($kind)"
# Programs are several times slower here: no test may take that for a hang.
.venv/bin/python -m pytest "$@" -q -rs -m 'not slow and not release' -o timeout=1800 --durations=5 || failed=1
if compgen -G "$reports/found*" >/dev/null; then
  head -n 60 "$reports"/found*
  die "$(cat "$reports"/found* | grep -c '^SUMMARY') findings of sanitizers: see $reports"
fi
[ $failed = 0 ] || die "tests failed; see above"
say "all tests passed, nothing was found"
