# SPDX-License-Identifier: Apache-2.0
"""The clusters the Spark tests stand on are real: other processes, other hosts, executors that can die."""
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from processes import running

JOBS = pathlib.Path(__file__).resolve().parent / "jobs"
pytestmark = pytest.mark.slow


def said(done):
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("name", ["cluster", "cluster3"])
def test_both_workers_map_arrow_batches(name, request):
    cluster = request.getfixturevalue(name)
    answer = said(cluster.run(JOBS / "who.py", 1000, 8, 0.3))
    assert (answer["rows"], answer["sum"]) == (1000, 499500)
    assert answer["version"] == cluster.spark.version
    hosts = sorted({cluster.network.host(i) for i in range(2)})
    assert sorted(answer["hosts"]) == hosts, "a worker had no work"
    assert len({pid for pids in answer["hosts"].values() for pid in pids}) >= 2
    if not cluster.network.isolated:
        pytest.skip(f"both workers on one host, which passed; {cluster.network.reason}")


@pytest.mark.parametrize("name", ["local4", "local3"])
def test_local_mode_maps_arrow_batches(name, request):
    spark = request.getfixturevalue(name)
    answer = said(spark.run(JOBS / "who.py", 1000, 4, 0))
    assert (answer["rows"], answer["sum"], answer["version"]) == (1000, 499500, spark.spark.version)


def test_a_killed_executor_is_replaced_and_the_job_ends_right(cluster):
    with cluster.killing_executor(after=0.5) as killed:
        answer = said(cluster.run(JOBS / "who.py", 100, 6, 1.0))
    assert killed, "the job ended before an executor was killed"
    pid, worker = killed[0]
    assert not pathlib.Path(f"/proc/{pid}").exists()
    assert (answer["rows"], answer["sum"]) == (100, 4950)
    # The event log, as the driver wrote it, is the witness: an executor went, and a third one came.
    log = max((path for path in cluster.events.rglob("*") if path.is_file() and path.stat().st_size), key=os.path.getmtime)
    events = [json.loads(line)["Event"] for line in log.read_text().splitlines()]
    assert "SparkListenerExecutorRemoved" in events
    assert events.count("SparkListenerExecutorAdded") >= 3


def test_workers_reach_the_photo_store_and_nothing_else(cluster, photo_store):
    if not cluster.network.isolated:
        pytest.skip(cluster.network.reason)
    look = ("import errno, socket, pyarrow.fs as fs\n"
            "print(fs.FileSystem.from_uri('s3://photos')[0].get_file_info('photos/Training').type.name)\n"
            "print(socket.socket().connect_ex(('192.0.2.77', 80)) == errno.ENETUNREACH)")
    for number in range(2):
        done = subprocess.run([*cluster.network.inside(number), sys.executable, "-c", look], capture_output=True, text=True,
                              env={**os.environ, **photo_store.env}, timeout=60)
        assert done.stdout.split() == ["Directory", "True"], done.stderr


@pytest.mark.parametrize("how", ["sys.exit(0)", "raise RuntimeError", "os.kill(os.getpid(), 9)"])
def test_nothing_of_a_server_is_left_however_the_tests_end(how, tmp_path):
    """A server that waits for its end with a child, as Spark's do; a child that outlived it would be found by its name."""
    name = f"left-by-{os.getpid()}-{len(how)}"
    child = f"exec -a {name} sleep 300"
    code = (f"import os, sys\nsys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\nimport processes as p\n"
            f"s = p.Server('s', ['bash', '-c', {child!r}], {str(tmp_path / 'log')!r})\n"
            f"p.wait_for(lambda: any({name!r} in m[2] and 'bash' not in m[2] for m in s.members()), 'no child', 10)\n{how}")
    subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    end = time.monotonic() + 5
    while left := [row for row in running() if row[3].startswith(name)]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


def test_a_pod_s_driver_hands_its_session_to_the_command(local4, tmp_path):
    """deploy/kubernetes/main.py, with a command that says what session it got: the one spark-submit prepared."""
    command = tmp_path / "pomona"
    command.write_text(f"#!{local4.spark.python}\nimport sys\nfrom pyspark.sql import SparkSession\n"
                       "spark = SparkSession.builder.master(sys.argv[-1]).appName('x').getOrCreate()\n"
                       "print('got', sys.argv[1:], spark.conf.get('spark.marker.of.submit'), spark.range(5).count())\nspark.stop()\n")
    command.chmod(0o755)
    main = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "main.py"
    done = local4.run(main, "run", "s3://a", "s3://b", conf={"spark.marker.of.submit": "taken-over"},
                      env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "POMONA_SPARK_MASTER": "local[2]"})
    assert "got ['run', 's3://a', 's3://b', '--engine', 'spark', '--master', 'local[2]'] taken-over 5" in done.stdout
