# SPDX-License-Identifier: Apache-2.0
"""Photos in HDFS through the command, and Spark on YARN, against Hadoop's own mini-clusters."""
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile

import pyarrow.parquet as pq
import pytest

JOBS = pathlib.Path(__file__).resolve().parent / "jobs"
pytestmark = pytest.mark.slow

# In a process of its own: one Java machine per process, which takes its class path when it starts.
UPLOAD = """
import sys
import pyarrow.fs as fs
hdfs, _ = fs.FileSystem.from_uri(sys.argv[1])
fs.copy_files(sys.argv[2], sys.argv[3], destination_filesystem=hdfs)
"""
DOWNLOAD = """
import sys
import pyarrow.fs as fs
hdfs, _ = fs.FileSystem.from_uri(sys.argv[1])
fs.copy_files(sys.argv[2], sys.argv[3], source_filesystem=hdfs)
"""


def python(code, *words, env):
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def table_of(folder):
    parts = sorted(pathlib.Path(folder).glob("part-*.parquet"))
    return pq.read_table(parts).to_pydict()


def test_featurize_from_hdfs_to_hdfs_equals_local(pomona, fruits360, hadoop, hdfs_env, tmp_path):
    for name in ("Kiwi 1", "Cocos"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for photo in sorted((fruits360 / "Test" / name).iterdir())[:20]:
            shutil.copy(photo, tmp_path / "photos" / name)
    (tmp_path / "photos" / "Cocos" / "broken.jpg").write_bytes(b"\xff\xd8 this is no photo")
    python(UPLOAD, hadoop.hdfs, tmp_path / "photos", "/tmp/photos", env=hdfs_env)

    words = ("--threads", "1", "--max-reject-rate", "0.1", "--input-size", "128")
    pomona("featurize", f"{hadoop.hdfs}/tmp/photos", f"{hadoop.hdfs}/tmp/features", *words, env=hdfs_env)
    pomona("featurize", tmp_path / "photos", tmp_path / "local", *words)
    python(DOWNLOAD, hadoop.hdfs, "/tmp/features", tmp_path / "got", env=hdfs_env)

    assert (tmp_path / "got" / "_SUCCESS").exists()
    assert not list((tmp_path / "got").rglob("_temporary/*"))
    got, local = table_of(tmp_path / "got"), table_of(tmp_path / "local")
    assert len(got["path"]) == 40
    assert got["path"][0].startswith("hdfs://") and got["path"][0].endswith(local["path"][0].removeprefix(str(tmp_path)))
    for column in ("label", "content_hash", "features"):
        assert got[column] == local[column], column
    rejects = pq.read_table(tmp_path / "got" / "_rejects").to_pydict()
    assert [path.rsplit("/", 1)[1] for path in rejects["path"]] == ["broken.jpg"]

    # Again: what is there is kept, and records are replaced, which HDFS does not do by itself.
    again = pomona("featurize", f"{hadoop.hdfs}/tmp/photos", f"{hadoop.hdfs}/tmp/features", *words, "--resume", env=hdfs_env)
    python(DOWNLOAD, hadoop.hdfs, "/tmp/features", tmp_path / "resumed", env=hdfs_env)
    assert table_of(tmp_path / "resumed") == got, again.stderr


def test_what_is_wrong_with_hdfs_is_said(pomona, hadoop, hdfs_env, tmp_path):
    missing = pomona("featurize", f"{hadoop.hdfs}/tmp/nowhere", tmp_path / "out", code=1, env=hdfs_env)
    assert b"nowhere" in missing.stderr and b"no such" in missing.stderr
    no_library = {**hdfs_env, "ARROW_LIBHDFS_DIR": str(tmp_path)}
    assert b"libhdfs.so" in pomona("featurize", f"{hadoop.hdfs}/tmp", tmp_path / "out", code=1, env=no_library).stderr
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_spark_on_yarn_ships_an_archive_to_its_containers(yarn, tmp_path):
    (tmp_path / "answer.txt").write_text("42")
    with tarfile.open(tmp_path / "env.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "answer.txt", "answer.txt")
    done = yarn.run(JOBS / "shipped.py", 100, 8, conf={"spark.yarn.dist.archives": f"{tmp_path}/env.tar.gz#environment"})
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert (answer["rows"], answer["sum"]) == (100, 4200)
    assert all(name.startswith("container_") for name in answer["containers"])
