#!/usr/bin/env bash
# HDFS and YARN for tests/spark: Hadoop's mini-clusters (jars of Maven Central) and libhdfs.so (compiled from Hadoop's
# C sources, which crates.io has). Into $POMONA_HADOOP, by default ~/.cache/pomona/hadoop: 100 MB, about 20 seconds.
# Does nothing where it stands already; what it could not get it says, and the tests name it when they skip.
source "$(dirname "$0")/common.sh"
version=3.4.1
home="${POMONA_HADOOP:-${XDG_CACHE_HOME:-$HOME/.cache}/pomona/hadoop}"
here=$PWD/setup/hadoop
stamp=$(cat "$here"/*.{xml,java,sha256,properties} "$here"/libhdfs/Cargo.* "$0" | sha256sum | cut -d ' ' -f 1)
[ ! -f "$home/.whole" ] || [ "$(cat "$home/.whole")" != "$stamp" ] || exit 0
install_packages setup/apt-packages-hadoop.txt
java=$(find /usr/lib/jvm -maxdepth 1 -name 'java-17-*' | sort | head -n 1)
[ -x "$java/bin/javac" ] || die "no JDK 17 below /usr/lib/jvm: install openjdk-17-jdk-headless"

say "fetching Hadoop $version's mini-clusters"
rm -rf "$home"
mkdir -p "$home/jars" "$home/classes" "$home/native"
mvn -q -B -f "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
  -DoutputDirectory="$home/jars" -DincludeScope=runtime >"$home/maven.log" 2>&1 ||
  die "Maven could not fetch Hadoop: is Maven Central reachable? Its log: $home/maven.log"
(cd "$home/jars" && sha256sum --quiet --strict -c "$here/jars.sha256") || die "a jar of Hadoop is not the one known"
"$java/bin/javac" -nowarn -cp "$home/jars/*" -d "$home/classes" "$here/MiniHadoop.java" 2>"$home/javac.log" ||
  die "the mini-cluster does not compile; see $home/javac.log"
cp "$here/log4j.properties" "$home/classes/"

# Sparse registries, the only ones Cargo can read by HTTPS alone, came with 1.68.
if command -v cargo >/dev/null && [ "$(printf '%s\n' 1.68 "$(cargo --version | cut -d ' ' -f 2)" | sort -V | head -n 1)" = 1.68 ]; then
  say "compiling libhdfs"
  cargo vendor -q --locked --manifest-path "$here/libhdfs/Cargo.toml" "$home/crates" >"$home/cargo.log" 2>&1 ||
    die "Cargo could not fetch libhdfs's sources: is crates.io reachable? Its log: $home/cargo.log"
  sources="$home/crates/hdfs-sys/libhdfs/hdfs_3_3"
  gcc -O2 -w -fPIC -fcommon -shared -I"$sources" -I"$sources/.." -I"$sources/include" -I"$sources/os" -I"$sources/os/posix" \
    -I"$java/include" -I"$java/include/linux" -o "$home/native/libhdfs.so" \
    "$sources"/{exception,jni_helper,hdfs,jclasses}.c "$sources"/os/posix/*.c \
    -L"$java/lib/server" -ljvm -Wl,-rpath,"$java/lib/server" -lpthread -ldl
else
  say "no Cargo 1.68 or later: tests of hdfs:// will be skipped"
fi
echo "$stamp" >"$home/.whole"
