# SPDX-License-Identifier: Apache-2.0
"""Real photos and real weights: every photo becomes a row, and the vectors are those of ONNX Runtime."""
import numpy as np
import pytest
from PIL import Image

from engine_support import record, table, vectors

MODEL = "mobilenet_v2_1.0_224.onnx"


@pytest.fixture(scope="session")
def flags(shared_data):
    return ["--model", shared_data / "weights" / MODEL, "--preprocess", "tf", "-q"]


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def onnx_runtime(model, paths, size=224):
    """Features of the photos as Pillow decodes and resizes them."""
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    found = []
    for first in range(0, len(paths), 16):
        pixels = np.stack([np.asarray(Image.open(p).convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
                           for p in paths[first:first + 16]])
        x = (pixels.astype(np.float32) / np.float32(127.5) - 1).transpose(0, 3, 1, 2)
        found.append(session.run(["features"], {"input": np.ascontiguousarray(x)})[0])
    return np.concatenate(found)


def assert_equal(found, expected):
    difference, similarity = np.abs(found - expected).max(), cosine(found, expected)
    print(f"largest difference {difference:.2e}, least cosine {similarity.min():.7f}")
    assert difference < 1e-3
    assert similarity.min() > 0.99999


def test_f32_equals_onnx_runtime(pomona, flags, fruits360, shared_data, tmp_path):
    every = sorted(str(p) for p in fruits360.rglob("*.jpg"))
    (tmp_path / "list").write_text("\n".join(every[::23][:320]))
    pomona("featurize", "--paths-from", tmp_path / "list", tmp_path / "out", *flags, "--precision", "f32")
    paths = table(tmp_path / "out")["path"].to_pylist()
    assert paths == every[::23][:320]
    assert_equal(vectors(tmp_path / "out"), onnx_runtime(shared_data / "weights" / MODEL, paths))


def test_f32_on_photos_of_all_sizes(pomona, flags, shared_data, tmp_path):
    """From 166 x 171 to 3160 x 2072. Large JPEGs are not decoded at a fraction here: Pillow does not either."""
    (tmp_path / "list").write_text("\n".join(sorted(map(str, (shared_data / "fruit-photos" / "test").rglob("*.jpg")))))
    pomona("featurize", "--paths-from", tmp_path / "list", tmp_path / "out", *flags, "--precision", "f32",
           "--jpeg-scale", "off", "--no-exif")
    paths = table(tmp_path / "out")["path"].to_pylist()
    assert len(paths) == 60
    assert_equal(vectors(tmp_path / "out"), onnx_runtime(shared_data / "weights" / MODEL, paths))


@pytest.mark.slow
def test_all_of_fruits360(pomona, flags, fruits360, tmp_path):
    """7,478 rows at f32 and at the machine's own precision; classifiers trained on either say the same."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    datasets = {}
    for precision in ("f32", "auto"):
        dest = tmp_path / precision
        pomona("featurize", fruits360, dest, *flags, "--precision", precision, timeout=600)
        assert record(dest)["counts"] == \
            {"listed": 7478, "written": 7478, "rejected": 0, "computed": 7478, "reused": 0, "identical": 0}
        rows = table(dest)
        assert rows.num_rows == 7478
        split = np.array(rows["split"].to_pylist())
        assert ((split == "Training").sum(), (split == "Test").sum()) == (5606, 1872)
        assert len(set(rows["label"].to_pylist())) == 36
        datasets[precision] = vectors(dest), np.array(rows["label"].to_pylist()), split
    similarity = cosine(datasets["auto"][0], datasets["f32"][0])
    print(f"\n{record(tmp_path / 'auto')['fingerprint']['precision']} against f32: cosine least "
          f"{similarity.min():.5f}, median {np.median(similarity):.5f}")
    predicted = {}
    for precision, (x, y, split) in datasets.items():
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=60))
        classifier.fit(x[split == "Training"], y[split == "Training"])
        predicted[precision] = classifier.predict(x[split == "Test"])
        print(f"{precision}: accuracy {(predicted[precision] == y[split == 'Test']).mean():.4f}")
    agreement = (predicted["auto"] == predicted["f32"]).mean()
    print(f"labels agree on {agreement:.4f}")
    assert agreement >= 0.995
