# SPDX-License-Identifier: Apache-2.0
"""pomona.spark's stages for Spark ML, on the newest Spark and on 3.5: equal to the command to the bit."""
import json
import pathlib

import numpy as np
import pyarrow.dataset as ds
import pytest
from places import PACKAGE

JOBS = pathlib.Path(__file__).resolve().parent / "jobs"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def material(pomona, tmp_path_factory):
    """Photos in a folder with a space, one of them corrupt; what the command makes of them; a model."""
    folder = tmp_path_factory.mktemp("ml")
    pomona("datasets", "make", "turntable", folder / "all", "--count", "96")
    (folder / "all").rename(folder / "photos")
    training = folder / "photos" / "Training"
    kind = sorted(training.iterdir())[0]
    pomona("train", folder / "photos", "-o", folder / "model.onnx")
    (kind / "broken one.jpg").write_bytes(b"\xff\xd8\xff no photo")
    pomona("featurize", folder / "photos", folder / "features", "--input-size", "128", "--max-reject-rate", "0.5")
    pomona("reduce", folder / "features", folder / "reduced", "-k", "5", "--save-pca", folder / "pca.bin")
    answers = pomona("predict", folder / "model.onnx", folder / "photos", "--json", "--top", "2", "--max-reject-rate", "0.5")
    (folder / "answers.json").write_bytes(answers.stdout)
    (folder / "pngs").mkdir()
    from PIL import Image

    for number, photo in enumerate(sorted(training.rglob("*.jpg"))[5:9]):
        Image.open(photo).save(folder / "pngs" / f"{number}.png")
    return folder


class Done:
    def __init__(self, folder, material, said):
        self.folder, self.material, self.said = folder, material, said

    def json_lines(self, name):
        return [json.loads(line) for part in sorted((self.folder / "out" / name).glob("part-*"))
                for line in part.read_text().splitlines()]


@pytest.fixture(scope="module", params=["local4", "local3"])
def done(request, material, tmp_path_factory):
    spark = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    for name in ("photos", "pngs", "model.onnx"):
        (folder / name).symlink_to(material / name)
    (folder / "out").mkdir()
    ran = spark.run(JOBS / "ml_stages.py", folder, env={"PYTHONPATH": PACKAGE}, timeout=400)
    return Done(folder, material, json.loads(ran.stdout.strip().splitlines()[-1]))


def plain(path):
    """The path below photos/."""
    return path.split("/photos/")[1]


def test_features_are_those_of_the_command(done):
    expected = {plain(row["path"]): np.array(row["features"], np.float32)
                for row in dataset(done.material / "features", "features").to_pylist()}
    found = ds.dataset(done.folder / "out" / "features").to_table(["path", "features", "error"]).to_pylist()
    assert len(found) == 97 and len(expected) == 96
    for row in found:
        if plain(row["path"]).endswith("broken one.jpg"):
            assert row["features"] is None and row["error"].startswith("damaged")
        else:
            assert row["error"] is None
            assert np.array_equal(np.array(row["features"], np.float32), expected[plain(row["path"])])
    by_path = json.loads((done.folder / "out" / "by_path.json").read_text())
    assert {plain(path): None if x is None else x for path, x in by_path.items()} == {
        **{path: x.tolist() for path, x in expected.items()},
        next(plain(row["path"]) for row in found if row["error"]): None}


def test_columns_pass_through_and_images_give_the_same(done):
    said = done.said
    assert said["columns"] == ["path", "modificationTime", "length", "content", "features", "error"]
    assert said["unchanged"] == 0
    assert said["path_columns"] == ["path", "mark", "features"]
    assert said["mark"] == "(3,[1],[2.0])"
    assert said["images_equal"]


def test_errors_name_the_photo_or_the_option(done):
    said = done.said
    assert "broken one.jpg: " in said["raise"]
    assert "no column 'nothing'" in said["no_column"] and "content" in said["no_column"]
    assert "'length' is bigint" in said["wrong_type"]
    assert "'features' is there already" in said["column_there"]
    assert "efficientnet-lite99" in said["no_model"] and "efficientnet-lite0" in said["no_model"]
    assert "explode" in said["bad_word"]
    assert "either k or variance" in said["no_k"]


def test_params_by_name_and_a_warning_before_memory_runs_out(done):
    file, top, batch, explained = done.said["params"]
    assert file.endswith("model.onnx") and (top, batch) == (5, 4) and "raise" in explained
    # Once, for bytes, not for paths; Spark 4.3 bounds batches by bytes and needs none.
    assert len(done.said["warned"]) == (1 if done.said["version"].startswith("3.5") else 0)


def test_pca_is_that_of_the_command_whatever_the_partitions(done, pomona, tmp_path):
    said = done.said
    assert said["same_partitions_same_bits"] and said["pca_loaded"] and said["from_file"]
    assert said["share"][-1] >= 0.9 and (said["k_of_variance"] == 1 or said["share"][-2] < 0.9)
    expected = components(done.material / "reduced")
    for name in ("one.bin", "many.bin"):
        # The command takes the file.
        pomona("reduce", done.material / "features", tmp_path / name, "--pca", done.folder / "out" / name)
        found = components(tmp_path / name)
        assert found.keys() == expected.keys()
        assert max(np.abs(found[path] - expected[path]).max() for path in expected) < 1e-5
    transformed = {plain(row["path"]): row["components"] for row in
                   ds.dataset(done.folder / "out" / "components").to_table().to_pylist()}
    one = components(tmp_path / "one.bin")
    for path, y in transformed.items():
        if path.endswith("broken one.jpg"):
            assert y is None
        else:
            assert np.array_equal(np.array(y, np.float32), one[path])


def dataset(folder, column):
    return ds.dataset([str(part) for part in sorted(folder.glob("part-*"))]).to_table(["path", column])


def components(folder):
    return {plain(row["path"]): np.array(row["components"], np.float32) for row in dataset(folder, "components").to_pylist()}


def test_pca_agrees_with_spark_mls_own(done):
    said = done.said
    assert said["to_spark_ml"] < 1e-4 * said["scale"]
    assert said["centred_offset"] < 1e-4 * said["scale"]
    # MLlib's covariance is centred, its projection is not; so is ours without center in its moments.
    assert said["mllib"] < 1e-3


def test_a_pipeline_with_spark_mls_stages_is_saved_and_loaded(done):
    assert done.said["pipeline_same"]
    assert done.said["accuracy"] > 0.7  # of 44 classes with two or three photos each


def test_answers_are_those_of_the_command(done):
    expected = {plain(row["path"]): row for row in map(json.loads, (done.material / "answers.json").read_text().splitlines())}
    for name in ("predicted", "predicted_features"):
        found = {plain(row["path"]): row for row in done.json_lines(name)}
        assert len(found) == 97
        for path, row in found.items():
            if path.endswith("broken one.jpg"):
                assert "prediction" not in row and row["error"]
                continue
            said, wanted = row["prediction"], expected[path]
            assert said["label"] == wanted["label"] and said["confident"] == wanted["confident"]
            assert abs(said["probability"] - wanted["probability"]) < 1e-5
            assert abs(said["distance"] - wanted["distance"]) < 1e-4
            assert [t["label"] for t in said["top"]] == [t["label"] for t in wanted["top"]]
            assert list(said["targets"].values())[0]["label"] == said["label"]
    assert done.said["vector_kept"][-3:] == ["vector", "prediction", "why"]
