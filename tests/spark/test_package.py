# SPDX-License-Identifier: Apache-2.0
"""`pomona package`: the archive it makes is all that a cluster needs besides Python and its own Spark."""
import base64
import hashlib
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import tarfile
import time
import zipfile

import pytest

from cluster import QUICK_JVM, StandaloneCluster
from engine_support import assert_same_dataset, make_network, make_photos, record, small
from places import BUILD, ROOT

pytestmark = pytest.mark.slow
MANYLINUX = "cp311-cp311-manylinux_2_34_x86_64"


def write_wheel(folder, tag, files=()):
    """A wheel of pomona with that tag: (path, bytes, mode) of `files` and what wheels say about themselves."""
    version = re.search(r"project\(pomona VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    needs = re.search(r"^dependencies = \[(.*)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    info = f"pomona-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: pomona\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {need}\n" for need in re.findall(r'"([^"]+)"', needs))
    all_files = [*files, (f"{info}/METADATA", metadata.encode(), 0o644),
                 (f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(), 0o644),
                 (f"{info}/entry_points.txt", b"[console_scripts]\npomona = pomona._command:main\n", 0o644)]
    rows = [f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
            for path, data, _ in all_files]
    wheel = pathlib.Path(folder) / f"pomona-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data, mode in [*all_files, (f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]).encode(), 0o644)]:
            entry = zipfile.ZipInfo(path)
            entry.external_attr = mode << 16
            archive.writestr(entry, data)
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """What setup/wheel.sh would build, of the build folder under test."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(["cmake", "--install", BUILD, "--component", "python", "--prefix", folder / "tree"], check=True,
                   stdout=subprocess.DEVNULL, timeout=120)
    files = [(path.relative_to(folder / "tree").as_posix(), path.read_bytes(), path.stat().st_mode)
             for path in sorted((folder / "tree").rglob("*")) if path.is_file()]
    return write_wheel(folder, "cp311-cp311-linux_x86_64", files)


@pytest.fixture(scope="module")
def packing(pomona, spark4):
    """Runs `pomona package` with an environment that has what the package needs."""
    def run(*words, **options):
        env = {**os.environ, "POMONA_PYTHON": str(spark4.python)}
        return pomona("package", *words, env=env, **options)
    return run


@pytest.fixture(scope="module")
def archive(packing, wheel, tmp_path_factory):
    """(the archive, what the command said)"""
    file = tmp_path_factory.mktemp("package") / "pomona-env.tar.gz"
    done = packing("--target", "archive", "--wheel", wheel, "-o", file)
    assert [path.name for path in file.parent.iterdir()] == [file.name], "something else was left"
    return file, done.stdout.decode()


@pytest.fixture(scope="module")
def primary(archive, tmp_path_factory):
    """The archive, unpacked as deploy/'s scripts do on a primary node."""
    folder = tmp_path_factory.mktemp("primary") / "opt"
    folder.mkdir()
    subprocess.run(["tar", "-xzf", archive[0], "-C", folder], check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def cluster(spark4, tmp_path_factory):
    """Two workers that know nothing of this tree: a PYTHONPATH of the tests' own would reach their executors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH", raising=False)
        started = StandaloneCluster(spark4, tmp_path_factory.mktemp("bare"), jvm=QUICK_JVM)
    with started:
        yield started


def environment(cluster):
    """A primary node's: its own Spark by SPARK_HOME, nothing of this tree, no Python named."""
    env = cluster.env()
    for name in ("PYTHONPATH", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "POMONA_PYTHON"):
        env.pop(name, None)
    # The fixture's defaults name the Python of the test's environment, which has everything already.
    conf = cluster.folder / "conf-package"
    conf.mkdir(exist_ok=True)
    for file in cluster.conf_folder.iterdir():
        lines = file.read_text().splitlines(keepends=True)
        (conf / file.name).write_text("".join(line for line in lines if not line.startswith("spark.pyspark.python ")))
    return {**env, "SPARK_CONF_DIR": str(conf)}


def test_the_archive_holds_no_pyspark_and_nothing_of_this_machine(archive, wheel):
    file, said = archive
    with tarfile.open(file) as tar:
        members = {member.name: member for member in tar}
        packages = {name.split("/")[3] for name in members if name.startswith("lib/python3.11/site-packages/")}
        assert {"pomona", "openvino", "pyarrow", "numpy", "pandas"} <= packages
        assert not [name for name in packages if name.startswith(("pyspark", "py4j", "pip"))]
        assert members["bin/python"].linkname == "/usr/bin/python3.11"
        assert all(not name.startswith(("/", "..")) and (name == "bin/python" or not member.issym() or "/" not in member.linkname)
                   for name, member in members.items())
        for name in ("bin/activate", "bin/pomona", "pyvenv.cfg"):
            text = tar.extractfile(name).read().decode()
            assert str(ROOT) not in text and str(wheel.parent) not in text
        assert {member.uid for member in members.values()} == {0}
    assert f"{file.stat().st_size / 1e6:.1f} MB" in said
    assert f"--archives {file}#environment" in said


def test_it_runs_wherever_it_is_unpacked(primary, tmp_path):
    moved = tmp_path / "elsewhere with a space"
    moved.symlink_to(primary)
    link = tmp_path / "pomona"
    link.symlink_to(moved / "bin" / "pomona")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("POMONA_", "PYTHON", "LD_"))}
    photos = make_photos(tmp_path / "photos", 3)
    network = make_network(tmp_path / "net.onnx")
    subprocess.run([link, "featurize", photos, tmp_path / "data", *small(network)], env=env, check=True, cwd=tmp_path, timeout=60)
    assert record(tmp_path / "data")["counts"]["written"] == 3
    say = ". bin/activate && python -c 'import sys, pomona; print(sys.prefix, pomona.__file__)' && deactivate && [ -z \"$VIRTUAL_ENV\" ]"
    said = subprocess.run(["bash", "-c", say], env=env, cwd=moved, check=True, capture_output=True, text=True, timeout=60).stdout
    assert said.startswith(str(primary)) or said.startswith(str(moved))
    assert "site-packages/pomona" in said


def test_a_job_with_nothing_but_the_archive_is_the_local_engines_dataset(pomona, cluster, archive, primary, tmp_path):
    photos = make_photos(tmp_path / "photos", 300)
    network = make_network(tmp_path / "net.onnx", d=24)
    flags = [*small(network), "--rows-per-file", "32", "--no-report", "-k", "5"]
    pomona("run", photos, tmp_path / "local", *flags)
    done = subprocess.run(
        [primary / "bin" / "pomona", "run", photos, tmp_path / "spark", *flags, "--engine", "spark", "--master", cluster.url,
         "--archives", f"{archive[0].name}#environment"],
        env=environment(cluster), capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL, cwd=archive[0].parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_dataset(tmp_path / "spark" / "features", tmp_path / "local" / "features")
    assert record(tmp_path / "spark" / "features")["engine"]["name"].startswith("spark")
    unpacked = list(cluster.folder.glob("worker-*/app-*/*/environment/bin/python"))
    assert unpacked, "no executor unpacked the archive"


def test_the_spark_submit_line_it_prints(cluster, archive, primary, tmp_path):
    job = tmp_path / "job.py"
    job.write_text("""\
import json, sys
from pyspark.sql import SparkSession
def where(batches):
    import sys, pomona, pyarrow as pa
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"python": [sys.executable], "package": [pomona.__file__]})
with SparkSession.builder.getOrCreate() as spark:
    print(json.dumps([sys.executable, *map(list, spark.range(0, 2, 1, 2).mapInArrow(where, "python string, package string").collect())]))
""")
    line = next(line.split(": ", 1)[1] for line in archive[1].splitlines() if "spark-submit" in line)
    line = line.replace("spark://host:7077", cluster.url).replace("/opt/pomona", str(primary)).replace("job.py", str(job))
    words = shlex.split(line)
    done = subprocess.run([cluster.spark.home / "bin" / words[0], *words[1:]], env=environment(cluster), cwd=tmp_path,
                          capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-4000:]
    driver, *executors = json.loads(done.stdout.strip().splitlines()[-1])
    assert driver == str(primary / "bin" / "python")
    for python, package in executors:
        assert "/environment/bin/python" in python and "/environment/lib/" in package
    # The same words stand in the documentation.
    for page in ("docs/spark.md", "deploy/README.md"):
        text = " ".join((ROOT / page).read_text().replace("\\\n> ", " ").split())
        assert "#environment --conf spark.pyspark.python=./environment/bin/python --conf spark.pyspark.driver.python=/opt/pomona/bin/python" in text, page


def test_a_wheel_for_this_machine_only_goes_to_no_cloud(packing, wheel, tmp_path):
    for target in ("emr", "dataproc", "databricks"):
        done = packing("--target", target, "--wheel", wheel, "-o", tmp_path / "out", code=1)
        assert b"manylinux" in done.stderr
    assert not list(tmp_path.iterdir())


def test_databricks_gets_what_its_cluster_files_name(packing, tmp_path):
    named = json.loads((ROOT / "deploy/databricks/cluster-aws.json").read_text())
    package = write_wheel(tmp_path, MANYLINUX)
    done = packing("--target", "databricks", "--wheel", package, "-o", tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        volume = "/Volumes/main/pomona/"
        assert {volume + name for name in archive.namelist()} == {
            named["spark_env_vars"]["POMONA_WHEEL"], named["init_scripts"][0]["volumes"]["destination"]}
        assert archive.read("init/init.sh") == (ROOT / "deploy/databricks/init.sh").read_bytes()
        assert archive.read(f"wheels/{package.name}") == package.read_bytes()
    assert named["spark_env_vars"]["POMONA_WHEEL"] in done.stdout.decode()


def test_an_installed_package_becomes_its_wheel_again(packing, tmp_path):
    package = write_wheel(tmp_path, MANYLINUX)
    installed = tmp_path / "site"
    subprocess.run([ROOT / ".venv/bin/python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-warn-script-location",
                    "--target", installed, package], check=True, timeout=60)
    before = os.environ.get("PYTHONPATH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(installed), before])))
        packing("--target", "databricks", "-o", tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        (tmp_path / package.name).write_bytes(archive.read(f"wheels/{package.name}"))
    with zipfile.ZipFile(tmp_path / package.name) as again:
        own = package.name.split("-cp311")[0] + ".dist-info/"
        assert {own + name for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")} == set(again.namelist())
        for row in again.read(own + "RECORD").decode().splitlines():
            path, digest, _ = row.split(",")
            if digest:
                found = base64.urlsafe_b64encode(hashlib.sha256(again.read(path)).digest()).rstrip(b"=").decode()
                assert digest == f"sha256={found}"


def test_dry_run_says_what_goes_in_and_writes_nothing(packing, tmp_path):
    package = write_wheel(tmp_path, MANYLINUX)
    said = packing("--target", "emr", "--wheel", package, "--dry-run", cwd=tmp_path).stdout.decode()
    for name in ("pomona", "openvino", "pyarrow", "numpy", "pandas", "/usr/bin/python3.11", "emr.sh up"):
        assert name in said
    assert list(tmp_path.iterdir()) == [package]


def test_stopped_in_the_middle_it_leaves_what_was_there(packing, pomona, spark4, wheel, tmp_path):
    out = tmp_path / "env.tar.gz"
    out.write_bytes(b"the one before")
    running = pomona.start("package", "--target", "archive", "--wheel", wheel, "-o", out, stderr=subprocess.PIPE,
                           stdout=subprocess.DEVNULL, env={**os.environ, "POMONA_PYTHON": str(spark4.python)})
    try:
        end = time.monotonic() + 60
        while not [path for path in tmp_path.glob(".env.tar.gz.*") if path.stat().st_size] and time.monotonic() < end:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        stderr = running.communicate(timeout=60)[1].decode()
    finally:
        running.kill()
    assert running.returncode == 130, stderr
    assert [path.name for path in tmp_path.iterdir()] == ["env.tar.gz"] and out.read_bytes() == b"the one before"
