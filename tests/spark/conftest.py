# SPDX-License-Identifier: Apache-2.0
"""Spark for the tests: a real standalone cluster of two workers, local mode, and an S3 server both reach."""
import pathlib
import shutil
import sys

import pytest
from places import ROOT

sys.path[:0] = [str(ROOT / "tests"), str(pathlib.Path(__file__).resolve().parent)]

import storage_server  # noqa: E402
from cluster import QUICK_JVM, LocalSpark, Missing, SparkInstall, StandaloneCluster  # noqa: E402
from hadoop import MiniHadoop, YarnSpark  # noqa: E402


def installed(major):
    try:
        return SparkInstall.find(major)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the logs of the cluster it used."""
    report = (yield).get_result()
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, (StandaloneCluster, YarnSpark, MiniHadoop)):
                report.sections.append((f"logs of {name}", value.logs()))


@pytest.fixture(scope="session")
def spark4():
    """The newest PySpark."""
    return installed("4")


@pytest.fixture(scope="session")
def spark3():
    """PySpark 3.5."""
    return installed("3")


@pytest.fixture(scope="session")
def cluster(spark4, tmp_path_factory):
    """A standalone cluster of the newest Spark: two workers of one core, each a host of its own where allowed."""
    with StandaloneCluster(spark4, tmp_path_factory.mktemp("cluster4"), jvm=QUICK_JVM) as started:
        yield started


@pytest.fixture(scope="session")
def cluster3(spark3, tmp_path_factory):
    """The same of Spark 3.5."""
    with StandaloneCluster(spark3, tmp_path_factory.mktemp("cluster3"), jvm=QUICK_JVM) as started:
        yield started


@pytest.fixture(scope="session")
def local4(spark4, tmp_path_factory):
    """local[2] of the newest Spark."""
    return LocalSpark(spark4, tmp_path_factory.mktemp("local4"), jvm=QUICK_JVM)


@pytest.fixture(scope="session")
def local3(spark3, tmp_path_factory):
    """local[2] of Spark 3.5."""
    return LocalSpark(spark3, tmp_path_factory.mktemp("local3"), jvm=QUICK_JVM)


class PhotoStore:
    """An S3 server with real photos in the bucket `photos` (Training/, Test/) and an empty bucket `results`.

    `env`: what a client needs (keys, region, endpoint); `folder`: the server's own files, for a look from outside.
    `executor_conf()`: the same for Spark executors, which are other hosts and inherit nothing.
    """

    photos, results = "s3://photos", "s3://results"

    def __init__(self, folder, env):
        self.folder, self.env = folder, {k: v for k, v in env.items() if k.startswith("AWS_")}

    def executor_conf(self):
        return {f"spark.executorEnv.{name}": value for name, value in self.env.items()}


@pytest.fixture(scope="session")
def photo_store(cluster, fruits360, tmp_path_factory):
    """The S3 server, at an address the workers of `cluster` reach, with fruits360-subset (7,478 photos)."""
    if storage_server.find_versitygw() is None:
        pytest.skip("versitygw is missing: setup/versitygw.sh builds it where there is Go")
    folder = tmp_path_factory.mktemp("s3")
    for part in ("Training", "Test"):
        shutil.copytree(fruits360 / part, folder / "photos" / part)
    (folder / "results").mkdir()
    with storage_server.s3_server(folder, cluster.network.address) as env:
        yield PhotoStore(folder, env)


@pytest.fixture(scope="session")
def hadoop(tmp_path_factory):
    """HDFS with two data nodes and YARN with two node managers."""
    try:
        started = MiniHadoop(tmp_path_factory.mktemp("hadoop"))
    except Missing as missing:
        pytest.skip(str(missing))
    with started:
        yield started


@pytest.fixture(scope="session")
def hdfs_env(hadoop):
    """The environment in which hdfs:// works."""
    try:
        return hadoop.hdfs_env()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def yarn(spark4, hadoop, tmp_path_factory):
    """The newest Spark on YARN."""
    return YarnSpark(spark4, tmp_path_factory.mktemp("yarn"), hadoop)
