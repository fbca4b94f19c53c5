# SPDX-License-Identifier: Apache-2.0
"""write.py FOLDER: one file of each kind this version writes, and what it answers about them.

    POMONA_BIN=build/bin/pomona .venv/bin/python tests/old_files/write.py tests/old_files/0.1.0 [--spark]

Done once for a release and committed; never done again for a version that was released, since the point is that later
versions read what that one wrote. docs/compatibility.md. --spark also writes what comes from Spark (setup/spark.sh).
FOLDER/expected.json holds what the version itself answered: test_old_files.py compares.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "spark")]
from engine_support import SMALL, make_network  # noqa: E402
from places import BUILD, PACKAGE  # noqa: E402

POMONA = os.environ.get("POMONA_BIN", str(BUILD / "bin" / "pomona"))
COLOURS = {"Apple": (200, 30, 40), "Lemon": (240, 220, 40), "Plum": (90, 30, 120)}
NETWORK = ["--model", "ours", "--precision", "f32"]  # by name: it is found wherever the registry stands
HEADS = {"logistic": [], "lda": ["--classifier", "lda"],
         "forest": ["--classifier", "forest", "--on", "components", "--head-components", "6", "--trees", "10"],
         "targets": ["--labels", "labels.csv:variety,ripeness"]}


def run(*words, env=None, cwd=None):
    done = subprocess.run([POMONA, "-q", *map(str, words)], capture_output=True, stdin=subprocess.DEVNULL, env=env,
                          cwd=cwd)
    if done.returncode != 0:
        sys.exit(f"pomona {' '.join(map(str, words))}: exit {done.returncode}\n{done.stderr.decode()}")
    return done.stdout.decode()


def make_photos(folder):
    """36 small photos of three kinds, a quarter of them for testing, and one that is none."""
    for c, (name, colour) in enumerate(COLOURS.items()):
        for i in range(12):
            random = np.random.default_rng(100 * c + i)
            yy, xx = np.mgrid[0:40, 0:40]
            disc = (xx - 20 - random.integers(-4, 5)) ** 2 + (yy - 20 - random.integers(-4, 5)) ** 2
            pixels = np.full((40, 40, 3), 255, np.int16)
            pixels[disc < random.integers(80, 260)] = np.array(colour) + random.integers(-25, 26, 3)
            place = folder / ("Test" if i % 4 == 3 else "Training") / name
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(place / f"{i:02}.jpg", quality=80)
    (folder / "Training" / "Apple" / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")


def make_labels(photos, table):
    lines = ["path,variety,ripeness"]
    for photo in sorted(photos.rglob("*.jpg")):
        if photo.name != "broken.jpg":
            lines.append(f"{photo},{photo.parent.name},{'ripe' if int(photo.stem) % 2 else 'green'}")
    table.write_text("\n".join(lines) + "\n")


def short(path):
    """A photo's place below photos/."""
    return path.rpartition("/photos/")[2]


def answers(model, photos):
    lines = [json.loads(line) for line in run("predict", model, photos, "--json", "--max-reject-rate", "0.1").splitlines()]
    return {short(line["path"]): {key: line[key] for key in ("label", "probability", "confident", "unknown", "distance",
                                                             "top", "targets") if key in line}
            for line in lines if "label" in line}


def write(folder, work):
    photos, network, results, home = work / "photos", work / "network.onnx", work / "results", work / "home"
    os.environ["POMONA_HOME"] = str(home)
    make_photos(photos)
    make_network(network)
    make_labels(photos, work / "labels.csv")
    run("models", "add", "ours", network, "--preprocess", "tf", "--input-size", SMALL, "--licence", "Apache-2.0")
    wide = [*NETWORK, "--max-reject-rate", "0.1"]
    run("run", photos, results, *wide, "-k", "6", "--rows-per-file", "16", "--no-report")
    run("featurize", photos, work / "features-csv", *wide, "--format", "csv")
    run("featurize", photos, work / "features-packed", *wide, "--format", "csv", "--csv-layout", "packed")
    for name, words in HEADS.items():
        run("train", results, "-o", work / f"{name}.onnx", *words, cwd=work)
    run("predict", work / "logistic.onnx", photos, work / "predictions", "--max-reject-rate", "0.1")
    store = work / "contributions"
    receipts = json.loads(run("contributions", "--folder", store, "add", *sorted((photos / "Test" / "Plum").iterdir()),
                              "--label", "Plum", "--consent", "2026-11", "--json"))
    run("export", work / "logistic.onnx", "--web", work / "web", "--no-webgpu")

    expected = {
        "version": subprocess.run([POMONA, "--version"], capture_output=True, text=True).stdout.split()[-1],
        "predict": {name: answers(work / f"{name}.onnx", photos) for name in HEADS},
        "evaluate": {name: json.loads(run("evaluate", work / f"{name}.onnx", results, "--json",
                                          *(["--labels", "labels.csv:variety,ripeness"] if name == "targets" else []),
                                          cwd=work))
                     for name, words in HEADS.items()},
        "similar": [[(short(near["path"]), near["similarity"]) for near in json.loads(line)["nearest"]]
                    for line in run("similar", results, photos / "Test" / "Plum" / "03.jpg", "-n", "4", "--json",
                                    "--model", work / "logistic.onnx").splitlines()],
        "contributions": {"photos": len(receipts), "code": receipts[0]["code"]},
    }
    for name in ("evaluate",):  # machine-made times say nothing
        for judged in expected[name].values():
            judged.pop("steps", None)
            judged.pop("mistakes", None)

    for name in ("photos", "results", "features-csv", "features-packed", "predictions", "contributions", "home/models"):
        shutil.copytree(work / name, folder / name)
    for name in (*(f"{head}.onnx" for head in HEADS), "labels.csv"):
        shutil.copy(work / name, folder / name)
    (folder / "web").mkdir()
    shutil.copy(work / "web" / "model.json", folder / "web" / "model.json")
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


SPARK_JOB = '''
import sys
from pyspark.ml import Pipeline
from pyspark.sql import SparkSession
from pomona.spark import PCA, ImageFeaturizer, ModelTransformer

work = sys.argv[1]
spark = SparkSession.builder.getOrCreate()
photos = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(work + "/photos/Test").coalesce(1)
features = ImageFeaturizer(inputCol="content", outputCol="features", modelName="ours", precision="f32")
fitted = PCA(k=4, inputCol="features", outputCol="reduced").fit(features.transform(photos))
fitted.write().overwrite().save(work + "/spark-pca")
answers = ModelTransformer(inputCol="features", modelFile=work + "/logistic.onnx")
answers.write().overwrite().save(work + "/spark-model")
'''


def write_spark(folder, work):
    from cluster import QUICK_JVM, LocalSpark, SparkInstall

    place = LocalSpark(SparkInstall.find("4"), work / "spark", jvm=QUICK_JVM)
    for name in ("photos", "logistic.onnx", "home"):
        shutil.copytree(folder / name, work / name) if (folder / name).is_dir() else shutil.copy(folder / name, work / name)
    os.environ["POMONA_HOME"] = str(work / "home")
    run("run", work / "photos", work / "spark-results", *NETWORK, "-k", "6",
        "--max-reject-rate", "0.1", "--no-report", "--no-model", "--engine", "spark", "--master", place.url,
        env=place.env(POMONA_PYTHON=place.spark.python))
    (work / "job.py").write_text(SPARK_JOB)
    place.run(work / "job.py", work, env={"PYTHONPATH": PACKAGE}, timeout=400)
    for name in ("spark-results", "spark-pca", "spark-model"):
        shutil.copytree(work / name, folder / name, ignore=shutil.ignore_patterns("*.crc"))


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="pomona-old-") as work:
        if "--spark" in sys.argv:
            write_spark(folder, pathlib.Path(work))
        else:
            folder.mkdir(parents=True)
            write(folder, pathlib.Path(work))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size:,} bytes")


if __name__ == "__main__":
    main()
