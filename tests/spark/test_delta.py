# SPDX-License-Identifier: Apache-2.0
"""examples/delta_table.py on Spark 3.5: only what is new or changed is featurized, each photo is one row."""
import json
import os
import pathlib
import urllib.parse

import numpy as np
import pyarrow.dataset as ds
import pytest
from places import PACKAGE, ROOT

JARS = pathlib.Path(os.environ.get("POMONA_DELTA") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "pomona", "delta"))
pytestmark = pytest.mark.slow


def rows(table):
    """The table as its log says, read without Spark."""
    live = set()
    for entry in sorted((table / "_delta_log").glob("*.json")):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        live -= {action["remove"]["path"] for action in actions if "remove" in action}
        live |= {action["add"]["path"] for action in actions if "add" in action}
    return ds.dataset([str(table / urllib.parse.unquote(path)) for path in live]).to_table().to_pylist()


def test_a_delta_table_keeps_in_step_with_a_folder(local3, pomona, tmp_path):
    jars = sorted(JARS.glob("*.jar"))
    if not jars:
        pytest.skip(f"no Delta Lake in {JARS}: setup/delta.sh fetches it")
    conf = {"spark.jars": ",".join(map(str, jars)),
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog"}
    photos, table = tmp_path / "some photos", tmp_path / "table"
    pomona("datasets", "make", "turntable", photos, "--count", "24")
    files = sorted(photos.rglob("*.jpg"))
    late = tmp_path / "late.jpg"
    files[0].rename(late)

    def run():
        done = local3.run(ROOT / "examples" / "delta_table.py", photos, table, "--input-size", "128", conf=conf,
                          env={"PYTHONPATH": PACKAGE}, timeout=300)
        return json.loads(done.stdout.strip().splitlines()[-1])

    assert run() == {"arrived": 23, "unreadable": 0, "rows": 23}
    # One photo more, one replaced by another, one damaged.
    late.rename(files[0])
    files[1].write_bytes(files[2].read_bytes())
    os.utime(files[1], (1_600_000_000, 1_600_000_000))
    files[3].write_bytes(b"no photo")
    assert run() == {"arrived": 3, "unreadable": 1, "rows": 24}

    pomona("featurize", photos, tmp_path / "features", "--input-size", "128", "--max-reject-rate", "0.5")
    parts = sorted(map(str, (tmp_path / "features").glob("part-*")))
    expected = {row["path"]: row["features"] for row in ds.dataset(parts).to_table().to_pylist()}
    found = {row["path"].removeprefix("file:"): row for row in rows(table)}
    assert len(found) == 24 and len(expected) == 23
    for path, vector in expected.items():
        assert np.array_equal(np.array(found[path]["features"], np.float32), np.array(vector, np.float32))
    assert found[str(files[3])]["features"] is None and found[str(files[3])]["error"]
