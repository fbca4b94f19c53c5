# SPDX-License-Identifier: Apache-2.0
"""What the whole-program tests of the engine share: photos of their own, a small network, datasets read back."""
import json
import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SMALL = 32  # pixels; input size of the small network


def make_photo(path, seed, size=(48, 48), kind="JPEG"):
    """A smooth random photo, another one for each seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
    path = os.fspath(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        coarse.resize(size, Image.Resampling.BICUBIC).save(file, kind, quality=90)


def make_photos(folder, count, first=0, classes=("apple", "pear")):
    """`count` photos in a folder per class, named so that listing order is the order of the numbers per class."""
    folder = pathlib.Path(folder)
    for i in range(first, first + count):
        make_photo(folder / classes[i % len(classes)] / f"{i:05d}.jpg", i)
    return folder


def break_off(dest):
    """Makes of a finished dataset what a run leaves that is killed after its last part, before its end."""
    run = json.loads((dest / "_run.json").read_text())
    left = dest / "_temporary" / run["run_id"]
    left.mkdir(parents=True)
    (left / "run.json").write_text(json.dumps(run["header"] | {"format_version": run["format_version"]}))
    for part in run["parts"]:
        (left / f"part-{part['index']:05d}.json").write_text(json.dumps(part))
    for name in ("_run.json", "_SUCCESS", "_moments.bin"):
        (dest / name).unlink(missing_ok=True)


def make_network(path, d=24, pooled=True, side=None, seed=3):
    """A convolutional network with random weights and a classification head, as ONNX. Not pooled: its last
    convolution's output is flattened, side / 8 x side / 8 x d numbers."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)

    def weight(name, *shape):
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        return numpy_helper.from_array((rng.standard_normal(shape) * scale).astype(np.float32), name)

    widths = [3, 8, 16, d]
    nodes, weights, last = [], [], "input"
    for i in range(3):
        weights.append(weight(f"w{i}", widths[i + 1], widths[i], 3, 3))
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [f"c{i}"], strides=[2, 2], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        last = f"r{i}"
    if pooled:
        nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
        weights.append(weight("dense", 5, d))
        nodes += [helper.make_node("Flatten", ["pooled"], ["features"]),
                  helper.make_node("Gemm", ["features", "dense"], ["logits"], transB=1)]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5])]
    else:
        outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT,
                                                 ["n", d, side // 8 if side else "h8", side // 8 if side else "w8"])]
    shape = ["n", 3, side or "h", side or "w"]
    graph = helper.make_graph(nodes, "small", [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
                              outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, os.fspath(path))
    return pathlib.Path(path)


def small(network):
    """Flags that make a run with the small network quick."""
    return ["--model", str(network), "--preprocess", "tf", "--input-size", str(SMALL), "--precision", "f32", "-q"]


def record(dest):
    return json.loads((pathlib.Path(dest) / "_run.json").read_text())


def parts(dest):
    return sorted(p.name for p in pathlib.Path(dest).iterdir() if p.name.startswith("part-"))


def table(dest):
    """The dataset as Spark or pandas would read it: every part, in order of name."""
    return pq.read_table(os.fspath(dest))


def vectors(dest, column="features"):
    data = table(dest)[column].combine_chunks()
    return np.asarray(data.flatten()).reshape(len(data), -1)


def rejects(dest):
    """Rows of _rejects/ as dictionaries, in order of part."""
    folder = pathlib.Path(dest) / "_rejects"
    if not folder.is_dir():
        return []
    return pa.concat_tables([pq.read_table(p) for p in sorted(folder.iterdir())]).to_pylist()


def assert_same_dataset(found, expected):
    """Row for row, to the bit; the parts may be cut otherwise only if `expected` is too."""
    a, b = table(found), table(expected)
    assert a.schema.equals(b.schema)
    assert a.equals(b)
    key = "features" if "features" in a.column_names else "components"
    assert vectors(found, key).tobytes() == vectors(expected, key).tobytes()
    assert rejects(found) == rejects(expected)
