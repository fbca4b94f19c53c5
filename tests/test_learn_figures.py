# SPDX-License-Identifier: Apache-2.0
"""How well the classifiers tell real fruit: figures on fruits360-subset (Training -> Test) and fruit-photos."""
import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def percent(pomona, model, source):
    figures = json.loads(pomona("evaluate", model, source, "--json", "-q").stdout)
    print(f"{model.stem}: {100 * figures['accuracy']:.2f} % of {figures['photos']} "
          f"({100 * figures['accuracy_low']:.2f} to {100 * figures['accuracy_high']:.2f})")
    return 100 * figures["accuracy"]


def trained(pomona, features, folder, name, *options):
    model = folder / f"{name}.onnx"
    pomona("train", features, "-o", model, "-q", *options)
    return model


def test_lite0_at_224(pomona, fruits360, tmp_path):
    features = tmp_path / "lite0-224"
    pomona("featurize", fruits360, features, "-q")
    logistic = trained(pomona, features, tmp_path, "lite0-224-logistic")
    lda = trained(pomona, features, tmp_path, "lite0-224-lda", "--classifier", "lda")
    forest = trained(pomona, features, tmp_path, "lite0-224-forest", "--classifier", "forest", "--head-components", "100")
    assert percent(pomona, logistic, features) >= 99.9
    assert percent(pomona, lda, features) >= 99.8
    assert percent(pomona, forest, features) >= 99.6


def test_lite0_at_128(pomona, fruits360, tmp_path):
    features = tmp_path / "lite0-128"
    pomona("featurize", fruits360, features, "--input-size", "128", "-q")
    assert percent(pomona, trained(pomona, features, tmp_path, "lite0-128-logistic"), features) >= 99.9


def test_mobilenetv2_at_224(pomona, fruits360, shared_data, tmp_path):
    features = tmp_path / "mobilenetv2-224"
    network = shared_data / "weights" / "mobilenet_v2_1.0_224.onnx"
    pomona("featurize", fruits360, features, "--model", network, "--preprocess", "tf", "-q")
    assert percent(pomona, trained(pomona, features, tmp_path, "mobilenetv2-224-logistic"), features) >= 99.7


def test_photos_with_natural_backgrounds(pomona, shared_data, tmp_path):
    photos = shared_data / "fruit-photos"
    model = trained(pomona, photos / "train", tmp_path, "fruit-photos", "--select", "--folds", "5")
    assert percent(pomona, model, photos / "test") >= 96.6
