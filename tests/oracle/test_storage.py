# SPDX-License-Identifier: Apache-2.0
"""Datasets as other programs see them: pyarrow reads ours, we read theirs."""
import csv
import hashlib
import json
import math
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from places import BUILD

TOOL = BUILD / "bin" / "pomona-storage-tool"
pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built")


def tool(*words, check=True):
    return subprocess.run([str(TOOL), *map(str, words)], check=check, capture_output=True, timeout=60)


def shown(path):
    return [json.loads(line) for line in tool("show", path).stdout.splitlines()]


def features():
    return np.array([[math.sin(i + k) for k in range(8)] for i in range(20)], dtype=np.float32)


def test_parquet_is_read_by_others_with_no_option(tmp_path):
    tool("dataset", tmp_path / "out", "parquet")
    table = pq.read_table(tmp_path / "out")
    assert table.schema.names == ["path", "label", "width", "height", "content_hash", "features"]
    assert table.schema.field("features").type == pa.list_(pa.field("element", pa.float32(), nullable=False), 8)
    assert table.schema.field("content_hash").type == pa.binary(16)
    assert table.schema.field("width").type == table.schema.field("height").type == pa.int32()
    assert table["path"].to_pylist() == [f"{i}.jpg" for i in range(20)]
    assert table["label"].to_pylist() == ['even, "yes"' if i % 2 == 0 else None for i in range(20)]
    assert table["height"].to_pylist() == [2 * i for i in range(20)]
    assert table["content_hash"].to_pylist() == [bytes([i] * 16) for i in range(20)]
    got = np.stack([np.asarray(v, dtype=np.float32) for v in table["features"].to_pylist()])
    assert np.array_equal(got, features())


def test_layout_and_encoding(tmp_path):
    out = tmp_path / "out"
    tool("dataset", out, "parquet")
    run = json.loads((out / "_run.json").read_text())
    parts = sorted(out.glob("*.parquet"))
    assert [p["file"] for p in run["parts"]] == [p.name for p in parts]
    for record, part in zip(run["parts"], parts):
        assert hashlib.sha256(part.read_bytes()).hexdigest() == record["sha256"]
        meta = pq.ParquetFile(part).metadata
        assert (record["rows"], record["bytes"]) == (meta.num_rows, part.stat().st_size)
        column = meta.row_group(0).column(meta.num_columns - 1)
        assert column.compression == "SNAPPY" and not column.has_dictionary_page and not column.is_stats_set
    assert (out / "_SUCCESS").stat().st_size == 0 and not (out / "_temporary").exists()
    rejects = pq.read_table(out / "_rejects").to_pylist()
    assert rejects == [{"path": "bad%FF.jpg", "stage": "decode", "reason": "truncated", "bytes": 3,
                        "path_bytes": b"bad\xff.jpg"}]


def test_csv_is_read_by_others(tmp_path):
    tool("dataset", tmp_path / "out", "csv")
    rows = []
    for part in sorted((tmp_path / "out").glob("*.csv")):
        with open(part, newline="") as file:
            rows += list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label"] + [f"f{k}" for k in range(8)]
    assert [r["label"] for r in rows] == ['even, "yes"' if i % 2 == 0 else "" for i in range(20)]
    got = np.array([[r[f"f{k}"] for k in range(8)] for r in rows]).astype(np.float32)
    assert np.array_equal(got, features())
    assert np.array_equal(np.array([r["vector"] for r in shown(tmp_path / "out")], dtype=np.float32), features())


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()),
                                  pa.list_(pa.float32(), 3), pa.list_(pa.float64(), 3)])
@pytest.mark.parametrize("single", [True, False])
def test_reads_what_others_wrote(tmp_path, kind, single):
    vectors = [[0.5, 1.5, -2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.25]]
    table = pa.table({"features": pa.array(vectors, kind), "label": pa.array(["a", None, "b"]).dictionary_encode(),
                      "path": pa.array(["x", "y", "z"], pa.large_string()), "other": [1, 2, 3]})
    (tmp_path / "d").mkdir()
    pq.write_table(table, tmp_path / "d" / "any name.parquet", row_group_size=2)
    rows = shown(tmp_path / "d" / "any name.parquet" if single else tmp_path / "d")
    assert [r["vector"] for r in rows] == vectors
    assert [r["label"] for r in rows] == ["a", None, "b"]
    assert [r["path"] for r in rows] == ["x", "y", "z"]


@pytest.mark.parametrize("table, word", [
    (pa.table({"x": [1]}), "no column 'features'"),
    (pa.table({"features": pa.array([[1.0], [1.0, 2.0]])}), "mixed"),
    (pa.table({"features": pa.array([[1.0], None])}), "no vector"),
    (pa.table({"features": pa.array([[1.0], [None]])}), "missing number"),
    (pa.table({"features": pa.array([["a"]])}), "no column 'features'"),
])
def test_faults_of_others_are_named(tmp_path, table, word):
    pq.write_table(table, tmp_path / "x.parquet")
    done = tool("show", tmp_path / "x.parquet", check=False)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("format: ") and word in done.stderr.decode()
