# SPDX-License-Identifier: Apache-2.0
"""The original pipeline, as the works it comes from have it: Spark reads the files, an iterator pandas UDF runs Keras on
them, MLlib fits and applies the PCA, Parquet comes out.

    .venv-spark4/bin/python original.py PHOTOS DEST KERAS_SITE [--network MobileNetV2] [-k 41] [--cache]
                                        [--counts 128,128,3000]

Without -k it ends with the features. Without --cache the features are computed anew by each pass over them, as Spark
does where nothing else is said. --counts does the job for the first so many photos, one after another in one session;
default: once, for all. Prints one line of JSON: seconds of each, and versions.

Keras gets random weights: its speed does not depend on them. In its favour: as many partitions as cores, so that the
network is built once a core, and one thread for each of the two workers' TensorFlow and the two tasks' BLAS.
"""
import argparse
import io
import json
import os
import pathlib
import sys
import time
from typing import Iterator

import numpy as np
import pandas as pd
import pyspark
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, element_at, pandas_udf, split

NETWORKS = {"MobileNetV2": "mobilenet_v2", "ResNet50": "resnet50", "VGG16": "vgg16"}
CORES = 2


def network(name, site):
    """The Keras application without its last layer, and its module."""
    if site not in sys.path:
        sys.path.append(site)
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1",
                      CUDA_VISIBLE_DEVICES="", KERAS_BACKEND="tensorflow")
    import importlib

    from keras import Model
    module = importlib.import_module(f"keras.applications.{NETWORKS[name]}")
    full = getattr(module, name)(weights=None, input_shape=(224, 224, 3))
    return Model(full.input, full.layers[-2].output), module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("dest")
    parser.add_argument("site", help="site-packages of .venv-keras")
    parser.add_argument("--network", choices=NETWORKS, default="MobileNetV2")
    parser.add_argument("-k", type=int, default=0)
    parser.add_argument("--cache", action="store_true")
    parser.add_argument("--counts", default="")
    options = parser.parse_args()
    name, site = options.network, options.site
    os.environ.update(PYSPARK_PYTHON=sys.executable, OPENBLAS_NUM_THREADS="1")

    spark = (SparkSession.builder.master(f"local[{CORES}]").config("spark.driver.memory", "3g")
             .config("spark.sql.execution.arrow.maxRecordsPerBatch", "64").config("spark.ui.enabled", "false")
             .config("spark.ui.showConsoleProgress", "false").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    model, _ = network(name, site)
    weights = spark.sparkContext.broadcast(model.get_weights())

    def build():
        model, module = network(name, site)
        model.set_weights(weights.value)
        return model, module.preprocess_input

    @pandas_udf("array<float>")
    def featurize(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        from PIL import Image
        model, preprocess_input = build()

        def decode(content):
            picture = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224))
            return preprocess_input(np.array(picture, dtype=np.float32))
        for contents in batches:
            found = model.predict(np.stack(contents.map(decode)), verbose=0)
            yield pd.Series([row.ravel() for row in found])

    def job(paths):
        read = spark.read.format("binaryFile")
        read = read.load(paths) if paths else (
            read.option("pathGlobFilter", "*.jpg").option("recursiveFileLookup", "true").load(str(options.photos)))
        photos = read.withColumn("label", element_at(split(col("path"), "/"), -2)).repartition(CORES)
        features = photos.select("path", "label", featurize("content").alias("features"))
        if not options.k:
            features.write.mode("overwrite").parquet(options.dest)
            return
        from pyspark.ml.feature import PCA
        from pyspark.ml.functions import array_to_vector, vector_to_array
        vectors = features.select("path", "label", array_to_vector("features").alias("features"))
        if options.cache:
            vectors = vectors.persist()
        fitted = PCA(k=options.k, inputCol="features", outputCol="components").fit(vectors)
        reduced = fitted.transform(vectors).select("path", "label", vector_to_array("components", "float32").alias("components"))
        reduced.write.mode("overwrite").parquet(options.dest)
        vectors.unpersist()

    everything = sorted(map(str, options.photos.rglob("*.jpg"))) if options.counts else []
    seconds = []
    for count in [int(one) for one in options.counts.split(",")] if options.counts else [0]:
        began = time.time()
        job(everything[:count])
        seconds.append(time.time() - began)
    import keras
    import PIL
    import tensorflow
    print(json.dumps({"seconds": seconds, "versions": {
        "pyspark": pyspark.__version__, "keras": keras.__version__, "tensorflow": tensorflow.__version__,
        "pillow": PIL.__version__, "numpy": np.__version__}}))


main()
