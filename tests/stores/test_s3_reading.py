# SPDX-License-Identifier: Apache-2.0
"""How a bucket is read: page by page, one request a photo, far enough ahead that a distant store costs nothing."""
import json
import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow  # needs the S3 server


def test_listing_streams_and_each_photo_is_one_request(run, s3, proxy, network, tmp_path):
    s3.photos("many/0", 8)
    first = next((s3.folder / "photos" / "many" / "0").rglob("*.jpg"))
    (s3.folder / "photos" / "many" / "1").mkdir()
    for i in range(5_200):
        os.link(first, s3.folder / "photos" / "many" / "1" / f"{i:05d}.jpg")
    run(proxy.env, "featurize", "s3://photos/many", tmp_path / "out", *network)
    told = proxy.tell()
    lists = [i for i, line in enumerate(told["requests"]) if "list-type" in line]
    reads = [i for i, line in enumerate(told["requests"]) if line.startswith("GET") and ".jpg" in line.split("?")[0]]
    assert len(lists) >= 6  # 1,000 keys a page
    assert reads[0] < lists[-1], "the first photo must be read before the listing has ended"
    # Pages come as they are needed: not all before half of the photos were read.
    assert sum(i < lists[-1] for i in reads) > 2_000
    assert len(reads) == 5_208 and told["counts"].get("HEAD one", 0) <= 2


def test_a_store_50_ms_away(run, s3, proxy, network, tmp_path):
    """The small network is faster than any real one: 32 readers would bring 640 photos a second at most."""
    uri = s3.photos("far", 1_500)
    spent = {}
    for latency in (0, 0.05):
        proxy.tell(latency=latency, reset=True)
        begin = time.time()
        run(proxy.env, "featurize", uri, tmp_path / f"out-{latency}", *network)
        spent[latency] = time.time() - begin
        most = proxy.tell()["most"]
    assert most > 32, "read-ahead must grow where photos wait for the store alone"
    assert spent[0.05] < 1_500 * 0.05 / 10, spent
    assert json.loads((tmp_path / "out-0.05" / "_run.json").read_text())["counts"]["written"] == 1_500


def test_a_table_is_read_by_row_groups_several_at_a_time(run, s3, proxy, tmp_path):
    """Each is one request, whatever its columns, and a distant store is asked for the next before it has answered."""
    groups, rows, d = 12, 64, 256
    folder = s3.folder / "results" / "table"
    folder.mkdir()
    vectors = np.random.default_rng(0).standard_normal((groups * rows, d)).astype(np.float32)
    table = pa.table({"path": [f"photos/{i}.jpg" for i in range(len(vectors))], "label": ["apple"] * len(vectors),
                      "features": pa.FixedSizeListArray.from_arrays(vectors.ravel(), d),
                      "other": ["never asked for" * 1_000] * len(vectors)})
    pq.write_table(table, folder / "part.parquet", row_group_size=rows, use_dictionary=False, compression="none")
    proxy.tell(latency=0.05, reset=True)
    run(proxy.env, "reduce", "s3://results/table", tmp_path / "out", "-k", "3", "-q")
    told = proxy.tell()
    reads = sum(line.startswith("GET /results/table/part.parquet") for line in told["requests"])
    assert 2 * groups < reads <= 2 * groups + 6, "two passes, and the file's end each time it is opened"
    assert told["most"] >= 4
