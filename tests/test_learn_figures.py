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


FRUITS = ("apple", "banana", "orange")


def test_other_backgrounds_for_photos_on_white(pomona, fruits360, shared_data, tmp_path):
    """Apples, bananas and oranges on white, then those of everyday photos: what --augment is worth, by the command."""
    studio, natural = tmp_path / "studio", tmp_path / "natural"
    for kind in sorted((fruits360 / "Training").iterdir()):
        fruit = next((f for f in FRUITS if kind.name.lower().startswith(f)), None)
        if fruit is None:
            continue
        (studio / fruit).mkdir(parents=True, exist_ok=True)
        for photo in sorted(kind.iterdir())[::4]:
            (studio / fruit / f"{kind.name} {photo.name}").symlink_to(photo)
    for fruit in FRUITS:
        (natural / fruit).mkdir(parents=True)
        for part in ("train", "test"):
            for photo in sorted((shared_data / "fruit-photos" / part / fruit).iterdir()):
                (natural / fruit / photo.name).symlink_to(photo)
    pomona("featurize", studio, tmp_path / "features", "-q")
    pomona("featurize", natural, tmp_path / "photos", "-q")
    right = {}
    for kind in ("logistic", "lda", "forest"):
        for name, options in {"plain": [], "augmented": ["--augment", "textures"]}.items():
            model = trained(pomona, tmp_path / "features", tmp_path, f"{kind}-{name}", "--classifier", kind, *options)
            right[kind, name] = percent(pomona, model, tmp_path / "photos")
    for kind in ("forest", "lda"):
        assert right[kind, "augmented"] > right[kind, "plain"] + 3, right
    assert right["logistic", "augmented"] >= right["logistic", "plain"] - 0.5, right
