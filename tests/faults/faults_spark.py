# SPDX-License-Identifier: Apache-2.0
"""Spark on a standalone cluster: an executor dies, the driver dies; then the dataset, or the resume, is the local engine's."""
import os
import signal
import sys
import threading
import time

import engine_support
import invariants
from bench import Unavailable, require
from faults_local import fault
from places import ROOT


class Cluster:
    def __init__(self, bench):
        sys.path.append(str(ROOT / "tests" / "spark"))
        import cluster
        try:
            self.place = cluster.StandaloneCluster(cluster.SparkInstall.find("4"), bench.root / "spark",
                                                   jvm=cluster.QUICK_JVM)
        except cluster.Missing as missing:
            raise Unavailable(str(missing)) from None
        self.photos = engine_support.make_photos(bench.root / "spark-photos", 900)

    def close(self):
        self.place.close()


def words(bench, cluster, *more):
    return ["featurize", cluster.photos, bench.place / "results", *bench.small(), "--labels", "none", *more]


def spark_words(cluster):
    return ["--engine", "spark", "--master", cluster.place.url]


def begin(bench):
    cluster = bench.once("cluster", lambda: Cluster(bench))

    def make():
        bench.clear()
        bench.run(*words(bench, cluster), code=0)
        return bench.keep("spark")
    expected = bench.once("spark undisturbed", make)
    bench.clear()
    return cluster, expected


def environment(cluster):
    return cluster.place.env(POMONA_PYTHON=cluster.place.spark.python)


def tasks_done(bench, count):
    return lambda: len(list((bench.place / "results").glob("_temporary/*/done/*"))) >= count


@fault("spark.executor", slow=True)
def executor(bench, random):
    cluster, expected = begin(bench)
    count = random.randint(1, 20)
    with cluster.place.killing_executor(when=tasks_done(bench, count)) as killed:
        done = bench.run(*words(bench, cluster), *spark_words(cluster), env=environment(cluster), patience=240)
    require(done.code == 0, str(done))
    invariants.same_dataset(bench.place / "results", expected / "results", "with a killed executor")
    return f"after {count} tasks: " + ("killed" if killed else "the job was over before")


@fault("spark.driver", slow=True)
def driver(bench, random):
    cluster, expected = begin(bench)
    count = random.randint(1, 30)
    process = bench.start(*words(bench, cluster), *spark_words(cluster), env=environment(cluster))
    stop = threading.Event()
    ready = tasks_done(bench, count)

    def kill():
        while not stop.wait(0.02):
            if ready():
                for pid in descendants(process.pid):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                return
    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    done = bench.ended(process, patience=240)
    stop.set()
    thread.join(10)
    time.sleep(1)  # executors notice
    results = bench.place / "results"
    found = invariants.Dataset(results)
    require(not found.finished or done.code == 0, "the driver died, but _SUCCESS is there")
    invariants.check_middle(bench.place, [expected])
    bench.run(*words(bench, cluster, "--resume"), *spark_words(cluster), env=environment(cluster), code=0, patience=240)
    invariants.same_dataset(results, expected / "results", "resumed after the driver's death")
    return f"after {count} tasks: exit {done.code}"


def descendants(pid):
    """The process and all below it, itself last."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    children.setdefault(int(stat.read().rpartition(")")[2].split()[1]), []).append(int(entry))
            except OSError:
                continue
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.insert(0, one)
        todo += children.get(one, [])
    return found
