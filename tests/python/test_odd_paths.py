# SPDX-License-Identifier: Apache-2.0
"""Files whose names are not UTF-8, as os.listdir gives them: lone surrogates in a str."""
import os
import shutil

import numpy as np
import pytest

import pomona as package

ODD = os.fsdecode(b"caf\xe9")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("odd") / ODD
    place.mkdir()
    return place


def test_a_network(small_network, photos, featurizer, folder):
    shutil.copy(small_network, folder / "net.onnx")
    odd = package.Featurizer(model=os.fspath(folder / "net.onnx"), preprocess="tf", input_size=32, precision="f32", batch=4)
    assert np.array_equal(odd.featurize(photos[:3]), featurizer.featurize(photos[:3]))
    assert odd.name and repr(odd)


def test_a_pca(folder):
    pca = package.PCA(n_components=2).fit(np.random.default_rng(1).standard_normal((20, 5)).astype(np.float32))
    pca.save(folder / "pca.bin")
    assert np.array_equal(package.PCA.load(folder / "pca.bin").components_, pca.components_)


def test_what_is_not_there(folder):
    for open_it in (package.load_model, package.PCA.load, package.read_dataset,
                    lambda path: package.Featurizer(model=path, preprocess="tf")):
        with pytest.raises(package.Error) as raised:
            open_it(folder / "nothing.onnx")
        assert "%E9" in str(raised.value), open_it


def test_a_model_and_a_dataset(small_network, photos, folder, pomona):
    place = os.path.dirname(os.path.dirname(photos[0]))
    results = folder / "results"
    pomona("run", place, results, "--model", small_network, "--preprocess", "tf", "--input-size", "32", "--no-report", "-q")
    assert len(package.read_dataset(results / "features")) == len(photos)
    assert package.load_model(results / "model.onnx").predict(photos[:1])
