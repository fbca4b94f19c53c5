#!/usr/bin/env bash
# `make bench`, `make bench-serve`, `make bench-spark`, `make bench-scale`, `make bench-peers`: prints one BENCH line a figure.
#   setup/bench.sh [engine|serve|spark|scale [PART...]|peers [WORD...]]
source "$(dirname "$0")/common.sh"
shared=${POMONA_SHARED:-../shared/data}
case ${1:-engine} in
  engine)
    setup/setup.sh bench
    exec .venv/bin/python bench/bench.py build-bench/bin
    ;;
  serve)
    install_packages setup/apt-packages-test.txt
    setup/versitygw.sh
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/photos"
    if [ -f "$shared/fruits360-subset/Training.tar" ]; then
      for part in Training Test; do tar -xf "$shared/fruits360-subset/$part.tar" -C "$work/photos"; done
      load="$work/photos/Test"
    else
      say "real photos are not at $shared: photos of the turntable instead"
      build/bin/pomona datasets make turntable "$work/photos" --count 6000
      load="$work/photos"
    fi
    build/bin/pomona train "$work/photos" -o "$work/model.onnx" -q
    .venv/bin/python bench/serve_bench.py build/bin/pomona "$work/model.onnx" "$load"
    .venv/bin/python bench/edge_bench.py build/bin
    .venv/bin/python bench/store_latency.py build/bin
    ;;
  spark)
    setup/spark.sh 4
    setup/keras.sh
    exec .venv-spark4/bin/python bench/spark_bench.py
    ;;
  scale)
    install_packages setup/apt-packages-test.txt
    setup/versitygw.sh
    shift
    exec .venv/bin/python bench/scale_bench.py build/bin "${@:-all}"
    ;;
  peers)
    shift
    setup/spark.sh 4
    setup/keras.sh
    setup/peers.sh
    code=0
    .venv-peers/bin/python bench/peers/run.py "$@" || code=$?
    # Docs show whole runs only; a run that was ended goes on where it was when this is called again.
    [ $# -gt 0 ] || .venv-peers/bin/python bench/peers/plot.py build/peers.json
    exit $code
    ;;
  *) die "setup/bench.sh [engine|serve|spark|scale|peers], not '$1'" ;;
esac
