# SPDX-License-Identifier: Apache-2.0
"""examples/fruits_on_spark.ipynb runs from top to bottom and leaves what it says."""
import json
import subprocess

import numpy as np
import pyarrow.dataset as ds
import pytest
from places import PACKAGE, ROOT

NOTEBOOK = ROOT / "examples" / "fruits_on_spark.ipynb"
pytestmark = pytest.mark.slow

EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
nbformat.write(notebook, sys.argv[2])
"""


def test_the_notebook_in_the_repository_has_no_outputs():
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_the_notebook_runs_and_its_components_are_those_of_the_command(local4, pomona, tmp_path):
    pomona("datasets", "make", "turntable", tmp_path / "photos", "--count", "240")
    (tmp_path / "photos" / "Test" / "Banana" / "broken.jpg").write_bytes(b"no photo")
    results, done = tmp_path / "results", tmp_path / "done.ipynb"
    env = local4.env(PYTHONPATH=PACKAGE, POMONA_PHOTOS=tmp_path / "photos", POMONA_RESULTS=results, POMONA_INPUT_SIZE=128,
                     IPYTHONDIR=tmp_path / "ipython", PYSPARK_SUBMIT_ARGS="--master local[2] pyspark-shell")
    env.pop("MPLBACKEND", None)  # plots are to appear in the notebook
    ran = subprocess.run([local4.spark.python, "-c", EXECUTE, NOTEBOOK, done], env=env, cwd=tmp_path, timeout=500,
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-6000:]

    outputs = [output for cell in json.loads(done.read_text())["cells"] for output in cell.get("outputs", [])]
    said = "".join("".join(output.get("text", "")) for output in outputs if output["output_type"] == "stream")
    assert "240 vectors of 1280 numbers" in said
    assert "broken.jpg" in said
    right = next(line for line in said.splitlines() if "test photos right" in line)
    assert float(right.split("%")[0]) > 80
    assert any("image/png" in output.get("data", {}) for output in outputs)

    # The PCA it saved, through the command, gives the components it wrote.
    reduced = ds.dataset(results / "reduced").to_table(["path", "components"]).to_pylist()
    assert len(reduced) == 240
    k = len(reduced[0]["components"]["values"])
    pomona("featurize", tmp_path / "photos", tmp_path / "features", "--input-size", "128", "--max-reject-rate", "0.5")
    blob = ds.dataset(results / "pca" / "data").to_table()["data"][0].as_py()
    (tmp_path / "pca.bin").write_bytes(blob)
    pomona("reduce", tmp_path / "features", tmp_path / "reduced", "--pca", tmp_path / "pca.bin")
    parts = sorted(map(str, (tmp_path / "reduced").glob("part-*")))
    expected = {row["path"].split("/photos/")[1]: row["components"] for row in ds.dataset(parts).to_table().to_pylist()}
    assert len(expected) == 240 and len(next(iter(expected.values()))) == k
    for row in reduced:
        assert np.array_equal(np.array(row["components"]["values"], np.float32),
                              np.array(expected[row["path"].split("/photos/")[1]], np.float32))
