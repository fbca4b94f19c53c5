# SPDX-License-Identifier: Apache-2.0
"""Model files against ONNX Runtime: the same answers from the same pixels; and hostile files."""
import json
import subprocess

import numpy as np
import pytest
from places import BUILD, SHARED

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ORACLE = BUILD / "bin" / "pomona-modelfile-oracle"
MOBILENET = SHARED / "weights" / "mobilenet_v2_1.0_224.onnx"

pytestmark = pytest.mark.skipif(not ORACLE.exists(), reason=f"{ORACLE} is not built")


def tiny_network(path, opset=13, seed=3):
    """conv 3 x 3 stride 2 -> `map` (8); `features` is a name inside it that the model file needs for itself."""
    rng = np.random.default_rng(seed)

    def tensor(name, *shape):
        return numpy_helper.from_array((rng.standard_normal(shape) * 0.4).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["picture", "w"], ["features"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "v", "b"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5])],
        [tensor("w", 8, 3, 3, 3), tensor("v", 8, 5), tensor("b", 5)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def pictures(count, size, classes, seed=5):
    """Noise around a colour per class, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    colours = np.array([[210, 40, 40], [60, 190, 60], [50, 60, 200], [200, 200, 60]])
    base = np.stack([np.broadcast_to(colours[i % classes], (size, size, 3)) for i in range(count)])
    return np.clip(base + rng.integers(-70, 70, base.shape), 0, 255).astype(np.uint8)


def tool(mode, **options):
    command = [str(ORACLE), mode]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            command += ["--" + name.replace("_", "-")] + ([] if one is True else [str(one)])
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def compare(tmp_path, pixels, network, mean, std, heads, **cut):
    """Makes a model file, asks it natively and by ONNX Runtime, and compares with the bare network too."""
    raw = tmp_path / "pixels"
    raw.write_bytes(pixels.tobytes())
    out = tmp_path / "model.onnx"
    components = cut.pop("components", 6)
    common = {"model": network, "pixels": raw, "batch": 4, **cut}
    made = tool("make", out=out, head=heads, classes=3, components=components, unknown=True, **common)
    assert made.returncode == 0, made.stderr
    # Other photos than those of training: a forest's thresholds stand right on values of training photos, where
    # the last bit of another engine's arithmetic decides.
    pixels = pictures(len(pixels), pixels.shape[1], 3, seed=6)
    raw.write_bytes(pixels.tobytes())
    answered = tool("answer", out=out, pixels=raw, batch=4)
    assert answered.returncode == 0, answered.stderr
    native = json.loads(answered.stdout)
    plain = json.loads(tool("plain", **common).stdout)
    assert native["features"] == plain["features"], "the network in the file gives other vectors than alone"
    assert native["fingerprint"] == plain["fingerprint"]

    session = ort.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    x = ((pixels.astype(np.float32) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    names = [o.name for o in session.get_outputs()]
    values = dict(zip(names, session.run(None, {name: np.ascontiguousarray(x)})))
    d = native["d"]
    features = np.array(native["features"], np.float32).reshape(-1, d)
    scale = np.abs(features).max()
    assert np.abs(values["features"] - features).max() <= 3e-5 * max(1, scale)
    for t in range(len(heads)):
        suffix = "" if t == 0 else f"_target {t}"
        p = np.array([row["probabilities"][t] for row in native["rows"]])
        q = values["probabilities" + suffix]
        assert p.shape == q.shape and np.abs(p.sum(1) - 1).max() < 1e-5
        assert np.abs(p - q).max() <= 1e-5, heads[t]
        labels = np.array([row["labels"][t] for row in native["rows"]])
        # Where two classes are equal to the last digits either may come first.
        best = np.sort(q, axis=1)
        clear = best[:, -1] - best[:, -2] > 2e-5
        assert (labels[clear] == values["label" + suffix][clear]).all() and clear.mean() > 0.5
    distance = np.array([row["distance"] for row in native["rows"]])
    assert np.abs(distance - values["distance"]).max() <= 1e-3
    assert [row["unknown"] for row in native["rows"]] == (distance > json.loads(
        session.get_modelmeta().custom_metadata_map["pomona.unknown"])["threshold"]).tolist()
    return session, values, native


HEADS = ["logistic:features", "forest:components", "lda:components", "forest:features"]


@pytest.mark.parametrize("opset", [7, 11, 13, 17, 18])
def test_heads_equal_onnx_runtime(tmp_path, opset):
    network = tiny_network(tmp_path / "tiny.onnx", opset)
    compare(tmp_path, pictures(36, 32, 3), network, 127.5, 127.5, HEADS, preprocess="tf", input_size=32)


@pytest.mark.parametrize("layer,pool,size", [("map", "avg", 32), ("map", "max", 32), ("map", "none", 8),
                                             ("features", "avg", 32), ("pooled", "auto", 32)])
def test_pooling_is_part_of_the_file(tmp_path, layer, pool, size):
    network = tiny_network(tmp_path / "tiny.onnx")
    session, values, native = compare(tmp_path, pictures(30, size, 3), network, 127.5, 127.5,
                                      ["logistic:features", "forest:components"], preprocess="tf",
                                      input_size=size, layer=layer, pool=pool)
    assert values["features"].shape[1] == (8 * 16 if pool == "none" else 8)
    # ONNX Runtime's own intermediate value, pooled by hand, is the same.
    assert native["fingerprint"]["identity"]["layer"] == layer


def test_real_network_and_metadata(tmp_path):
    if not MOBILENET.exists():
        pytest.skip(f"{MOBILENET} is not there")
    session, values, native = compare(tmp_path, pictures(24, 96, 3), MOBILENET, 127.5, 127.5,
                                      ["logistic:features", "forest:components"], preprocess="tf", input_size=96,
                                      components=10)
    meta = session.get_modelmeta().custom_metadata_map
    assert meta["pomona.format"] == "1"
    assert json.loads(meta["pomona.preprocess"])["width"] == 96
    targets = json.loads(meta["pomona.targets"])
    assert targets[0]["labels"] == ["class 0", "class 1", "class 2"] and targets[0]["target_precision"] == 0.99
    spectrum = json.loads(meta["pomona.pca"])["spectrum"]
    assert len(spectrum) == 24 and spectrum == sorted(spectrum, reverse=True)
    assert json.loads(meta["pomona.fingerprint"])["precision"] == "f32"
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"))
    assert values["reduced"].shape == (24, 10)


def test_model_of_a_model(tmp_path):
    """A model file can serve as the network of the next one: the same features and fingerprint."""
    network = tiny_network(tmp_path / "tiny.onnx")
    raw = tmp_path / "pixels"
    raw.write_bytes(pictures(30, 32, 3).tobytes())
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    made = tool("make", model=network, preprocess="tf", input_size=32, pixels=raw, out=first, head="logistic:features")
    assert made.returncode == 0, made.stderr
    made = tool("make", model=first, pixels=raw, out=second, head="logistic:features")
    assert made.returncode == 0, made.stderr
    assert json.loads(tool("answer", out=first, pixels=raw).stdout) == json.loads(
        tool("answer", out=second, pixels=raw).stdout)
    refused = tool("make", model=first, pixels=raw, out=second, head="logistic:features", layer="map")
    assert refused.returncode == 1 and "brings its own" in refused.stderr


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    network = tiny_network(folder / "tiny.onnx")
    raw = folder / "pixels"
    raw.write_bytes(pictures(30, 32, 3).tobytes())
    made = tool("make", model=network, preprocess="tf", input_size=32, pixels=raw, out=folder / "model.onnx",
                head=["forest:components", "logistic:features"], components=5, unknown=True)
    assert made.returncode == 0, made.stderr
    return folder


def refuse(good, tmp_path, change, words):
    model = onnx.load(good / "model.onnx")
    change(model)
    file = tmp_path / "bad.onnx"
    file.write_bytes(model.SerializeToString())
    answered = tool("answer", out=file, pixels=good / "pixels")
    assert answered.returncode == 1, "taken: " + answered.stdout[:200] + answered.stderr
    assert "bad.onnx" in answered.stderr and any(word in answered.stderr for word in words), answered.stderr


def meta(key, edit):
    def change(model):
        for entry in model.metadata_props:
            if entry.key == key:
                value = json.loads(entry.value)
                edited = edit(value)
                entry.value = json.dumps(value if edited is None else edited)
    return change


def tensor(name, edit):
    def change(model):
        for entry in model.graph.initializer:
            if entry.name == name:
                edit(entry)
    return change


def forest(attribute, value):
    def change(model):
        node = next(n for n in model.graph.node if n.op_type == "TreeEnsembleClassifier")
        found = next(a for a in node.attribute if a.name == attribute)
        (found.ints if found.ints else found.floats)[0] = value
    return change


def external(entry):
    entry.ClearField("raw_data")
    entry.data_location = TensorProto.EXTERNAL
    entry.external_data.add(key="location", value="../../../../etc/passwd")


def drop(key):
    def change(model):
        kept = [e for e in model.metadata_props if e.key != key]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
    return change


HOSTILE = {
    "no metadata": (lambda m: m.ClearField("metadata_props"), ["not a model that Pomona trained"]),
    "newer": (meta("pomona.format", lambda v: 7), ["newer than this program"]),
    "no targets": (meta("pomona.targets", lambda v: v.clear()), ["no target"]),
    "targets are text": (meta("pomona.targets", lambda v: "x"), ["pomona.targets"]),
    "label missing": (meta("pomona.targets", lambda v: v[1]["labels"].pop() and None), ["shape"]),
    "label twice": (meta("pomona.targets", lambda v: v[1]["labels"].__setitem__(0, "class 1")), ["one name"]),
    "wide head": (meta("pomona.targets", lambda v: v[1].update(d=1 << 20)), ["shape"]),
    "negative head": (meta("pomona.targets", lambda v: v[1].update(d=-1)), ["`d`"]),
    "huge k": (meta("pomona.pca", lambda v: v.update(k=1 << 30)), ["`k`"]),
    "no preprocessing": (drop("pomona.preprocess"), ["pomona.preprocess"]),
    "other preprocessing": (meta("pomona.preprocess", lambda v: v.update(mean=[1, 2, 3])), ["fingerprint"]),
    "other layer": (meta("pomona.backbone", lambda v: v.update(cut="map")), ["fingerprint", "layer", "damaged"]),
    "no such layer": (meta("pomona.backbone", lambda v: v.update(cut="nowhere")), ["nowhere"]),
    "changed fingerprint": (meta("pomona.fingerprint", lambda v: v["identity"].update(pool="max")), ["damaged"]),
    "external data": (tensor("pomona/pca/mean", external), ["outside"]),
    "huge shape": (tensor("pomona/pca/mean", lambda t: t.dims.__setitem__(0, 1 << 40)), ["shape", "2^33"]),
    "short tensor": (tensor("pomona/pca/mean", lambda t: setattr(t, "raw_data", b"abcd")), ["bytes"]),
    "NaN weight": (tensor("pomona/head1/bias", lambda t: setattr(
        t, "raw_data", np.full(4, np.nan, np.float32).tobytes())), ["no number"]),
    "forest feature": (forest("nodes_featureids", 99), ["asks for number 99"]),
    "forest loop": (forest("nodes_truenodeids", 0), ["out of its tree", "parent"]),
    "forest beyond": (forest("nodes_truenodeids", 1 << 40), ["leads nowhere"]),
    "forest class": (forest("class_ids", 1 << 40), ["no tree or class"]),
    "forest leaf": (forest("class_nodeids", 0), ["on a branch"]),
    "forest order": (forest("nodes_treeids", 3), ["out of order"]),
    "unknown detector": (meta("pomona.unknown", lambda v: v.update(q=3)), ["shape"]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(good, tmp_path, case):
    change, words = HOSTILE[case]
    refuse(good, tmp_path, change, words)


def test_truncated_files_are_refused(good, tmp_path):
    whole = (good / "model.onnx").read_bytes()
    file = tmp_path / "bad.onnx"
    for share in (0, 0.1, 0.5, 0.9, 0.999):
        file.write_bytes(whole[: int(len(whole) * share)])
        answered = tool("answer", out=file, pixels=good / "pixels")
        assert answered.returncode == 1 and "bad.onnx" in answered.stderr


def test_flipped_bytes_do_not_crash(good, tmp_path):
    whole = bytearray((good / "model.onnx").read_bytes())
    rng = np.random.default_rng(11)
    file = tmp_path / "bad.onnx"
    for _ in range(25):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole), 8):
            broken[place] ^= int(rng.integers(1, 256))
        file.write_bytes(broken)
        assert tool("answer", out=file, pixels=good / "pixels").returncode in (0, 1)


def test_nothing_is_overwritten_by_a_failure(good, tmp_path):
    target = tmp_path / "model.onnx"
    target.write_bytes(b"what was there before")
    failed = tool("make", model=good / "tiny.onnx", preprocess="tf", input_size=32, pixels=good / "pixels",
                  out=target, head="logistic:components")
    assert failed.returncode == 1
    assert target.read_bytes() == b"what was there before"
