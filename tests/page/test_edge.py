# SPDX-License-Identifier: Apache-2.0
"""`pomona export --web`: the model on the visitor's own device, in a real browser, with the network cut off too."""
import base64
import gzip
import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from page_support import Browser, StaticServer, Visitor, violations


@pytest.fixture(scope="module")
def site(pomona, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edge") / "site"
    done = pomona("export", model, "--web", folder, "--no-webgpu")
    return folder, done.stdout.decode()


@pytest.fixture
def hosted(site):
    server = StaticServer(site[0])
    yield server
    server.close()


def test_it_answers_with_the_network_cut_off(browser, hosted, photos, pomona, model, axe, tmp_path):
    visitor = Visitor(browser, hosted.url)
    visitor.wait("navigator.serviceWorker.controller")
    assert "never leave this device" in visitor.text("main")
    notice = visitor.run("fetch(document.querySelector('#foot #licences').href).then(answer => answer.text())")
    assert "ONNX Runtime Web" in notice and "Permission is hereby granted" in notice and "Microsoft" in notice
    assert violations(visitor, axe) == []
    visitor.choose(photos["sure"])
    assert visitor.text("#answer-name") == "Banana"
    assert violations(visitor, axe) == []
    visitor.screenshot(tmp_path / "edge.png")
    assert not [one for one in hosted.asked if not one.startswith(("GET", "HEAD"))]
    visitor.close()

    hosted.close()  # the server is gone for good
    again = Visitor(browser, hosted.url)
    for kind, name in [("sure", "Banana"), ("unsure", "I am not sure"), ("unknown", "I do not know this")]:
        again.choose(photos[kind])
        assert again.text("#answer-name") == name
        line = json.loads(pomona("predict", model, photos[kind], "--json", "--precision", "f32", "-q").stdout)
        assert again.run("document.querySelector('.answer').dataset.label") == line["label"]
    again.click("#privacy")
    assert "On this device only" in again.text("dialog")
    again.close()


def features(visitor, photo):
    """What the network saw of a photo, and what it made of it."""
    data = base64.b64encode(photo.read_bytes()).decode()
    return visitor.run("(async () => { const r = await pomona.classifier.features("
                       f"new Blob([Uint8Array.from(atob('{data}'), c => c.charCodeAt(0))]));"
                       "return {features: [...r.features], pixels: [...r.pixels]}; })()")


def test_pixels_are_those_of_pillow_and_features_those_of_the_network(browser, hosted, photos, model, tmp_path, fruits360):
    import onnxruntime

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photos["unsure"]).resize((500, 320)).save(tmp_path / "turned.png", exif=exif)
    wide = Image.open(next((fruits360 / "Test" / "Kiwi 1").iterdir())).resize((900, 130), Image.Resampling.BICUBIC)
    wide.save(tmp_path / "wide.png")
    visitor = Visitor(browser, hosted.url)
    session = onnxruntime.InferenceSession(str(model))
    name = session.get_inputs()[0].name
    for photo in [photos["sure"], tmp_path / "turned.png", tmp_path / "wide.png", photos["unknown"]]:
        found = features(visitor, photo)
        picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        expected = np.asarray(picture)
        pixels = np.array(found["pixels"], np.uint8).reshape(224, 224, 3)
        if photo.suffix == ".png":
            assert np.array_equal(pixels, expected)
        else:  # JPEG decoders may differ in the last bit
            assert np.abs(pixels.astype(int) - expected).max() <= 3
        x = ((expected.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]
        ours, theirs = np.array(found["features"]), session.run(["features"], {name: x})[0][0]
        assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) >= 0.999
    visitor.close()


@pytest.mark.parametrize("brotli", [True, False])
def test_the_download_is_small_whatever_the_server_can_do(browser_alone, site, brotli):
    server = StaticServer(site[0], brotli=brotli)
    visitor = Visitor(browser_alone, server.url)
    visitor.wait("navigator.serviceWorker.controller")
    assert 5e6 < server.bytes <= 10e6
    first = server.bytes
    visitor.page.open(server.url)
    visitor.wait("document.documentElement.dataset.ready === 'true'")
    assert server.bytes - first < 100e3
    assert not [one for one in server.asked if "webgpu" in one]
    visitor.close()
    server.close()


@pytest.fixture
def browser_alone(chromium):
    with Browser(webgl=False) as started:
        yield started


def test_the_folder_is_whole_and_says_nothing_of_the_training(site, model):
    import onnx

    folder, said = site
    assert "MB" in said and str(folder) in said
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in ["index.html", "sw.js", "model.json", "model.onnx", "runtime/ort-cpu.wasm", "catalogue.json"]:
        assert name in names
    for name in ["model.onnx", "runtime/ort-cpu.wasm", "index.js"]:
        assert {f"{name}.gz", f"{name}.br"} <= names
    assert json.loads((folder / "config.json").read_text())["mode"] == "edge"
    exported = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(exported)
    assert not exported.metadata_props and onnx.load(model).metadata_props
    assert gzip.decompress((folder / "model.onnx.gz").read_bytes()) == (folder / "model.onnx").read_bytes()


def test_what_is_in_the_way_is_not_overwritten(pomona, model, site, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    done = pomona("export", model, "--web", tmp_path / "mine", "--overwrite", code=1)
    assert b"something else" in done.stderr and (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    done = pomona("export", model, "--web", site[0], code=1)
    assert b"--overwrite" in done.stderr
    done = pomona("export", model, "--web", tmp_path / "site", "--server", "javascript:alert(1)", code=2)
    assert b"origin" in done.stderr and not (tmp_path / "site").exists()
    (tmp_path / "no.onnx").write_bytes(b"no model")
    pomona("export", tmp_path / "no.onnx", "--web", tmp_path / "site", code=1)
    assert list(tmp_path.iterdir()) and not (tmp_path / "site").exists()
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".site")]


@pytest.mark.slow
def test_numbers_travel_in_place_of_the_photo_where_the_visitor_says_so(browser, pomona, training, photos, start_server, tmp_path):
    pomona("train", training, "-o", tmp_path / "model.onnx", "--classifier", "forest", "--trees", "40",
           "--head-components", "41", "-q")
    hosted = StaticServer(tmp_path / "site")
    server = start_server([tmp_path / "model.onnx", "--cors", hosted.url.rstrip("/"), "--access-log", tmp_path / "log"])
    done = pomona("export", tmp_path / "model.onnx", "--web", tmp_path / "site", "--server", server.url.rstrip("/"))
    assert b"41 numbers, 164 bytes" in done.stdout
    visitor = Visitor(browser, hosted.url)
    assert "164 bytes" in visitor.text(".choices")
    visitor.choose(photos["sure"])
    own = visitor.run("document.querySelector('.answer').dataset.label")
    assert not (tmp_path / "log").exists() or "reduced" not in (tmp_path / "log").read_text()
    visitor.click(".brand")
    visitor.click("#reduced")
    visitor.choose(photos["sure"])
    size = photos["sure"].stat().st_size
    assert visitor.text(".note").startswith("The server decided. 164 bytes were sent")
    assert visitor.run("document.querySelector('.answer').dataset.label") == own
    assert f"{size / 1000:.1f}" in visitor.text(".note")
    visitor.close()
    hosted.close()
    server.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    asked = [line for line in lines if line["method"] == "POST"]
    assert [(line["path"].split("?")[0], line["received"]) for line in asked] == [("/v1/reduced", 164)]
