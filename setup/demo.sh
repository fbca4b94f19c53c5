#!/usr/bin/env bash
# `make demo`: features, PCA, tables, classifier and report, on photos made here or on someone's own.
#   setup/demo.sh [PHOTOS] [COUNT]
source "$(dirname "$0")/common.sh"
photos=${1:-}
count=${2:-3000}
pomona=build/bin/pomona
out=demo/results

if [ -z "$photos" ]; then
  photos=demo/photos
  if [ ! -f "$photos/.made-$count" ]; then
    say "making $count sample photos: fruit on a turntable"
    rm -rf "$photos"
    "$pomona" datasets make turntable "$photos" --count "$count"
    touch "$photos/.made-$count"
  fi
  own=no
else
  own=yes
fi

say "running the chain on $photos"
rm -rf demo/results
"$pomona" run "$photos" "$out" --variance 0.95 --one-csv

cat <<END

What came out, in $out/
  features/     one vector per photo, as Parquet: spark.read.parquet or pandas reads it
  reduced/      the same photos as principal components; reduced.csv the same for a spreadsheet
  pca/pca.bin   the PCA with its whole spectrum, to apply to new photos
END
[ ! -f "$out/model.onnx" ] || echo "  model.onnx    network, PCA and classifier in one file"
[ ! -f "$out/report.html" ] || echo "  report.html   open it in a browser: it needs no network"
if [ "$own" = no ]; then
  echo "Every class is one picture turned around: figures here show that the chain runs, no more."
fi
cat <<END
Next: make demo PHOTOS=your/folder, or $pomona run s3://bucket/photos results/
      $pomona check $out; $pomona estimate your/folder; $pomona --help
END
