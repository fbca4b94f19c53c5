# SPDX-License-Identifier: Apache-2.0
"""The module loads beside other libraries that bring their own libtbb, Arrow and OpenMP, in any order, and works."""
import concurrent.futures
import itertools
import subprocess
import sys

import pytest

MODULES = ("pomona", "openvino", "pyarrow", "sklearn", "onnxruntime")
PROGRAM = """
import sys
for name in sys.argv[2:]: __import__(name)
import numpy as np, pomona, openvino, pyarrow as pa, sklearn.decomposition
z = pomona.Featurizer(model=sys.argv[1], preprocess="tf", input_size=32, precision="f32", compile_cache=False)
x = z.featurize([np.full((9, 9, 3), i, np.uint8) for i in range(30)])
p = pomona.PCA(2).fit(x)
assert len(pa.array(z.featurize_arrow(pa.array([b"x"])))) == 1
assert sklearn.decomposition.PCA(2).fit(x).n_components_ == 2
openvino.Core().compile_model(sys.argv[1], "CPU")
"""


def works(network, order):
    done = subprocess.run([sys.executable, "-c", PROGRAM, network, *order], capture_output=True, text=True, timeout=120)
    return done.returncode == 0, f"{' '.join(order)}: exit {done.returncode}\n{done.stderr[-2000:]}"


def check(network, orders):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        failed = [said for good, said in pool.map(lambda order: works(network, order), orders) if not good]
    assert not failed, "\n".join(failed[:3])


def test_first_and_last(small_network):
    check(small_network, [MODULES, ("openvino", "sklearn", "onnxruntime", "pyarrow", "pomona")])


@pytest.mark.release
def test_all_orders(small_network):
    check(small_network, list(itertools.permutations(MODULES)))
