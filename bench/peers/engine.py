# SPDX-License-Identifier: Apache-2.0
"""What every peer in Python gets alike: the same network on the same OpenVINO at the same precision, fed with bytes; PCA
by scikit-learn; Parquet by pyarrow; one line of JSON at the end.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib

import numpy as np

BATCH = 8  # per inference request: the best of 1 to 32 on two cores, as for Pomona
THREADS = len(os.sched_getaffinity(0))


def arguments(description, choices=()):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("dest", type=pathlib.Path, help="folder of the Parquet file")
    parser.add_argument("--model", required=True, help="ONNX, output `features`")
    parser.add_argument("--mode", choices=("tf", "caffe"), default="tf", help="Keras's name of the preprocessing")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16")
    parser.add_argument("-k", type=int, default=41)
    if choices:
        parser.add_argument("--decoder", choices=choices, default=choices[0])
    return parser.parse_args()


def compiled(model, mode, size, precision, hint="THROUGHPUT", streams=THREADS, threads=THREADS):
    """The network for batches of BATCH x size x size x 3 bytes, RGB; mean and scale are done inside."""
    import openvino as ov
    core = ov.Core()
    network = core.read_model(model)
    end = next(out for out in network.outputs if "features" in out.get_names())
    network = ov.Model([end.node.input_value(0)], network.get_parameters())
    network.reshape([BATCH, 3, size, size])
    pre = ov.preprocess.PrePostProcessor(network)
    pre.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    pre.input().model().set_layout(ov.Layout("NCHW"))
    steps = pre.input().preprocess()
    if mode == "tf":
        steps.convert_element_type(ov.Type.f32).mean(127.5).scale(127.5)
    else:
        steps.reverse_channels().convert_element_type(ov.Type.f32).mean([103.939, 116.779, 123.68])
    return core.compile_model(pre.build(), "CPU", {
        "PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(threads)})


def dimension(model):
    """Features per photo."""
    import openvino as ov
    end = next(out for out in ov.Core().read_model(model).outputs if "features" in out.get_names())
    return end.get_partial_shape()[-1].get_length()


class Requests:
    """Asynchronous requests, two per stream so that none waits for its caller."""

    def __init__(self, network, per_stream=2):
        import openvino as ov
        self.tensor = ov.Tensor
        self.queue = ov.AsyncInferQueue(network, per_stream * network.get_property("NUM_STREAMS"))
        self.queue.set_callback(self.keep)
        self.d = network.outputs[0].get_shape()[-1]

    @staticmethod
    def keep(request, place):
        rows, first, count, _ = place
        rows[first:first + count] = request.get_output_tensor().data.reshape(BATCH, -1)[:count]

    def add(self, pixels, rows, first, count):
        """Features of the first `count` of BATCH photos go to rows[first:]; `pixels` stays as it is until then."""
        self.queue.start_async(self.tensor(pixels), (rows, first, count, pixels))

    def wait(self):
        self.queue.wait_all()

    def features(self, pixels):
        """n x size x size x 3 bytes -> n x d."""
        count = len(pixels)
        rows = np.empty((count, self.d), np.float32)
        for first in range(0, count, BATCH):
            some = pixels[first:first + BATCH]
            if len(some) < BATCH:
                some = np.concatenate([some, np.zeros((BATCH - len(some), *some.shape[1:]), np.uint8)])
            self.add(np.ascontiguousarray(some), rows, first, min(BATCH, count - first))
        self.wait()
        return rows


def reduced(features, k):
    """scikit-learn's fastest exact way where there are many more rows than columns."""
    from sklearn.decomposition import PCA
    return PCA(k, svd_solver="covariance_eigh").fit_transform(features)


def write(dest, paths, components):
    import pyarrow as pa
    import pyarrow.parquet as pq
    dest.mkdir(parents=True, exist_ok=True)
    rows = np.ascontiguousarray(components, np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    labels = [path.rsplit("/", 2)[-2] for path in paths]
    pq.write_table(pa.table({"path": paths, "label": labels, "components": column}), dest / "reduced.parquet")


def finish(*packages):
    names = ("openvino", "numpy", "scikit-learn", "pyarrow", *packages)
    print(json.dumps({"versions": {name: importlib.metadata.version(name) for name in names}}))
