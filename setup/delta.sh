#!/usr/bin/env bash
# Delta Lake for tests/spark/test_delta.py: two jars of Maven Central for Spark 3.5, checked by SHA-256, into
# $POMONA_DELTA, by default ~/.cache/pomona/delta. 7 MB. Does nothing where they stand already.
source "$(dirname "$0")/common.sh"
version=3.3.2
home="${POMONA_DELTA:-${XDG_CACHE_HOME:-$HOME/.cache}/pomona/delta}"
mkdir -p "$home"
while read -r sha256 artifact; do
  file="$artifact-$version.jar"
  [ ! -f "$home/$file" ] || continue
  say "fetching $file"
  curl -sf --retry 3 -m 120 -o "$home/$file.part" "https://repo1.maven.org/maven2/io/delta/$artifact/$version/$file" ||
    die "$file could not be fetched: is Maven Central reachable (https_proxy)?"
  sha256sum --quiet --strict -c <<<"$sha256  $home/$file.part" || die "$file is not the one known"
  mv "$home/$file.part" "$home/$file"
done <<'END'
4e92085d5d794cf949c50bb665b91384857cad58680c2d0bfc9c7ad353e98e85 delta-spark_2.12
c096975a2ca97ccc9b4005aa5cce16c9ac3903139d340da6665b66ace67d7c36 delta-storage
END
