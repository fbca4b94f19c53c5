# SPDX-License-Identifier: Apache-2.0
"""pomona.spark's stages on a real cluster: networks and models are shipped to executors, moments come back joined."""
import json
import pathlib

import numpy as np
import pyarrow.dataset as ds
import pytest
from places import PACKAGE

JOBS = pathlib.Path(__file__).resolve().parent / "jobs"
pytestmark = pytest.mark.slow


def table(files, *columns):
    return ds.dataset(sorted(map(str, files))).to_table(list(columns)).to_pylist()


def test_stages_on_a_cluster_give_what_the_command_gives(cluster, pomona, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    pomona("datasets", "make", "turntable", photos, "--count", "90")
    pomona("train", photos, "-o", tmp_path / "model.onnx")
    out.mkdir()
    cluster.run(JOBS / "ml_cluster.py", photos, tmp_path / "model.onnx", out, env={"PYTHONPATH": PACKAGE},
                conf={"spark.executorEnv.PYTHONPATH": PACKAGE}, timeout=400)

    pomona("featurize", photos, tmp_path / "features", "--input-size", "128")
    expected = {row["path"]: row["features"] for row in table((tmp_path / "features").glob("part-*"), "path", "features")}
    found = {row["path"].removeprefix("file:"): row["features"] for row in table((out / "features").glob("part-*"), "path",
                                                                                 "features")}
    assert found.keys() == expected.keys() and len(found) == 90
    assert all(np.array_equal(np.array(found[path], np.float32), np.array(expected[path], np.float32)) for path in found)

    pomona("reduce", tmp_path / "features", tmp_path / "here", "-k", "5")
    pomona("reduce", tmp_path / "features", tmp_path / "there", "--pca", out / "pca.bin")
    here, there = (np.array([row["components"] for row in table((tmp_path / name).glob("part-*"), "components")])
                   for name in ("here", "there"))
    assert np.abs(here - there).max() < 1e-5

    answer = pomona("predict", tmp_path / "model.onnx", photos, "--json")
    labels = {row["path"]: row["label"] for row in map(json.loads, answer.stdout.splitlines())}
    assert {row["path"].removeprefix("file:"): row["label"] for row in table((out / "answers").glob("part-*"), "path",
                                                                             "label")} == labels
