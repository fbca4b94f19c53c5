# SPDX-License-Identifier: Apache-2.0
"""The same photos through the command, Python, HTTP and the browser: the same vectors, the same answers."""
import base64
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

import numpy as np
import pyarrow.parquet as pq
import pytest

from places import PACKAGE, ROOT

sys.path[:0] = [str(ROOT / "tests" / "page"), str(ROOT / "bench")]
import edge_bench  # noqa: E402
from page_support import Browser, StaticServer, Visitor, find_chromium  # noqa: E402

pytestmark = pytest.mark.slow

PHOTOS = 200
PER_CLASS = 24  # training photos of a class
CPU = pathlib.Path("/proc/cpuinfo").read_text()
HALF = "avx512_bf16" in CPU or "amx_bf16" in CPU


class Case:
    """A model, the photos that it is asked about, and where answers of each kind go."""

    def __init__(self, pomona, folder):
        self.pomona, self.folder = pomona, folder
        self.training, self.asked, self.model = folder / "training", folder / "asked", folder / "model.onnx"
        self.asked.mkdir()

    def train_on(self, photo, label):
        place = self.training / label
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, place / photo.name)

    def ask_about(self, photo):
        # Numbered, so that the listing has the order of this list.
        number = len(list(self.asked.iterdir()))
        shutil.copy(photo, self.asked / f"{number:03}-{photo.parent.name.replace(' ', '-')}{photo.suffix}")

    def train(self):
        self.pomona("train", self.training, "-o", self.model, "-q")
        self.photos = sorted(self.asked.iterdir())


def every(photos, count):
    """`count` of them, at an even stride."""
    photos = sorted(photos)
    return [photos[i * len(photos) // count] for i in range(min(count, len(photos)))]


def turntable(case, count):
    """Photos that the command itself makes: half of them of several sizes, up to many more pixels than the network sees."""
    small, large = case.folder / "turntable", case.folder / "turntable-large"
    case.pomona("datasets", "make", "turntable", small, "--count", "352", "-q")
    case.pomona("datasets", "make", "turntable", large, "--count", "44", "--sizes", "original", "-q")
    asked = every(small.glob("Test/*/*.jpg"), count // 2) + every(large.glob("*/*/*.jpg"), count // 2)
    for photo in asked:
        case.ask_about(photo)
    for kind in {photo.parent.name for photo in asked}:
        for photo in (small / "Training" / kind).iterdir():
            case.train_on(photo, f"Turned {kind}")


@pytest.fixture(scope="module", params=["real photos", "made photos"])
def case(request, pomona, tmp_path_factory):
    case = Case(pomona, tmp_path_factory.mktemp("same"))
    turntable(case, 12)
    if request.param == "real photos":
        shared = request.getfixturevalue("shared_data")
        fruits360 = request.getfixturevalue("fruits360")
        natural = shared / "fruit-photos"
        for kind in sorted((natural / "train").iterdir()):
            for photo in sorted(kind.iterdir()):
                case.train_on(photo, f"natural {kind.name}")
        for photo in sorted((natural / "test").glob("*/*.jpg")):
            case.ask_about(photo)
        classes = sorted((fruits360 / "Test").iterdir())
        left = PHOTOS - len(list(case.asked.iterdir()))
        for i, kind in enumerate(classes):
            for photo in every((fruits360 / "Training" / kind.name).iterdir(), PER_CLASS):
                case.train_on(photo, kind.name)
            for photo in every(kind.iterdir(), left * (i + 1) // len(classes) - left * i // len(classes)):
                case.ask_about(photo)
        assert len(list(case.asked.iterdir())) == PHOTOS
    case.train()
    return case


def answer_of(one):
    """What is compared of an answer: label, probability (float32), confident, unknown, distance (float32)."""
    distance = one.get("distance")
    return (one["label"], np.float32(one["probability"]).tobytes(), one["confident"], one["unknown"],
            None if distance is None else np.float32(distance).tobytes())


def by_command(case, precision):
    """(n x d vectors, answers) of `pomona featurize` and `pomona predict`."""
    dest = case.folder / f"features-{precision}"
    case.pomona("featurize", case.asked, dest, "--precision", precision, "--labels", "none", "-q")
    table = pq.read_table(dest, columns=["path", "features"]).to_pydict()
    by_path = dict(zip(map(os.path.basename, table["path"]), table["features"]))
    lines = case.pomona("predict", case.model, case.asked, "--json", "--precision", precision, "-q").stdout.splitlines()
    answers = {os.path.basename(one["path"]): answer_of(one) for one in map(json.loads, lines)}
    return np.float32([by_path[p.name] for p in case.photos]), [answers[p.name] for p in case.photos]


PYTHON = """
import json, sys, warnings
import numpy as np, pomona
warnings.simplefilter("ignore")  # of a model trained in another precision
job = json.load(sys.stdin)
photos = job["photos"]
mixed = [open(p, "rb").read() if i % 2 else p for i, p in enumerate(photos)]  # paths and bytes are the same
np.save(job["out"], pomona.Featurizer(precision=job["precision"]).featurize(mixed))
print(json.dumps([{"label": a.label, "probability": a.probability, "confident": a.confident, "unknown": a.unknown,
                   "distance": a.distance} for a in pomona.load_model(job["model"], precision=job["precision"]).predict(mixed)]))
"""


def by_python(case, precision):
    out = case.folder / f"python-{precision}.npy"
    job = {"photos": [str(p) for p in case.photos], "model": str(case.model), "precision": precision, "out": str(out)}
    done = subprocess.run([sys.executable, "-c", PYTHON], input=json.dumps(job), check=True, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(PACKAGE)}, timeout=300)
    return np.load(out), [answer_of(one) for one in json.loads(done.stdout)]


@contextlib.contextmanager
def served(case, *words):
    """The address of a server of the case's model."""
    with open(case.folder / "server.log", "ab") as log:
        process = case.pomona.start("serve", case.model, "--port", "0", *words, stdout=subprocess.PIPE, stderr=log)
        try:
            line = process.stdout.readline().decode()
            assert line.startswith("listening "), (case.folder / "server.log").read_text()
            yield line.split()[1].rstrip("/")
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


def by_http(case, precision):
    """Eight at a time, so that photos of several requests run through the network together."""
    with served(case, "--precision", precision) as address:
        def post(path, photo, accept="*/*"):
            request = urllib.request.Request(address + path, photo.read_bytes(), {
                "Content-Type": "application/octet-stream", "Accept": accept})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()

        def both(photo):
            (one,) = json.loads(post("/v1/classify", photo))["photos"]
            told = answer_of({**one["targets"][0], "unknown": one["unknown"], "distance": one.get("distance")})
            return np.frombuffer(post("/v1/features", photo, "application/octet-stream"), "<f4"), told

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            vectors, answers = zip(*pool.map(both, case.photos))
    return np.stack(vectors), list(answers)


def in_browser(case):
    """(vectors, labels) of the exported page, of one visit; its own worker answers."""
    site = case.folder / "site"
    case.pomona("export", case.model, "--web", site)
    hosted = StaticServer(site)
    vectors, labels = [], []
    with Browser(webgl=False) as browser:
        visitor = Visitor(browser, hosted.url)
        for photo in case.photos:
            data = base64.b64encode(photo.read_bytes()).decode()
            told = visitor.run("(async () => { const blob = new Blob([Uint8Array.from(atob("
                               f"'{data}'), x => x.charCodeAt(0))]);"
                               "const {answer, features} = await pomona.classifier.features(blob);"
                               "return {label: answer.targets[0].label, features: [...features]}; })()")
            vectors.append(np.float32(told["features"]))
            labels.append(told["label"])
    hosted.close()
    return np.stack(vectors), labels


@pytest.fixture(scope="module")
def command(case):
    return {precision: by_command(case, precision) for precision in ["f32", *(["bf16"] if HALF else [])]}


@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize("way", [by_python, by_http])
def test_python_and_http_give_the_commands_bits(case, command, way, precision):
    if precision not in command:
        pytest.skip("this CPU has no bf16")
    vectors, answers = command[precision]
    got, told = way(case, precision)
    same = sum(a.tobytes() == b.tobytes() for a, b in zip(got, vectors))
    equal = sum(a == b for a, b in zip(told, answers))
    print(f"{way.__name__} {precision}: {same} of {len(case.photos)} vectors and {equal} answers are the command's to the bit")
    assert got.shape == vectors.shape and same == len(case.photos)
    assert [(p.name, a, b) for p, a, b in zip(case.photos, told, answers) if a != b] == []


def cosines(a, b):
    a, b = np.float64(a), np.float64(b)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_the_browser_says_what_the_engine_says(case, command):
    if find_chromium() is None:
        pytest.skip("no Chromium; set POMONA_CHROMIUM")
    vectors, labels = in_browser(case)
    close = cosines(vectors, command["f32"][0])
    worst = np.argsort(close)[:5]
    print(f"browser to f32: cosine least {close.min():.6f}, median {np.median(close):.6f}; least: "
          + ", ".join(f"{case.photos[i].name} {close[i]:.5f}" for i in worst))
    for precision, (_, answers) in command.items():
        other = [f"{p.name}: {a} / {b[0]}" for p, a, b in zip(case.photos, labels, answers) if a != b[0]]
        print(f"browser to {precision}: {len(labels) - len(other)} of {len(labels)} labels agree {other}")
        assert len(other) <= 0.005 * len(labels)
    assert close.min() >= 0.999


def test_onnx_runtime_reads_the_same_from_the_model_file(case, command):
    """The model file in another runtime, on a tensor that Pillow made, of photos that are not scaled while decoding."""
    from PIL import Image

    small = [i for i, photo in enumerate(case.photos) if max(Image.open(photo).size) <= 224][:8]
    assert len(small) == min(8, len(case.photos) // 2)
    spec = {"width": 224, "height": 224, "bgr": False, "mean": [127] * 3, "std": [128] * 3}  # EfficientNet-Lite0's
    features, probabilities = edge_bench.outputs(case.model, [case.photos[i] for i in small], spec)
    vectors, answers = command["f32"]
    gap = np.abs(features - vectors[small]).max()
    labels = sorted(place.name for place in case.training.iterdir())
    print(f"ONNX Runtime to f32: at most {gap:.1e} apart, {len(small)} photos")
    assert gap < 1e-3
    assert [labels[best] for best in probabilities.argmax(1)] == [answers[i][0] for i in small]
    told = np.float32([np.frombuffer(answers[i][1], np.float32)[0] for i in small])
    assert np.allclose(probabilities.max(1), told, atol=1e-3)
