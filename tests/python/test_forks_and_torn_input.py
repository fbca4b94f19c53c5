# SPDX-License-Identifier: Apache-2.0
"""Photos that Pillow or Arrow hold in ways of their own, and processes that fork when the engine is open."""
import io
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from engine_support import make_photos, small
from PIL import Image

import pomona as package


@pytest.fixture(scope="module")
def model_file(pomona, small_network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_photos(folder / "photos", 12)
    pomona("featurize", folder / "photos", folder / "features", *small(small_network))
    pomona("train", folder / "features", "-o", folder / "model.onnx", "-q")
    return folder / "model.onnx"


def test_an_image_that_pillow_cannot_read_to_its_end_is_one_bad_photo(featurizer, photos):
    whole = open(photos[0], "rb").read()

    def torn():
        return Image.open(io.BytesIO(whole[: len(whole) // 2]))

    found = featurizer.featurize([photos[0], torn(), Image.open(photos[1])], on_error="null")
    assert found.errors[0] is None and found.errors[2] is None and "truncated" in found.errors[1]
    assert np.isnan(found[1]).all() and not np.isnan(found[2]).any()
    with pytest.raises(package.PhotoError, match=r"photos\[1\].*truncated") as error:
        featurizer.featurize([photos[0], torn()])
    assert error.value.index == 1
    closed = Image.open(photos[0])
    closed.close()
    assert featurizer.featurize([closed], on_error="null").errors[0]


def test_a_row_that_is_null_as_a_whole_has_no_vector(featurizer, photos):
    data = [open(photo, "rb").read() for photo in photos[:3]]
    rows = pa.StructArray.from_arrays([pa.array(data)], ["photo"], mask=pa.array([False, True, False]))
    found = pa.record_batch(featurizer.featurize_arrow(rows))
    assert found.column("error").to_pylist() == [None, "the photo is null", None]
    assert [row is None for row in found.column("features").to_pylist()] == [False, True, False]


PROGRAM = """if True:
    import os, sys, warnings
    import numpy as np, pomona
    featurizer = pomona.Featurizer(model=sys.argv[1], preprocess="tf", input_size=32, precision="f32", threads=2)
    before = featurizer.featurize(sys.argv[2:])
    pid = os.fork()
    if pid == 0:
        if os.environ["USE"] == "yes":
            after = featurizer.featurize(sys.argv[2:])
            sys.exit(3 if np.array_equal(before, after) else 4)
        sys.exit(3)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert np.array_equal(before, featurizer.featurize(sys.argv[2:]))
    sys.exit(code)
"""


@pytest.mark.parametrize("use", ["yes", "no"])
def test_a_child_of_a_process_whose_engine_is_open(small_network, photos, use):
    """It hangs neither where it uses the featurizer nor where it ends without."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, small_network, *photos], timeout=60, capture_output=True,
                          env={**os.environ, "USE": use})
    assert done.returncode == 3, done.stderr.decode()
    assert b"leak" not in done.stderr


def test_a_model_answers_in_a_forked_child(model_file, photos):
    program = PROGRAM.replace(PROGRAM[PROGRAM.index("    featurizer ="):PROGRAM.index("    before")],
                              "    model = pomona.load_model(sys.argv[1], threads=2)\n")
    program = program.replace("featurizer.featurize(", "model.predict_proba(")
    done = subprocess.run([sys.executable, "-c", program, model_file, *photos], timeout=60, capture_output=True,
                          env={**os.environ, "USE": "yes"})
    assert done.returncode == 3, done.stderr.decode()
