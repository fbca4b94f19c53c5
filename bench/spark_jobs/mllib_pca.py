# SPDX-License-Identifier: Apache-2.0
"""Spark MLlib's PCA of a features dataset, from Parquet to the fitted model.

    .venv-spark4/bin/python mllib_pca.py FEATURES K DRIVER_MEMORY

Prints `BEGAN` and the time at which the fit began; last, one line of JSON: seconds (without the session's start), the share of the variance explained, versions.
"""
import json
import os
import sys
import time

import pyspark
from pyspark.ml.feature import PCA
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession

# As Spark's documents advise where a native BLAS is installed: one thread for each of its tasks.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
source, k, memory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
spark = (SparkSession.builder.master("local[2]").config("spark.driver.memory", memory)
         .config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false").getOrCreate())
spark.sparkContext.setLogLevel("ERROR")
spark.range(1000).count()
rows = spark.read.parquet(source).select(array_to_vector("features").alias("features"))
began = time.time()
print("BEGAN", began, flush=True)
model = PCA(k=k, inputCol="features", outputCol="components").fit(rows)
print(json.dumps({"seconds": time.time() - began, "explained": float(sum(model.explainedVariance)),
                  "versions": {"pyspark": pyspark.__version__}}))
