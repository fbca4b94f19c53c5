# SPDX-License-Identifier: Apache-2.0
"""What the exported model is worth beside the engine: every Test photo by ONNX Runtime, a sample in Chromium."""
import json
import sys

import numpy as np
import pytest

from page_support import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import edge_bench  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(pomona, fruits360, tmp_path_factory):
    """A model trained on all Training photos, and where its exports go."""
    folder = tmp_path_factory.mktemp("whole")
    pomona("train", fruits360 / "Training", "-o", folder / "model.onnx", "-q")
    return folder


@pytest.mark.parametrize("weights,cosine", [("fp16", 0.999), ("int8", 0.9)])
def test_the_exported_model_names_what_the_engine_names(pomona, whole, fruits360, weights, cosine):
    site = whole / weights
    pomona("export", whole / "model.onnx", "--web", site, "--weights", weights)
    # All of them for what is exported by default.
    photos = sorted((fruits360 / "Test").glob("*/*.jpg"))[:: 1 if weights == "fp16" else 4]
    same, least = edge_bench.agreement(pomona.path, whole / "model.onnx", site, fruits360 / "Test", photos)
    assert same >= 0.995
    assert least >= cosine


def test_so_does_the_browser(pomona, whole, fruits360, chromium):
    site = whole / "browser"
    pomona("export", whole / "model.onnx", "--web", site)
    photos = sorted((fruits360 / "Test").glob("*/*.jpg"))[::9]
    size, _, answers = edge_bench.visit(site, photos)
    assert len(photos) > 200 and size <= 10e6
    engine = edge_bench.engine_labels(pomona.path, whole / "model.onnx", fruits360 / "Test")
    by_name = {"/".join(path.split("/")[-2:]): label for path, label in engine.items()}
    same = sum(answer["label"] == by_name[f"{photo.parent.name}/{photo.name}"] for photo, answer in zip(photos, answers))
    assert same / len(photos) >= 0.995
    spec = json.loads((site / "model.json").read_text())["preprocess"]
    own, = edge_bench.outputs(whole / "model.onnx", photos, spec, ["features"])
    assert edge_bench.least_cosine(np.array([answer["features"] for answer in answers]), own) >= 0.999
