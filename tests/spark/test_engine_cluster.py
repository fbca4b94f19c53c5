# SPDX-License-Identifier: Apache-2.0
"""--engine spark on a standalone cluster of two workers, photos and results in an S3 server; executors and workers die."""
import os
import signal
import threading
import time

import numpy as np
import pytest

from engine_support import assert_same_dataset, make_network, make_photos, parts, record, small, vectors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_network(tmp_path_factory.mktemp("network") / "net.onnx", d=24)


def on(cluster, *conf):
    words = ["--engine", "spark", "--master", cluster.url]
    for one in conf:
        words += ["--spark-conf", one]
    return words


def environment(cluster, **more):
    return cluster.env(POMONA_PYTHON=cluster.spark.python, **more)


def store_conf(photo_store):
    return [f"{name}={value}" for name, value in photo_store.executor_conf().items()]


def test_fruits360_in_s3_on_two_workers_is_the_local_engines_dataset(pomona, cluster, photo_store):
    """All 7,478 photos: the same rows and vectors to the bit, and the same components."""
    flags = ["-k", "41", "--input-size", "96", "--rows-per-file", "512", "--no-model", "--no-report", "-q"]
    local = {**os.environ, **photo_store.env}
    pomona("run", photo_store.photos, f"{photo_store.results}/local", *flags, env=local)
    pomona("run", photo_store.photos, f"{photo_store.results}/spark", *flags,
           *on(cluster, *store_conf(photo_store)), env=environment(cluster, **photo_store.env))
    there, here = photo_store.folder / "results" / "spark", photo_store.folder / "results" / "local"
    assert_same_dataset(there / "features", here / "features")
    run = record(there / "features")
    assert run["counts"]["written"] == 7478
    assert len(parts(there / "features")) == len(parts(here / "features")) == 15
    assert not (there / "features" / "_temporary").exists()
    hosts = {span["lane"].split(", ")[1] for span in run["timeline"] if span["stage"] == "featurize" and "," in span["lane"]}
    assert len({span["lane"] for span in run["timeline"] if span["stage"] == "featurize"} - {"driver"}) >= 2
    if cluster.network.isolated:
        assert len(run["engine"]["executors"]) == 2, "a worker had nothing to do"
    assert hosts
    a, b = vectors(there / "reduced", "components"), vectors(here / "reduced", "components")
    np.testing.assert_allclose(a, b, atol=1e-6 * np.abs(b).max())


def test_an_executor_killed_in_the_middle(pomona, cluster, network, tmp_path):
    photos = make_photos(tmp_path / "photos", 1500)
    flags = [*small(network), "--rows-per-file", "16", "--labels", "none"]
    pomona("featurize", photos, tmp_path / "expected", *flags)
    data = tmp_path / "data"

    def midway():
        return len(list(data.glob("_temporary/*/done/*"))) >= 5

    with cluster.killing_executor(when=midway) as killed:
        pomona("featurize", photos, data, *flags, *on(cluster), env=environment(cluster))
    assert killed, "no executor was killed: the test did not test"
    assert_same_dataset(data, tmp_path / "expected")
    assert len(parts(data)) == len(parts(tmp_path / "expected"))
    assert not (data / "_temporary").exists()


def test_speculation_and_tasks_that_fail_leave_no_row_twice(pomona, cluster, network, tmp_path):
    """Two Python workers are killed, one is frozen so that its task runs a second time elsewhere."""
    photos = make_photos(tmp_path / "photos", 1200)
    flags = [*small(network), "--rows-per-file", "16", "--labels", "none"]
    pomona("featurize", photos, tmp_path / "expected", *flags)
    data, stop, harmed, frozen = tmp_path / "data", threading.Event(), [], []

    def harm():
        while not stop.is_set() and len(harmed) < 2:
            if len(list(data.glob("_temporary/*/done/*"))) < 4 * (len(harmed) + 1):
                stop.wait(0.02)
                continue
            workers = [pid for pid, _ in cluster.python_workers() if is_child_of_daemon(pid)]
            if workers:
                os.kill(workers[-1], signal.SIGKILL)
                harmed.append(workers[-1])
        while not stop.is_set() and not frozen:
            workers = [pid for pid, _ in cluster.python_workers() if is_child_of_daemon(pid)]
            if workers and len(list(data.glob("_temporary/*/done/*"))) >= 30:
                os.kill(workers[0], signal.SIGSTOP)
                frozen.append(workers[0])
                if not stop.wait(15):
                    os.kill(workers[0], signal.SIGCONT)
            stop.wait(0.02)

    thread = threading.Thread(target=harm, daemon=True)
    thread.start()
    try:
        pomona("featurize", photos, data, *flags, "--partitions", "40",
               *on(cluster, "spark.speculation=true", "spark.speculation.interval=100ms",
                   "spark.speculation.multiplier=1.5", "spark.speculation.quantile=0.3"),
               env=environment(cluster))
    finally:
        stop.set()
        thread.join(20)
        for pid in frozen:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
    assert len(harmed) == 2, "no worker was killed: the test did not test"
    assert_same_dataset(data, tmp_path / "expected")
    assert len(parts(data)) == len(parts(tmp_path / "expected"))
    # What a frozen attempt writes once it goes on is never seen as data, and the next run clears it away.
    time.sleep(1)
    assert_same_dataset(data, tmp_path / "expected")
    assert len(parts(data)) == len(parts(tmp_path / "expected"))
    pomona("featurize", photos, data, *flags, "--resume")
    assert record(data)["counts"]["computed"] == 0 and not (data / "_temporary").exists()


def is_child_of_daemon(pid):
    """A worker, not the daemon that makes them: its parent is a daemon too."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            parent = stat.read().rpartition(")")[2].split()[1]
        with open(f"/proc/{parent}/cmdline") as words:
            return "pyspark.daemon" in words.read()
    except OSError:
        return False
