# SPDX-License-Identifier: Apache-2.0
"""What bench/scale_bench.py measures with: the bucket of made-up objects, the rates, the fitted line."""
import json
import os
import sys

import pytest
from PIL import Image
from places import ROOT

sys.path.insert(0, str(ROOT / "bench" / "scale"))
import chart  # noqa: E402
import measure  # noqa: E402
import objects  # noqa: E402


@pytest.fixture
def photo(tmp_path):
    file = tmp_path / "photo.jpg"
    Image.radial_gradient("L").convert("RGB").save(file)
    return file


def test_a_bucket_of_made_up_objects_is_listed_whole_and_in_order(pomona, photo, tmp_path):
    with objects.ObjectServer(2_500, [photo]) as server:
        env = server.environment(os.environ)
        seen = json.loads(pomona("estimate", "s3://million", "--sample", "4", "--json", "-q", "--input-size", "96",
                                 env=env).stdout)
        assert (seen["photos"], seen["listed_all"]) == (2_500, True)
        assert server.counts()["listed"] >= 2_500
        pomona("featurize", "s3://million", tmp_path / "out", "--limit", "1100", "--input-size", "32", "-q", env=env)
        gets = server.counts()["gets"]
    import pyarrow.parquet as pq
    table = pq.read_table(tmp_path / "out", columns=["path", "content_hash"])
    assert table["path"].to_pylist() == [f"s3://million/{objects.key_of(n)}" for n in range(1_100)]
    # Each object is another file: work that is saved for photos that come twice must not flatter the figures.
    assert len(set(table["content_hash"].to_pylist())) == 1_100
    assert gets >= 1_100


def test_rates_of_the_first_and_the_last_photos():
    # 100 photos a second for 50 s, then 50 a second; the network took 2 s to open.
    samples = [[2 + s, 100 * s if s <= 50 else 5_000 + 50 * (s - 50)] for s in range(0, 101)]
    run = {"counts": {"written": 7_500}, "first_vector_seconds": 2.0, "rate": samples,
           "timeline": [{"stage": "open network", "end": 2.0}, {"stage": "featurize", "end": 102.0}]}
    rates = measure.steady_rates(run, 1_000)
    assert rates["first"] == pytest.approx(100)
    assert rates["last"] == pytest.approx(50)
    assert rates["all"] == pytest.approx(75)


def test_the_line_of_the_cost_curve_is_the_one_the_points_lie_on():
    points = [(n, 1.5 + 0.004 * n) for n in (1_000, 3_000, 30_000, 67_692)]
    start, each, error = chart.fit(points)
    assert (start, each) == (pytest.approx(1.5), pytest.approx(0.004))
    assert error < 1e-9
    drawing = chart.draw(points, "Seconds", "photos")
    assert drawing.count("<circle") == len(points)
    from xml.etree import ElementTree
    ElementTree.fromstring(drawing)


def test_memory_and_output_of_a_command_are_seen():
    done = measure.watch([sys.executable, "-c", "import time; x = bytearray(200 << 20); time.sleep(0.4); print('held')"])
    assert 200 < done.peak_mib < 400
    assert done.output.strip() == "held"
    with pytest.raises(SystemExit, match="3"):
        measure.watch([sys.executable, "-c", "raise SystemExit(3)"])


def test_results_are_added_and_none_is_lost(tmp_path):
    results = measure.Results(tmp_path / "deep" / "scale.json")
    results.add("one", seconds=1)
    results.add("two", seconds=2)
    assert [(r["part"], r["seconds"]) for r in results.records()] == [("one", 1), ("two", 2)]
