# SPDX-License-Identifier: Apache-2.0
"""examples/stream_photos.py: photos that land are featurized once each, however often the stream is killed."""
import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pyarrow.dataset as ds
import pytest
from places import PACKAGE, ROOT

EXAMPLE = ROOT / "examples" / "stream_photos.py"
pytestmark = pytest.mark.slow


def rows(dest):
    """What counts in DEST: the parts that its log of batches names, as Spark itself reads it."""
    log = [entry for entry in (dest / "_spark_metadata").iterdir() if not entry.name.startswith(".")]
    parts = {json.loads(line)["path"] for batch in log for line in batch.read_text().splitlines()[1:]}
    return ds.dataset([path.removeprefix("file://") for path in parts]).to_table().to_pylist()


def batches(dest):
    folder = dest / "_spark_metadata"
    return len([entry for entry in folder.iterdir() if entry.name.isdigit()]) if folder.is_dir() else 0


def test_every_photo_once_though_the_stream_is_killed_and_started_again(local4, pomona, tmp_path):
    pomona("datasets", "make", "turntable", tmp_path / "all", "--count", "48")
    photos = sorted((tmp_path / "all").rglob("*.jpg"))
    landing, dest = tmp_path / "landing zone", tmp_path / "features"
    landing.mkdir()
    (landing / "broken.jpg").write_bytes(b"no photo")

    def land(some):
        for photo in some:
            shutil.copy(photo, tmp_path / "moving")
            (tmp_path / "moving").rename(landing / f"{photo.parent.name} {photo.parent.parent.name} {photo.name}")

    words = [EXAMPLE, landing, dest, tmp_path / "checkpoint", "--photos-per-trigger", "6", "--input-size", "128"]
    land(photos[:40])
    with open(tmp_path / "log", "w") as log:
        killed = subprocess.Popen(
            [local4.spark.home / "bin" / "spark-submit", "--master", local4.url, *map(str, words), "--seconds", "0"],
            env=local4.env(PYTHONPATH=PACKAGE), cwd=tmp_path, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True)
        end = time.monotonic() + 200
        while batches(dest) < 2:
            assert killed.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()[-4000:]
            time.sleep(0.05)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert len(rows(dest)) < 41, "the stream had ended before it was killed"

    land(photos[40:])
    local4.run(*words, "--once", env={"PYTHONPATH": PACKAGE}, timeout=300)
    found = rows(dest)
    assert len(found) == len({row["path"] for row in found}) == 49
    assert batches(dest) >= 9  # six photos at a time

    names = {row["path"].rpartition("/")[2]: row for row in found}
    assert names["broken.jpg"]["features"] is None and names["broken.jpg"]["error"]
    assert "content" not in found[0]
    pomona("featurize", landing, tmp_path / "expected", "--input-size", "128", "--max-reject-rate", "0.5")
    expected = ds.dataset(sorted(map(str, (tmp_path / "expected").glob("part-*")))).to_table(["path", "features"]).to_pylist()
    assert len(expected) == 48
    for row in expected:
        assert np.array_equal(np.array(names[row["path"].rpartition("/")[2]]["features"], np.float32),
                              np.array(row["features"], np.float32))
