# SPDX-License-Identifier: Apache-2.0
"""The whole chain from a bucket to a bucket: tables, PCA, model and report, the same as on a disk."""
import json
import shutil
import sys

import pyarrow.parquet as pq
import pytest
from places import ROOT

sys.path.insert(0, str(ROOT / "tests"))
import storage_server  # noqa: E402
from engine_support import make_network, make_photos, small  # noqa: E402

pytestmark = [
    pytest.mark.slow,  # its server is built by `make test-slow`
    pytest.mark.skipif(storage_server.find_versitygw() is None,
                       reason="versitygw is missing: setup/versitygw.sh builds it where there is Go"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s3")
    with storage_server.s3_server(folder) as env:
        yield folder, env


def test_photos_in_a_bucket_end_in_tables_a_model_and_a_report(pomona, served, tmp_path):
    buckets, env = served
    network = make_network(tmp_path / "small.onnx")
    flags = ["-k", "6", "--classifier", "logistic", "--rows-per-file", "64", *small(network)]
    (buckets / "photos").mkdir()
    (buckets / "results").mkdir()
    for split, count, first in (("Training", 160, 0), ("Test", 40, 1000)):
        make_photos(buckets / "photos" / "fruit" / split, count, first=first)
    (buckets / "photos" / "fruit" / "Training" / "apple" / "torn.jpg").write_bytes(b"\xff\xd8\xff")

    pomona("run", "s3://photos/fruit", "s3://results/first", *flags, env=env)
    pomona("run", buckets / "photos" / "fruit", tmp_path / "local", *flags)

    there, here = buckets / "results" / "first", tmp_path / "local"
    for name in ("features", "reduced"):
        assert (there / name / "_SUCCESS").exists() and not (there / name / "_temporary").exists()
        far, near = pq.read_table(there / name), pq.read_table(here / name)
        assert far.num_rows == 200
        assert far.drop(["path"]).equals(near.drop(["path"]))
        assert all(path.startswith("s3://photos/fruit/") for path in far["path"].to_pylist())
    record = json.loads((there / "features" / "_run.json").read_text())
    assert record["counts"]["rejected"] == 1 and set(record["machine"]["versions"]) == {"OpenVINO", "Arrow", "oneDAL"}

    far, near = (json.loads((place / "evaluation.json").read_text()) for place in (there, here))
    for judged in (far, near):
        judged.pop("steps")
        assert judged.pop("features_digest")  # of the dataset, whose paths differ
        for mistake in judged["mistakes"]:
            mistake["path"] = mistake["path"].rsplit("/fruit/", 1)[1]
    assert far == near and far["photos"] == 40 and far["mistakes_total"] == round(40 * (1 - far["accuracy"]))
    needed = far["components_needed_by"]
    assert (needed["split"], needed["trained"], needed["judged"]) == ("Test", 160, 40)

    page = (there / "report.html").read_text()
    assert all(f'"{section}"' in page for section in ("confusion", "storage", "cost", "components"))
    assert env["AWS_SECRET_ACCESS_KEY"] not in page

    # The model works where it lies, and far from there.
    shutil.copy(there / "model.onnx", tmp_path / "model.onnx")
    photo = next((buckets / "photos" / "fruit" / "Test" / "apple").iterdir())
    answers = [json.loads(pomona("predict", model, photo, "-q", env=env).stdout)
               for model in (tmp_path / "model.onnx", here / "model.onnx")]
    assert answers[0]["label"] == answers[1]["label"]
    judged = json.loads(pomona("evaluate", "s3://results/first/model.onnx", "s3://results/first", "--json", "-q", env=env).stdout)
    assert judged["accuracy"] == far["accuracy"]
    pomona("report", "s3://results/first", "-q", env=env)
    assert json.loads(pomona("cluster", "s3://results/first", "-k", "2", "-o", "s3://results/clusters.parquet", "--json", "-q",
                             env=env).stdout)["photos"] == 200
    assert pq.read_table(buckets / "results" / "clusters.parquet").num_rows == 200
