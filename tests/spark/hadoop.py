# SPDX-License-Identifier: Apache-2.0
"""HDFS (two data nodes) and YARN (two node managers) in one Java process, from what setup/hadoop.sh fetched."""
import os
import pathlib
import re
import subprocess

from cluster import QUICK_JVM, Missing, SparkPlace, java_home
from processes import Server, wait_for


class MiniHadoop:
    """`hdfs`: the name node's URI; `conf`: what HADOOP_CONF_DIR is to name. Ends with close(), or with this Python."""

    def __init__(self, folder, node_managers=2):
        self.home = self.find()
        self.folder = pathlib.Path(folder)
        self.conf = self.folder / "conf"
        self.java = java_home()
        self.server = Server(
            "hadoop", [self.java / "bin" / "java", "--add-opens=java.base/java.lang=ALL-UNNAMED", "-Xmx768m",
                       *QUICK_JVM.split(), "-cp", f"{self.home}/classes:{self.home}/jars/*", "MiniHadoop", self.folder, 2,
                       node_managers],
            self.folder / "hadoop.log", env={**os.environ, "JAVA_HOME": str(self.java)}, cwd=self.folder,
            stdin=subprocess.PIPE)
        try:
            wait_for((self.conf / "core-site.xml").exists, "Hadoop did not start", 120, [self.server])
        except BaseException:
            self.close()
            raise
        self.hdfs = re.search(r"fs\.defaultFS</name><value>([^<]+)", (self.conf / "core-site.xml").read_text())[1]

    @staticmethod
    def find():
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        home = pathlib.Path(os.environ.get("POMONA_HADOOP") or cache / "pomona" / "hadoop")
        if not (home / ".whole").exists():
            raise Missing(f"Hadoop's mini-clusters are not at {home}: run setup/hadoop.sh")
        return home

    def hdfs_env(self):
        """What a C++ program needs for hdfs://: libhdfs, a Java machine, Hadoop's client classes and addresses."""
        if not (self.home / "native" / "libhdfs.so").exists():
            raise Missing("libhdfs.so is missing: no registry has it ready, and setup/hadoop.sh compiles it only where "
                          "there is Cargo 1.68 or later (for Hadoop's C sources)")
        names = ("hadoop-client-api", "hadoop-client-runtime", "commons-lang3", "slf4j-", "reload4j", "commons-logging")
        jars = [str(jar) for jar in sorted((self.home / "jars").glob("*.jar")) if jar.name.startswith(names)]
        return {**os.environ, "JAVA_HOME": str(self.java), "ARROW_LIBHDFS_DIR": str(self.home / "native"),
                "HADOOP_CONF_DIR": str(self.conf), "CLASSPATH": ":".join([str(self.conf), str(self.home / "classes"), *jars])}

    def logs(self):
        parts = [self.server.tail(60)]
        for log in sorted(self.folder.rglob("container_*/stderr"))[-4:]:
            parts.append("\n".join([f"--- {log}", *log.read_text(errors="replace").splitlines()[-40:]]))
        return "\n".join(parts)

    def close(self):
        # The end of its input is its sign to stop; what does not is killed.
        if self.server.process.stdin:
            self.server.process.stdin.close()
        self.server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class YarnSpark(SparkPlace):
    """Spark on the mini-cluster's YARN, client mode: two executors of one core in containers."""

    def __init__(self, spark, folder, hadoop):
        self.hadoop = hadoop
        super().__init__(spark, folder, "yarn", "127.0.0.1", QUICK_JVM, {
            # Every node is this machine: the jars need not travel. On a real cluster they lie in HDFS or in the image.
            "spark.yarn.jars": f"local:{spark.home}/jars/*", "spark.executor.instances": "2", "spark.executor.cores": "1",
            "spark.executor.memory": "512m", "spark.yarn.am.memory": "512m",
            "spark.yarn.am.extraJavaOptions": QUICK_JVM})

    def env(self, **more):
        return super().env(**{"HADOOP_CONF_DIR": self.hadoop.conf, "YARN_CONF_DIR": self.hadoop.conf, **more})

    def logs(self):
        return self.hadoop.logs()
