# SPDX-License-Identifier: Apache-2.0
"""A small model of real fruit, a server that has it, and photos it is sure, unsure and ignorant of."""
import csv
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from page_support import ROOT, Browser, axe_script, find_chromium  # noqa: E402

PER_CLASS = 12  # training photos


def build_folder():
    from os import environ

    return pathlib.Path(environ.get("POMONA_BUILD", ROOT / "build"))


@pytest.fixture(scope="session")
def chromium():
    if find_chromium() is None:
        pytest.skip("no Chromium; set POMONA_CHROMIUM")


@pytest.fixture(scope="session")
def browser(chromium):
    with Browser(webgl=False) as started:
        yield started


@pytest.fixture(scope="session")
def axe():
    return axe_script(build_folder() / "test-data" / "axe")


@pytest.fixture(scope="session")
def training(fruits360, tmp_path_factory):
    """A few photos of each class, and a table that tells class and fruit of each."""
    folder = tmp_path_factory.mktemp("training")
    fruit_of = {label: entry["fruit"] for label, entry in
                json.loads((ROOT / "web" / "catalogue" / "catalogue.json").read_text())["classes"].items()}
    with open(folder / "labels.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "fruit"])
        for place in sorted((fruits360 / "Training").iterdir()):
            photos = sorted(place.iterdir())
            (folder / place.name).mkdir()
            for photo in photos[:: len(photos) // PER_CLASS][:PER_CLASS]:
                shutil.copy(photo, folder / place.name / photo.name)
                table.writerow([f"{place.name}/{photo.name}", place.name, fruit_of[place.name]])
    return folder


@pytest.fixture(scope="session")
def model(pomona, training, tmp_path_factory):
    """Two targets: the class, and the fruit it is a variety of."""
    file = tmp_path_factory.mktemp("model") / "fruit.onnx"
    pomona("train", training, "-o", file, "--labels", f"{training / 'labels.csv'}:label,fruit", "-q")
    return file


@pytest.fixture(scope="session")
def photos(pomona, model, fruits360, tmp_path_factory):
    """One photo each of what the model is `sure`, `unsure` and ignorant (`unknown`) of: the model itself says."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(5)
    classes = sorted((fruits360 / "Test").iterdir())
    first = {place.name: next(iter(sorted(place.iterdir()))) for place in classes}
    shutil.copy(first["Banana 1"], folder / "sure.jpg")
    names = list(first)
    for i in range(60):
        one, two = (Image.open(first[names[k]]) for k in random.choice(len(names), 2, replace=False))
        Image.blend(one, two, 0.5).resize((400, 400), Image.Resampling.BICUBIC).save(folder / f"blend-{i:02}.jpg", quality=95)
    for i in range(5):
        noise = random.integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(noise).resize((640, 480), Image.Resampling.NEAREST).save(folder / f"noise-{i}.jpg", quality=90)
    lines = [json.loads(line) for line in pomona("predict", model, folder, "--json", "-q").stdout.splitlines()]
    found = {}
    for line in lines:
        kind = "unknown" if line["unknown"] else "sure" if line["confident"] else "unsure"
        found.setdefault(kind, folder / line["path"].rsplit("/", 1)[-1])
    found["sure"] = folder / "sure.jpg"
    assert set(found) == {"sure", "unsure", "unknown"}, {line["path"]: line for line in lines}
    return found


class Server:
    def __init__(self, pomona, words, log):
        self.log = open(log, "wb")
        self.process = pomona.start("serve", *words, "--port", "0", stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().decode()
        assert line.startswith("listening http://"), line + pathlib.Path(log).read_text()
        self.url = line.split()[1].rstrip("/") + "/"

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()


@pytest.fixture
def start_server(pomona, tmp_path):
    """Starts `pomona serve` with other words."""
    return lambda words: Server(pomona, words, tmp_path / "server.log")


@pytest.fixture(scope="session")
def server(pomona, model, training, tmp_path_factory):
    """`pomona serve` with contributions and similar photos."""
    folder = tmp_path_factory.mktemp("server")
    pomona("featurize", training, folder / "features", "--labels", "folder", "--glob", "*.jpg", "-q")
    started = Server(pomona, [model, "--contributions", folder / "contributions", "--similar", folder / "features"],
                     folder / "log")
    started.folder = folder
    yield started
    started.close()
