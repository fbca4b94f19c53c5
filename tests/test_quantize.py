# SPDX-License-Identifier: Apache-2.0
"""`pomona models quantize` as a whole program: the default network in 8-bit integers, from the photos to a prediction."""
import json
import os
import pathlib
import subprocess

import numpy as np
import pyarrow.parquet as pq
import pytest

from places import BUILD

POMONA = BUILD / "bin" / "pomona"
pytestmark = pytest.mark.skipif(not POMONA.exists(), reason=f"{POMONA} is not built")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantize")
    # A home of its own for what is added; the default network is looked for there too.
    home = folder / "home"
    (home / "models").mkdir(parents=True)
    own = os.environ.get("POMONA_HOME")
    shared = f"{own}/models" if own else os.path.expanduser(
        os.environ.get("XDG_DATA_HOME", "~/.local/share") + "/pomona/models")
    default = f"{shared}/efficientnet-lite0.onnx"
    if not os.path.exists(default):
        pytest.skip(f"the default network is not at {default}")
    os.symlink(default, home / "models" / "efficientnet-lite0.onnx")

    def run(*words, code=0):
        done = subprocess.run([str(POMONA), *map(str, words)], capture_output=True, text=True, timeout=300,
                              env={**os.environ, "POMONA_HOME": str(home)}, stdin=subprocess.DEVNULL)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    run("datasets", "make", "turntable", folder / "photos", "--count", 96, "-q")
    made = run("models", "quantize", "efficientnet-lite0", folder / "photos", "--input-size", 96, "--calibrate", 24,
               "--compare", 24, "-q")
    return folder, run, made.stdout


def vectors(folder):
    rows = pq.read_table(folder / "features", columns=["path", "features"]).sort_by("path").to_pydict()
    return np.array(rows["features"])


def test_it_says_what_it_did_and_what_it_costs(world):
    _, _, said = world
    assert said.startswith("efficientnet-lite0-int8\n32 of 49 convolutions in 8-bit integers, ranges chosen by 24 photos")
    table = {line[2:16].strip(): line[16:].split() for line in said.splitlines() if line.startswith("  ") and line[16:].split()}
    assert table["f32"][1:] == ["1.0000", "1.0000"]
    # A CPU without AVX2 leaves the integers to OpenVINO, and the rest in floating point.
    made = table["int8"] if "int8" in table else table["int8 and f32"]
    assert float(made[1]) > 0.98 and float(made[2]) > 0.99, said
    assert all(len(line) <= 80 for line in said.splitlines()[:-1])


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_features_are_those_of_onnx_runtime_on_the_same_file(world, precision):
    ort = pytest.importorskip("onnxruntime")
    Image = pytest.importorskip("PIL.Image")
    folder, run, _ = world
    if precision == "int8" and "avx2" not in pathlib.Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU has no AVX2")
    results = folder / f"results-{precision}"
    run("run", folder / "photos", results, "--model", "efficientnet-lite0-int8", "--precision", precision,
        "--no-report", "-q", "--seed", 1)
    assert json.loads((results / "features" / "_run.json").read_text())["fingerprint"]["precision"] == precision
    mine = vectors(results)
    file = folder / "home" / "models" / "efficientnet-lite0-int8" / "efficientnet-lite0-int8.onnx"
    assert file.stat().st_size < 0.55 * os.path.getsize(folder / "home" / "models" / "efficientnet-lite0.onnx")
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    paths = pq.read_table(results / "features", columns=["path"]).sort_by("path")["path"].to_pylist()
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB").resize((96, 96), Image.BICUBIC), np.float32)
                       for path in paths])
    theirs = session.run(["features"], {"input": ((pixels - 127) / 128).transpose(0, 3, 1, 2)})[0]
    cosine = (mine * theirs).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosine.min() > 0.995, cosine.min()


def test_the_model_file_takes_it_along(world):
    folder, run, _ = world
    photo = next((folder / "photos").rglob("*.jpg"))
    for results in sorted(folder.glob("results-*")):
        said = json.loads(run("predict", results / "model.onnx", photo, "--json").stdout.splitlines()[0])
        assert photo.parent.name in json.dumps(said)


def test_a_network_in_floating_point_is_not_computed_in_integers(world):
    folder, run, _ = world
    said = run("featurize", folder / "photos", folder / "none", "--precision", "int8", code=1).stderr
    assert "models quantize" in said and not (folder / "none").exists()


def test_a_name_that_is_taken_and_photos_that_are_none_are_said_before_the_work(world, tmp_path):
    folder, run, _ = world
    said = run("models", "quantize", "efficientnet-lite0", folder / "photos", code=1).stderr
    assert "efficientnet-lite0-int8" in said and "--name" in said
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    (tmp_path / "worse.jpg").write_bytes(b"neither")
    said = run("models", "quantize", "efficientnet-lite0", tmp_path, "--name", "other", code=1).stderr
    assert "cannot be read" in said
    assert not (folder / "home" / "models" / "other").exists()


def small(tmp_path, photos, *words):
    """Quantizes a small network on the photos; what the command says."""
    import engine_support
    network = engine_support.make_network(tmp_path / "small.onnx", d=32)
    return subprocess.run([POMONA, "models", "quantize", network, photos, "--preprocess", "tf", "--input-size", "32", *words],
                          capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
                          env={**os.environ, "POMONA_HOME": str(tmp_path / "home")})


def test_few_or_equal_photos_are_warned_of(tmp_path):
    import engine_support
    engine_support.make_photos(tmp_path / "many", 40)
    done = small(tmp_path, tmp_path / "many", "--calibrate", "20", "--compare", "20")
    assert done.returncode == 0 and "different photo" not in done.stderr, done.stderr
    black = tmp_path / "black"
    for i in range(20):
        pytest.importorskip("PIL.Image").new("RGB", (40, 40)).save((black.mkdir(exist_ok=True) or black) / f"{i}.png")
    done = small(tmp_path, black, "--calibrate", "10", "--compare", "10", "--name", "black")
    assert done.returncode == 0 and "1 different photo:" in done.stderr, done.stderr


def test_too_few_photos_are_counted(tmp_path):
    import engine_support
    engine_support.make_photos(tmp_path / "two", 2)
    done = small(tmp_path, tmp_path / "two")
    assert done.returncode == 1 and not (tmp_path / "home" / "models" / "small-int8").exists()
    assert "leaves 0 to choose the 8-bit ranges by and 2 to compare on" in done.stderr and "--calibrate" in done.stderr
    done = small(tmp_path, tmp_path / "two", "--calibrate", "1", "--compare", "1")
    assert done.returncode == 0 and "1 different photo:" in done.stderr, done.stderr
