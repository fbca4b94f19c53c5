#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pomona inside Spark, side by side with what it stands against, on one machine and one day:

    spark_over_original  photos/s of `pomona featurize --engine spark`, against Spark + iterator pandas UDF + Keras
    spark_over_local     the same, against the local engine; the session's start stated apart
    executors            photos/s on a standalone cluster of one and of two executors of one core
    pca_over_mllib       seconds of Spark MLlib's PCA over seconds of ours in Spark, 100,000 x 1,280 from Parquet
    wide                 a size at which MLlib's driver (1 GB, Spark's default) fails and ours does not

    bench/spark_bench.py [featurize|executors|pca|wide ...] [--photos 20000] [--model PATH]

Needs setup/spark.sh and setup/keras.sh. Keras gets random weights: its speed does not depend on them. What Keras and
MLlib pay for their own start (imports, model) is left out of their times; ours is in.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("POMONA_BUILD", ROOT / "build"))
POMONA = os.environ.get("POMONA_BIN", str(BUILD / "bin" / "pomona"))
SPARK = ROOT / ".venv-spark4" / "bin" / "python"
SHARED = pathlib.Path(os.environ.get("POMONA_SHARED", ROOT.parent / "shared" / "data"))

ORIGINAL = r'''
import glob, io, json, sys, time
import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, pandas_udf, PandasUDFType
from typing import Iterator
source, dest, keras_site, few, many = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
spark = (SparkSession.builder.master("local[2]").config("spark.sql.execution.arrow.maxRecordsPerBatch", "64")
         .config("spark.driver.memory", "3g").config("spark.ui.enabled", "false").getOrCreate())
spark.sparkContext.setLogLevel("ERROR")

@pandas_udf("array<float>")
def featurize(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
    sys.path.append(keras_site)
    import os
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", CUDA_VISIBLE_DEVICES="")
    from keras import Model
    from keras.applications.mobilenet_v2 import MobileNetV2, preprocess_input
    from PIL import Image
    full = MobileNetV2(weights=None, input_shape=(224, 224, 3))
    model = Model(full.input, full.layers[-2].output)
    def decode(content):
        picture = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224))
        return preprocess_input(np.asarray(picture, dtype=np.float32))
    for contents in batches:
        yield pd.Series(list(model.predict(np.stack(contents.map(decode)), verbose=0)))

paths = sorted(glob.glob(source + "/**/*.jpg", recursive=True))
times = []
for count in (few, few, many):  # the first warms imports, workers and the JVM up, and is not counted
    began = time.time()
    photos = spark.read.format("binaryFile").load(paths[:count]).repartition(2)
    photos.select("path", featurize("content").alias("features")).write.mode("overwrite").parquet(dest)
    times.append(time.time() - began)
print(json.dumps({"seconds": times[1:], "rate": (many - few) / (times[2] - times[1])}))
'''

MLLIB = r'''
import json, sys, time
from pyspark.sql import SparkSession
from pyspark.ml.feature import PCA
from pyspark.ml.functions import array_to_vector
source, k, memory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
spark = (SparkSession.builder.master("local[2]").config("spark.driver.memory", memory)
         .config("spark.ui.enabled", "false").getOrCreate())
spark.sparkContext.setLogLevel("ERROR")
spark.range(1000).count()
rows = spark.read.parquet(source).select(array_to_vector("features").alias("features"))
began = time.time()
model = PCA(k=k, inputCol="features", outputCol="components").fit(rows)
print(json.dumps({"seconds": time.time() - began, "explained": float(sum(model.explainedVariance))}))
'''


def say(name, value, unit="", note=""):
    print(f"BENCH {name} {value:.3g} {unit}".rstrip() + (f"  # {note}" if note else ""), flush=True)


def run(words, env=None, code=0, timeout=1500):
    done = subprocess.run([str(word) for word in words], env=env, capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)
    if code is not None and done.returncode != code:
        sys.exit(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr[-4000:]}")
    return done


def spark_words(master, *conf):
    return ["--engine", "spark", "--master", master, *(word for one in conf for word in ("--spark-conf", one))]


def spark_env(**more):
    return {**os.environ, "POMONA_PYTHON": str(SPARK), "PYSPARK_PYTHON": str(SPARK), **{key: str(value) for key, value in more.items()}}


def record(dest):
    return json.loads((pathlib.Path(dest) / "_run.json").read_text())


def network_words(model):
    return ["--model", model, "--preprocess", "tf", "--input-size", "224", "--rows-per-file", "1024", "--labels", "none"]


def photos_of(work, count):
    folder = work / f"turntable-{count}"
    if not folder.exists():
        made = work / "making"
        shutil.rmtree(made, ignore_errors=True)
        run([POMONA, "datasets", "make", "turntable", made, "--count", count, "-q"])
        made.rename(folder)
    return folder


def bench_featurize(options, work):
    photos = photos_of(work, options.photos)
    words = [POMONA, "featurize", photos]
    flags = [*network_words(options.model), "-q"]
    seconds = {}
    for name, more, env in (("local", [], None), ("spark", spark_words("local[2]"), spark_env())):
        dest = work / f"features-{name}"
        shutil.rmtree(dest, ignore_errors=True)
        began = time.time()
        run([*words, dest, *flags, *more], env=env)
        whole = time.time() - began
        found = record(dest)
        seconds[name] = found["seconds"]
        say(f"{name}_photos_per_second", found["counts"]["written"] / found["seconds"], "photos/s",
            f"{found['counts']['written']} photos, MobileNetV2 224, {found['seconds']:.1f} s; with the start {whole:.1f} s")
        if name == "spark":
            say("spark_session_start", whole - found["seconds"], "s")
            for step in ("prepare", "list", "featurize", "publish"):
                spans = [s for s in found["timeline"] if s["stage"] == step and s["lane"] == "driver"]
                if spans:
                    say(f"spark_stage_{step}", sum(s["end"] - s["begin"] for s in spans), "s")
    say("spark_over_local", seconds["local"] / seconds["spark"])

    site = next((ROOT / ".venv-keras").glob("lib/python3*/site-packages"))
    script = work / "original.py"
    script.write_text(ORIGINAL)
    few, many = 128, options.original
    done = run([SPARK, script, photos, work / "original", site, few, many], env=spark_env())
    original = json.loads(done.stdout.strip().splitlines()[-1])
    say("original_photos_per_second", original["rate"], "photos/s",
        f"{many} photos in {original['seconds'][1]:.1f} s, less {few} in {original['seconds'][0]:.1f} s")
    say("spark_over_original", options.photos / seconds["spark"] / original["rate"])


def bench_executors(options, work):
    sys.path[:0] = [str(ROOT / "tests" / "spark"), str(ROOT / "tests")]
    from cluster import SparkInstall, StandaloneCluster

    photos = photos_of(work, options.photos)
    rates = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            with StandaloneCluster(SparkInstall.find("4"), folder, workers=workers, cores=1) as cluster:
                dest = work / f"features-{workers}"
                shutil.rmtree(dest, ignore_errors=True)
                run([POMONA, "featurize", photos, dest, *network_words(options.model), "-q", "--limit",
                     options.executor_photos * workers, *spark_words(cluster.url)],
                    env=cluster.env(POMONA_PYTHON=SPARK))
        found = record(dest)
        rates[workers] = found["counts"]["written"] / found["seconds"]
        say(f"photos_per_second_{workers}_executors", rates[workers], "photos/s", f"{found['seconds']:.1f} s")
    say("two_executors_over_one", rates[2] / rates[1])


def vectors_of(folder, rows, d):
    """Correlated random vectors as a features dataset."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if (folder / "_SUCCESS").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    mix = rng.standard_normal((64, d)).astype(np.float32)
    for part, first in enumerate(range(0, rows, 8192)):
        count = min(8192, rows - first)
        x = rng.standard_normal((count, 64)).astype(np.float32) @ mix + rng.standard_normal((count, d), np.float32)
        table = pa.table({"path": [f"/{first + i}.jpg" for i in range(count)],
                          "features": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), d)})
        pq.write_table(table, folder / f"part-{part:05}-{'0' * 16}.snappy.parquet", row_group_size=512)
    (folder / "_SUCCESS").touch()
    return folder


def ours_pca(source, work, k, memory):
    dest = work / "reduced"
    shutil.rmtree(dest, ignore_errors=True)
    run([POMONA, "reduce", source, dest, "-k", k, "-q", *spark_words("local[2]", f"spark.driver.memory={memory}")],
        env=spark_env())
    stages = record(dest)["stages"]
    return stages["moments"] + stages["fit"]


def theirs_pca(source, work, k, memory, code=0):
    script = work / "mllib.py"
    script.write_text(MLLIB)
    return run([SPARK, script, source, k, memory], env=spark_env(), code=code)


def bench_pca(options, work):
    source = vectors_of(work / f"vectors-{options.rows}", options.rows, 1280)
    ours = ours_pca(source, work, 100, "4g")
    say("pca_seconds", ours, "s", f"{options.rows} x 1,280, k = 100: read, moments, fit")
    theirs = json.loads(theirs_pca(source, work, 100, "4g").stdout.strip().splitlines()[-1])["seconds"]
    say("mllib_pca_seconds", theirs, "s")
    say("pca_over_mllib", theirs / ours)


def bench_wide(options, work):
    d = options.wide
    source = vectors_of(work / f"wide-{d}", 2000, d)
    theirs = theirs_pca(source, work, 50, "1g", code=None)
    reason = next((line.strip() for line in (theirs.stdout + theirs.stderr).splitlines() if "OutOfMemory" in line), "")
    say("mllib_wide_failed", int(theirs.returncode != 0), "", f"2,000 x {d:,}, driver of 1 GB: {reason[:90] or 'it did it'}")
    say("pca_wide_seconds", ours_pca(source, work, 50, "1g"), "s", "ours, in the same memory")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=[], help="featurize executors pca wide; default: all")
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--original", type=int, default=1_200, help="photos for the original pipeline")
    parser.add_argument("--executor-photos", type=int, default=4_096, help="per executor")
    parser.add_argument("--rows", type=int, default=100_000, help="vectors for the PCA")
    parser.add_argument("--wide", type=int, default=6_000, help="dimensions of the wide PCA")
    parser.add_argument("--model", default=str(SHARED / "weights" / "mobilenet_v2_1.0_224.onnx"))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "pomona-spark-bench")
    options = parser.parse_args()
    for needed, how in ((SPARK, "setup/spark.sh 4"), (pathlib.Path(options.model), "the weights, or --model PATH")):
        if not needed.exists():
            sys.exit(f"{needed} is not there: {how}")
    options.work.mkdir(parents=True, exist_ok=True)
    benches = {"featurize": bench_featurize, "executors": bench_executors, "pca": bench_pca, "wide": bench_wide}
    for name in options.what or benches:
        benches[name](options, options.work)


if __name__ == "__main__":
    main()
