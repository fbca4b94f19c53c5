# SPDX-License-Identifier: Apache-2.0
"""The edge page measured in headless Chromium; one line each as `BENCH name value unit`.

    .venv/bin/python bench/edge_bench.py build/bin [--model model.onnx] [--photos 60] [--weights fp16,int8]

edge_ms_per_photo            decode, resize, network and heads of one 100 x 100 JPEG, WebAssembly, one thread: median
edge_download_megabytes      a first visit on the wire, headers and runtime included, from a server that sends .br
edge_download_gzip_megabytes the same from a server that knows no compression
edge_ready_seconds           first visit until the first photo can be asked, no network delay
edge_label_agreement         share of all Test photos on which the exported model names the class the engine names in f32
edge_least_cosine            of the exported model's features to the network's own, over all Test photos

Without --model one is trained on fruits360-subset (half a minute).
"""
import argparse
import base64
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("POMONA_SHARED", ROOT.parent / "shared" / "data"))
sys.path.insert(0, str(ROOT / "tests" / "page"))
from page_support import Browser, StaticServer, Visitor, find_chromium  # noqa: E402


def bench(name, value, unit, digits=3):
    print(f"BENCH {name} {value:.{digits}f} {unit}", flush=True)


def tensor(photo, spec):
    """A photo as the network's input, by Pillow, as model.json's `preprocess` says (bicubic, squashed)."""
    import numpy as np
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    picture = picture.resize((spec["width"], spec["height"]), Image.Resampling.BICUBIC)
    x = np.asarray(picture, np.float32)[:, :, ::-1 if spec["bgr"] else 1]
    return ((x - np.float32(spec["mean"])) / np.float32(spec["std"])).transpose(2, 0, 1)


def outputs(model, photos, spec, names=("features", "probabilities")):
    """Outputs of an ONNX file over photos, by ONNX Runtime in float32."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model))
    name = session.get_inputs()[0].name
    parts = [session.run(list(names), {name: np.stack([tensor(p, spec) for p in photos[i:i + 16]])})
             for i in range(0, len(photos), 16)]
    return [np.concatenate(column) for column in zip(*parts)]


def least_cosine(a, b):
    import numpy as np

    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def ask(visitor, photo):
    """What the browser makes of a photo: label, features, milliseconds."""
    data = base64.b64encode(pathlib.Path(photo).read_bytes()).decode()
    return visitor.run("(async () => { const c = pomona.classifier;"
                       f"const blob = new Blob([Uint8Array.from(atob('{data}'), x => x.charCodeAt(0))]);"
                       "const answer = await c.classify(blob, new AbortController().signal), ms = c.milliseconds;"
                       "const {features} = await c.features(blob);"
                       "return {label: answer.targets[0].label, ms, features: [...features]}; })()")


def engine_labels(pomona, model, folder):
    """Label by path, of the engine in f32."""
    lines = subprocess.run([pomona, "predict", model, folder, "--json", "--precision", "f32", "-q"], check=True,
                           capture_output=True).stdout.splitlines()
    return {answer["path"]: answer["label"] for answer in map(json.loads, lines)}


def agreement(pomona, model, site, folder, photos):
    """Share of photos on which the exported model and the engine name the same class; least cosine of features."""
    manifest = json.loads((site / "model.json").read_text())
    features, probabilities = outputs(site / "model.onnx", photos, manifest["preprocess"])
    own, = outputs(model, photos, manifest["preprocess"], ["features"])
    engine = engine_labels(pomona, model, folder)
    by_name = {os.path.join(*pathlib.Path(path).parts[-2:]): label for path, label in engine.items()}
    labels = manifest["targets"][0]["labels"]
    same = sum(labels[best] == by_name[os.path.join(*photo.parts[-2:])] for photo, best in zip(photos, probabilities.argmax(1)))
    return same / len(photos), least_cosine(features, own)


def visit(site, photos, brotli=True):
    """Bytes of a first visit, seconds until it is ready, and answers to `photos`."""
    server = StaticServer(site, brotli=brotli)
    with Browser(webgl=False) as browser:
        begin = time.monotonic()
        visitor = Visitor(browser, server.url)
        ready = time.monotonic() - begin
        visitor.wait("navigator.serviceWorker.controller")
        size = server.bytes
        answers = [ask(visitor, photo) for photo in photos]
    server.close()
    return size, ready, answers


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bin", type=pathlib.Path, help="folder of the command")
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--photos", type=int, default=60, help="to time in the browser")
    parser.add_argument("--weights", default="fp16", help="fp16,int8,f32: the first is what BENCH lines are named for")
    options = parser.parse_args()
    if find_chromium() is None or not (SHARED / "fruits360-subset").is_dir():
        sys.exit(f"needs Chromium (POMONA_CHROMIUM) and fruits360-subset at {SHARED} (POMONA_SHARED)")
    pomona = options.bin / "pomona"
    with tempfile.TemporaryDirectory(prefix="pomona-edge-") as scratch:
        work = pathlib.Path(scratch)
        for split in ["Test"] if options.model else ["Training", "Test"]:
            with tarfile.open(SHARED / "fruits360-subset" / f"{split}.tar") as tar:
                tar.extractall(work, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        model = options.model or work / "model.onnx"
        if not options.model:
            subprocess.run([pomona, "train", work / "Training", "-o", model, "-q"], check=True, stdout=subprocess.DEVNULL)
        photos = sorted((work / "Test").glob("*/*.jpg"))
        for weights in options.weights.split(","):
            suffix = "" if weights == options.weights.split(",")[0] else f"_{weights}"
            site = work / f"site-{weights}"
            subprocess.run([pomona, "export", model, "--web", site, "--weights", weights], check=True, stdout=subprocess.DEVNULL)
            size, ready, answers = visit(site, photos[:: len(photos) // options.photos][: options.photos])
            plain, _, _ = visit(site, [], brotli=False)
            bench(f"edge_ms_per_photo{suffix}", statistics.median(a["ms"] for a in answers[3:]), "ms", 1)
            bench(f"edge_download_megabytes{suffix}", size / 1e6, "MB", 2)
            bench(f"edge_download_gzip_megabytes{suffix}", plain / 1e6, "MB", 2)
            bench(f"edge_ready_seconds{suffix}", ready, "s", 2)
            same, cosine = agreement(pomona, model, site, work / "Test", photos)
            bench(f"edge_label_agreement{suffix}", same, "share", 4)
            bench(f"edge_least_cosine{suffix}", cosine, "cosine", 5)


if __name__ == "__main__":
    main()
