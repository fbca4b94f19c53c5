#!/usr/bin/env bash
# `make test` and `make test-slow`: ctest, then pytest; what was skipped and why stands at the end.
#   setup/test.sh fast|slow|release
source "$(dirname "$0")/common.sh"
kind=${1:-fast}
export POMONA_BIN="$PWD/build/bin/pomona" POMONA_BUILD="$PWD/build"
export POMONA_SHARED="${POMONA_SHARED:-$(realpath -m ../shared/data)}"
install_packages setup/apt-packages-test.txt
failed=0

if [ "$kind" = fast ]; then
  say "unit tests"
  ctest --test-dir build --output-on-failure -j 2 --no-tests=error >build/ctest.log 2>&1 || failed=1
  if [ $failed = 0 ]; then grep -E 'tests passed|Total Test time' build/ctest.log; else cat build/ctest.log; fi
  # GoogleTest writes a skipped test's reason on the line after its place.
  awk '/: Skipped$/ { getline; reasons[$0]++ }
       END { for (reason in reasons) printf "SKIPPED [%d] unit: %s\n", reasons[reason], reason }' \
    build/Testing/Temporary/LastTest.log
  marks='not slow and not release'
elif [ "$kind" = release ]; then
  marks='release'
else
  setup/versitygw.sh
  setup/stores.sh
  setup/spark.sh
  setup/delta.sh || say "Delta is not there: its test will be skipped"
  setup/hadoop.sh || say "HDFS and YARN are not there: their tests will be skipped"
  setup/deploy.sh
  marks='slow and not release'
fi
say "whole-program and oracle tests ($kind)"
code=0
.venv/bin/python -m pytest tests -q -rs -m "$marks" --durations=8 || code=$?
# 5: no test was selected.
[ $code = 0 ] || [ $code = 5 ] || failed=1
[ $failed = 0 ] || die "tests failed; see above"
say "all tests passed"
