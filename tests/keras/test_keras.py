# SPDX-License-Identifier: Apache-2.0
"""Networks as Keras exports them give the same features through Pomona as through Keras."""
import csv
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from places import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from engine_support import make_photo, parts, vectors  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PHOTOS = 20


@pytest.fixture(scope="session")
def keras():
    """Python with Keras; made on demand."""
    done = subprocess.run([ROOT / "setup" / "keras.sh"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("Keras could not be installed: " + done.stderr.strip()[-300:])
    return ROOT / ".venv-keras" / "bin" / "python"


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(PHOTOS):
        make_photo(folder / f"{i:02d}.jpg", i, size=(100 + 17 * i, 320 - 9 * i))
    return folder


def exported(keras, photos, folder, name, layer, mode):
    """The SavedModel and Keras's own features."""
    done = subprocess.run([keras, pathlib.Path(__file__).with_name("export.py"), name, layer, mode, folder,
                           *sorted(photos.iterdir())], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "saved", np.load(folder / "features.npy")


def assert_same(found, expected):
    """float32 through a hundred layers: 1e-4 of the largest value of each photo's vector."""
    assert found.shape == expected.shape
    error = np.abs(found - expected).max(1) / np.abs(expected).max(1)
    cosine = (found * expected).sum(1, dtype=np.float64) / np.linalg.norm(found.astype(np.float64), axis=1) / \
        np.linalg.norm(expected.astype(np.float64), axis=1)
    print(f"largest relative difference {error.max():.1e}, least cosine {cosine.min():.8f}")
    # Vectors of different photos differ far more than that, or the test would say nothing.
    assert np.abs(expected[0] - expected[1]).max() > 1e-2 * np.abs(expected[0]).max()
    assert error.max() < 1e-4
    assert cosine.min() > 0.999999


@pytest.mark.parametrize("name, layer, d, mode", [
    ("ResNet50", "avg_pool", 2048, "caffe"), ("ResNet50", "avg_pool", 2048, "tf"), ("ResNet50", "avg_pool", 2048, "torch"),
    ("MobileNetV2", "global", 1280, "tf"), ("MobileNetV2", "global", 1280, "caffe"), ("MobileNetV2", "global", 1280, "torch"),
])
def test_pooled_features(pomona, keras, photos, tmp_path, name, layer, d, mode):
    saved, expected = exported(keras, photos, tmp_path, name, layer, mode)
    pomona("featurize", photos, tmp_path / "out", "--model", saved, "--preprocess", mode, "--precision", "f32",
           "--no-exif", "--jpeg-scale", "off", "-q")
    assert expected.shape == (PHOTOS, d)
    assert_same(vectors(tmp_path / "out"), expected)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_vgg16_block5_by_its_recipe(pomona, keras, photos, tmp_path, mode):
    """The recipe says caffe; what is typed wins."""
    saved, expected = exported(keras, photos, tmp_path, "VGG16", "block5_pool", mode)
    assert expected.shape == (PHOTOS, 25088)
    typed = [] if mode == "caffe" else ["--preprocess", mode]
    pomona("run", photos, tmp_path / "out", "--recipe", "vgg16-block5", "--model", saved, "--precision", "f32",
           "--jpeg-scale", "off", "-q", *typed)
    [part] = parts(tmp_path / "out" / "features")
    csv.field_size_limit(1 << 24)
    with open(tmp_path / "out" / "features" / part, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "features"]
    assert [os.path.basename(r[0]) for r in rows] == sorted(p.name for p in photos.iterdir())
    assert_same(np.array([r[1].strip("[]").split(",") for r in rows]).astype(np.float32), expected)
