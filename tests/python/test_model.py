# SPDX-License-Identifier: Apache-2.0
"""pomona.load_model and pomona.read_dataset: what the command made, in Python."""
import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine_support import make_photos, small

import pomona as package


@pytest.fixture(scope="module")
def made(tmp_path_factory, pomona, small_network):
    """A dataset with one bad photo, and a model trained on it."""
    folder = tmp_path_factory.mktemp("made")
    make_photos(folder / "photos", 40)
    (folder / "photos" / "pear" / "bad.jpg").write_bytes(b"no photo")
    pomona("featurize", folder / "photos", folder / "features", "--max-reject-rate", "0.5", *small(small_network))
    pomona("train", folder / "features", "-o", folder / "model.onnx", "-q")
    return folder


def test_answers_equal_the_commands(made, pomona):
    model = package.load_model(made / "model.onnx")
    assert model.labels == ["apple", "pear"] and [t.name for t in model.targets] == ["label"]
    photos = sorted(str(p) for p in (made / "photos").rglob("*.jpg"))
    answers = model.predict(photos, top=2, on_error="null")
    lines = pomona("predict", made / "model.onnx", *photos, "--json", code=None).stdout.decode().splitlines()
    told = {line["path"]: line for line in map(json.loads, filter(None, lines))}
    for path, answer in zip(photos, answers):
        if path.endswith("bad.jpg"):
            assert "not an image" in answer.error and answer.label is None
            continue
        assert answer.label == told[path]["label"] and answer.confident == told[path]["confident"]
        assert answer.probability == pytest.approx(told[path]["probability"], abs=1e-5)
        assert answer.top[0] == (answer.label, answer.probability)
    with pytest.raises(package.PhotoError):
        model.predict(photos)


def test_features_arrow_and_shares_agree(made):
    model = package.load_model(made / "model.onnx")
    photos = sorted(str(p) for p in (made / "photos" / "apple").rglob("*.jpg"))
    answers = model.predict(photos)
    assert model.predict_features(model.featurizer.featurize(photos)) == answers
    shares = model.predict_proba(photos)
    assert shares.shape == (len(photos), 2) and np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    batch = pa.record_batch(model.predict_arrow(pa.array(photos + [None])))
    assert batch["label"].to_pylist() == [a.label for a in answers] + [None]
    assert batch["error"].to_pylist()[-1] == "the path is null"
    assert pickle.loads(pickle.dumps(model)).predict(photos) == answers
    with pytest.raises(ValueError, match="vectors of"):
        model.predict_features(np.zeros((2, 3)))


def test_a_dataset_is_a_table(made):
    dataset = package.read_dataset(made / "features")
    table = pa.table(dataset)
    assert len(dataset) == table.num_rows == 40 and dataset.dimension == 24
    assert table.equals(pq.read_table(made / "features").cast(table.schema))
    assert [r["reason"][:12] for r in dataset.rejects] == ["not an image"]
    assert "features" not in pa.table(package.read_dataset(made / "features", vectors=False)).column_names


def test_what_is_not_there_says_so(tmp_path):
    for call in (package.load_model, package.read_dataset, package.PCA.load):
        with pytest.raises(package.Error) as caught:
            call(tmp_path / "none")
        assert caught.value.code == "not-found"
