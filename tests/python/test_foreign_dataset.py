# SPDX-License-Identifier: Apache-2.0
"""Vectors that some other program wrote as Parquet: they are reduced and read like our own."""
import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import PCA

from pomona import read_dataset

D = 12


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(3)
    return (rng.standard_normal((300, D)) @ rng.standard_normal((D, D)) + 5).astype(np.float32)


def lists(x, kind):
    values = pa.array(x.ravel())
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(values, x.shape[1])
    offsets = np.arange(0, x.size + 1, x.shape[1])
    return (pa.ListArray if kind == "list" else pa.LargeListArray).from_arrays(
        pa.array(offsets, pa.int32() if kind == "list" else pa.int64()), values)


@pytest.mark.parametrize("kind", ["fixed", "list", "large"])
def test_a_folder_of_parquet_files(pomona, x, kind, tmp_path):
    source = tmp_path / "theirs"
    source.mkdir()
    # Names, row groups and further columns are theirs; hidden files and markers are not data.
    for name, first, last in (("a.parquet", 0, 130), ("b.parquet", 130, 131), ("c.parquet", 131, 300)):
        rows = range(first, last)
        table = pa.table({"taken": pa.array([n * 1.5 for n in rows]), "features": lists(x[first:last], kind),
                          "path": pa.array([f"s3://theirs/{n}.jpg" for n in rows])})
        pq.write_table(table, source / name, row_group_size=50, compression="zstd")
    (source / "_metadata.parquet").write_bytes(b"not ours to read")
    pomona("reduce", source, tmp_path / "out", "-k", "3", "-q", "--csv", tmp_path / "out.csv")
    found = pq.read_table(sorted((tmp_path / "out").glob("part-*")))
    assert found["path"].to_pylist() == [f"s3://theirs/{n}.jpg" for n in range(300)]
    mine = np.array(found["components"].to_pylist())
    oracle = PCA(3, svd_solver="full").fit_transform(x.astype(np.float64))
    signs = np.sign((mine * oracle).sum(axis=0))
    np.testing.assert_allclose(mine * signs, oracle, atol=2e-4 * np.abs(oracle).max())
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        assert sum(1 for _ in csv.DictReader(file)) == 300
    read = pa.table(read_dataset(str(source)))
    np.testing.assert_array_equal(np.array(read["features"].to_pylist(), np.float32), x)


def test_one_file_named_as_the_source(pomona, x, tmp_path):
    pq.write_table(pa.table({"path": [f"{n}.jpg" for n in range(300)], "features": lists(x, "fixed")}),
                   tmp_path / "vectors.parquet")
    pomona("reduce", tmp_path / "vectors.parquet", tmp_path / "out", "-k", "2", "-q")
    assert pq.read_table(sorted((tmp_path / "out").glob("part-*"))).num_rows == 300


@pytest.mark.parametrize("table,words", [
    (pa.table({"path": ["a.jpg"], "price": [1.0]}), "features"),
    (pa.table({"path": ["a.jpg", "b.jpg"], "features": [[1.0, 2.0], [1.0]]}), "2"),
    (pa.table({"path": ["a.jpg", "b.jpg"], "features": [[1.0, 2.0], None]}), ""),
], ids=["no vectors", "of two lengths", "a missing one"])
def test_what_is_no_table_of_vectors_is_named(pomona, table, words, tmp_path):
    source = tmp_path / "theirs"
    source.mkdir()
    pq.write_table(table, source / "a.parquet")
    text = pomona("reduce", source, tmp_path / "out", "-k", "1", code=1).stderr.decode()
    assert "a.parquet" in text and words in text
    assert not (tmp_path / "out" / "_SUCCESS").exists()
