# SPDX-License-Identifier: Apache-2.0
"""The three networks of the original works as ONNX files without their last layer, with random weights: for speed only.

`write(name, path)`: input N x 3 x H x W float32, output `features`. Batch norms are folded into the convolutions, as
every runtime does. Where the real weights of MobileNetV2 are at hand the benchmark takes those.
"""
import os
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper

DIMENSIONS = {"mobilenetv2": 1280, "resnet50": 2048, "vgg16": 4096}


class Graph:
    """Nodes and weights, added layer by layer; each method takes and returns the name of a tensor."""

    def __init__(self):
        self.nodes, self.weights = [], []
        self.random = np.random.default_rng(7)

    def node(self, kind, *inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def weight(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def he(self, shape, fan_in, gain):
        """Random weights that keep the size of a signal (He et al., arXiv:1502.01852): nothing dies or overflows."""
        return self.weight(self.random.standard_normal(shape, np.float32) * np.float32((gain / fan_in) ** 0.5))

    def conv(self, x, inputs, outputs, size, stride=1, groups=1, act="Relu", gain=2.0):
        fan_in = inputs // groups * size * size
        pad = (size - 1) // 2
        y = self.node("Conv", x, self.he((outputs, inputs // groups, size, size), fan_in, gain),
                      self.weight(self.random.standard_normal(outputs) * 0.05), group=groups,
                      kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4)
        if act == "Relu6":
            return self.node("Clip", y, self.weight(0), self.weight(6))
        return self.node("Relu", y) if act else y

    def dense(self, x, inputs, outputs):
        y = self.node("Gemm", x, self.he((outputs, inputs), inputs, 2.0), self.weight(np.zeros(outputs)), transB=1)
        return self.node("Relu", y)

    def pooled(self, x):
        return self.node("Flatten", self.node("GlobalAveragePool", x))


def mobilenetv2(graph, x):
    """Sandler et al., arXiv:1801.04381, table 2."""
    x = graph.conv(x, 3, 32, 3, 2, act="Relu6")
    channels = 32
    for expand, outputs, repeats, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                             (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(repeats):
            wide, step = channels * expand, stride if i == 0 else 1
            y = graph.conv(x, channels, wide, 1, act="Relu6") if expand > 1 else x
            y = graph.conv(y, wide, wide, 3, step, groups=wide, act="Relu6")
            y = graph.conv(y, wide, outputs, 1, act=None, gain=1.0)
            x = graph.node("Add", x, y) if step == 1 and channels == outputs else y
            channels = outputs
    return graph.pooled(graph.conv(x, 320, 1280, 1, act="Relu6"))


def resnet50(graph, x):
    """He et al., arXiv:1512.03385; as in Keras the first convolution of a stage has the stride."""
    x = graph.conv(x, 3, 64, 7, 2)
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (width, repeats) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for i in range(repeats):
            step = 2 if stage and i == 0 else 1
            side = graph.conv(x, channels, 4 * width, 1, step, act=None, gain=1.0) if i == 0 else x
            y = graph.conv(x, channels, width, 1, step)
            y = graph.conv(y, width, width, 3)
            y = graph.conv(y, width, 4 * width, 1, act=None, gain=0.5)
            x = graph.node("Relu", graph.node("Add", side, y))
            channels = 4 * width
    return graph.pooled(x)


def vgg16(graph, x):
    """Simonyan and Zisserman, arXiv:1409.1556, configuration D, up to its second dense layer."""
    channels = 3
    for outputs, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            x = graph.conv(x, channels, outputs, 3)
            channels = outputs
        x = graph.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = graph.dense(graph.node("Flatten", x), 512 * 7 * 7, 4096)
    return graph.dense(x, 4096, 4096)


def write(name, path):
    """Writes the network to `path` where it is not there yet; whole or not at all."""
    path = pathlib.Path(path)
    if path.exists():
        return path
    graph = Graph()
    end = {"mobilenetv2": mobilenetv2, "resnet50": resnet50, "vgg16": vgg16}[name](graph, "input")
    graph.nodes.append(helper.make_node("Identity", [end], ["features"]))
    model = helper.make_model(
        helper.make_graph(graph.nodes, name,
                          [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 224, 224])],
                          [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", DIMENSIONS[name]])],
                          graph.weights),
        opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    making = path.with_suffix(".making")
    making.write_bytes(model.SerializeToString())
    os.replace(making, path)
    return path
