# SPDX-License-Identifier: Apache-2.0
"""The package as it stands in the build folder, and what its tests share."""
import os
import sys

import pytest
from places import PACKAGE

sys.path.insert(0, str(PACKAGE))
# Processes that tests start find it too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(scope="session")
def small_network(tmp_path_factory):
    from engine_support import make_network

    return make_network(tmp_path_factory.mktemp("network") / "small.onnx")


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """20 photos of two classes: paths in the order of a listing."""
    from engine_support import make_photos

    folder = make_photos(tmp_path_factory.mktemp("photos"), 20)
    return sorted(str(p) for p in folder.rglob("*.jpg"))


@pytest.fixture(scope="session")
def featurizer(small_network):
    import pomona

    return pomona.Featurizer(model=small_network, preprocess="tf", input_size=32, precision="f32", batch=4)
