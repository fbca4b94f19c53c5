# SPDX-License-Identifier: Apache-2.0
"""pomona.Featurizer: the same bits as the command, whatever a photo comes as; failures told one by one."""
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
from engine_support import small, vectors
from PIL import Image
from places import PACKAGE

import pomona


@pytest.fixture(scope="module")
def expected(tmp_path_factory, photos, small_network):
    """What the command writes for the same photos."""
    command = os.environ.get("POMONA_BIN", PACKAGE.parent / "bin" / "pomona")
    dest = tmp_path_factory.mktemp("command") / "features"
    source = pathlib.Path(photos[0]).parents[1]
    subprocess.run([command, "featurize", source, dest, *small(small_network)], check=True)
    return vectors(dest)


def test_paths_and_bytes_give_the_commands_bits(featurizer, photos, expected):
    found = featurizer.featurize(photos)
    assert found.dtype == np.float32 and found.shape == (20, featurizer.dimension)
    assert np.asarray(found).tobytes() == expected.tobytes()
    assert found.errors == [None] * 20
    mixed = [open(p, "rb").read() if i % 3 == 0 else pathlib.Path(p) if i % 3 == 1 else f"file:{p}"
             for i, p in enumerate(photos)]
    assert np.asarray(featurizer.featurize(mixed)).tobytes() == expected.tobytes()


def test_the_batch_follows_the_input_size(small_network, photos):
    for side, batch in ((32, 8), (224, 4)):
        featurizer = pomona.Featurizer(model=small_network, preprocess="tf", input_size=side, precision="f32")
        assert featurizer.batch == batch
    with pytest.raises(pomona.Error, match="batch"):
        pomona.Featurizer(model=small_network, preprocess="tf", input_size=32, batch=-1)


def test_threads_and_batch_change_nothing(small_network, photos, expected):
    for threads, batch in ((1, 1), (3, 7)):
        other = pomona.Featurizer(model=small_network, preprocess="tf", input_size=32, precision="f32",
                                  threads=threads, batch=batch)
        assert np.asarray(other.featurize(photos)).tobytes() == expected.tobytes()


def test_arrays_of_any_layout(featurizer, photos):
    image = Image.open(photos[0]).convert("RGB")
    rgb = np.asarray(image)
    expected = featurizer.featurize([rgb])[0]
    rgba = np.dstack([rgb, np.full(rgb.shape[:2], 7, np.uint8)])
    turned = np.asfortranarray(rgb)
    padded = np.zeros((rgb.shape[0], rgb.shape[1] + 5, 3), np.uint8)[:, :-5]
    padded[:] = rgb
    for same in (rgba, turned, padded, image):
        assert np.array_equal(featurizer.featurize([same])[0], expected)
    grey = rgb[:, :, 0]
    assert np.array_equal(featurizer.featurize([grey])[0], featurizer.featurize([np.dstack([grey] * 3)])[0])


def test_a_bad_photo_is_a_row_or_an_exception(featurizer, photos, tmp_path):
    gone = tmp_path / "gone.jpg"
    found = featurizer.featurize([photos[0], b"no photo", gone, b""], on_error="null")
    assert np.isnan(found).all(axis=1).tolist() == [False, True, True, True]
    assert found.errors[0] is None and "not an image" in found.errors[1] and "gone" in found.errors[2]
    with pytest.raises(pomona.PhotoError, match=r"photos\[1\].*gone.jpg") as caught:
        featurizer.featurize([photos[0], gone])
    assert caught.value.index == 1
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("wrong", ["photo.jpg", [3], [np.zeros((4, 4, 3))], [np.zeros((4, 4, 2), np.uint8)], None])
def test_what_is_no_list_of_photos_is_a_type_error(featurizer, wrong):
    with pytest.raises(TypeError):
        featurizer.featurize(wrong)


def test_errors_of_the_engine_carry_their_word(tmp_path):
    with pytest.raises(pomona.Error) as caught:
        pomona.Featurizer(model=str(tmp_path / "none.onnx"), preprocess="tf")
    assert caught.value.code == "not-found" and "none.onnx" in str(caught.value)
    with pytest.raises(pomona.Error) as caught:
        pomona.Featurizer(precision="f16")
    assert caught.value.code == "usage"


def test_arrow_in_arrow_out(featurizer, photos, expected):
    content = [open(p, "rb").read() for p in photos]
    columns = [pa.array(content), pa.array(content, pa.large_binary()), pa.array(content, pa.binary_view()),
               pa.chunked_array([content[:7], content[7:]]), pa.array(photos), pa.table({"path": photos})]
    for column in columns:
        batch = pa.record_batch(featurizer.featurize_arrow(column))
        assert batch.schema.names == ["features", "error", "width", "height"]
        assert np.asarray(batch["features"].flatten()).tobytes() == expected.tobytes()
        assert batch["width"].to_pylist() == [48] * 20 and batch["error"].null_count == 20
    fixed = pa.array(featurizer.featurize_arrow(columns[0], list_type="fixed_size_list"))
    assert fixed.type.field("features").type == pa.list_(pa.field("element", pa.float32()), featurizer.dimension)
    sliced = pa.record_batch(featurizer.featurize_arrow(columns[0].slice(3, 2)))
    assert np.asarray(sliced["features"].flatten()).tobytes() == expected[3:5].tobytes()


def test_arrow_rows_that_fail_are_null(featurizer, photos):
    column = pa.array([open(photos[0], "rb").read(), None, b"junk"])
    batch = pa.record_batch(featurizer.featurize_arrow(column))
    batch.validate(full=True)
    assert batch["features"].is_null().to_pylist() == [False, True, True]
    assert batch["error"][1].as_py() == "the photo is null"
    with pytest.raises(pomona.PhotoError):
        featurizer.featurize_arrow(column, on_error="raise")
    with pytest.raises(ValueError, match="int64"):
        featurizer.featurize_arrow(pa.array([1, 2]))
    with pytest.raises(TypeError, match="Arrow"):
        featurizer.featurize_arrow([b"x"])


def test_sparks_image_struct(featurizer, photos):
    rgb = np.asarray(Image.open(photos[0]).convert("RGB"))
    height, width, _ = rgb.shape
    kind = pa.struct([("origin", pa.string()), ("height", pa.int32()), ("width", pa.int32()),
                      ("nChannels", pa.int32()), ("mode", pa.int32()), ("data", pa.binary())])
    rows = [dict(origin="a", height=height, width=width, nChannels=3, mode=16, data=rgb[:, :, ::-1].tobytes()),
            dict(origin="b", height=-1, width=-1, nChannels=-1, mode=-1, data=b""),
            dict(origin="c", height=2**31 - 1, width=2**31 - 1, nChannels=4, mode=24, data=b"1234"), None]
    batch = pa.record_batch(featurizer.featurize_arrow(pa.array(rows, kind)))
    assert np.array_equal(np.asarray(batch["features"][0].values), featurizer.featurize([rgb])[0])
    assert batch["features"].is_null().to_pylist() == [False, True, True, True]


def test_pickling_opens_it_again(featurizer, photos):
    again = pickle.loads(pickle.dumps(featurizer))
    assert again.fingerprint == featurizer.fingerprint
    assert np.array_equal(again.featurize(photos[:3]), featurizer.featurize(photos[:3]))


def test_the_gil_is_free_meanwhile(featurizer, photos):
    content = [open(p, "rb").read() for p in photos] * 200
    done = threading.Event()
    worker = threading.Thread(target=lambda: (featurizer.featurize(content), done.set()))
    ticks = 0
    worker.start()
    while not done.wait(0.001):
        ticks += 1
    worker.join()
    assert ticks > 5


def test_ctrl_c_stops_a_batch(featurizer, photos):
    # A shell that starts the tests in the background has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    column = pa.array([open(p, "rb").read() for p in photos] * 20_000)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        featurizer.featurize_arrow(column)
    signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begin < 10


def test_a_forked_child_of_a_process_that_imported_it(small_network, photos):
    """Spark's daemon forks its workers after imports; the engine is opened in the child."""
    program = """if True:
        import os, sys, pomona
        pid = os.fork()
        if pid == 0:
            z = pomona.Featurizer(model=sys.argv[1], preprocess="tf", input_size=32, precision="f32")
            x = z.featurize(sys.argv[2:])
            pomona.PCA(2).fit(x)
            os._exit(0 if x.shape[0] == len(sys.argv) - 2 else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    subprocess.run([sys.executable, "-c", program, small_network, *photos], check=True, timeout=120)
