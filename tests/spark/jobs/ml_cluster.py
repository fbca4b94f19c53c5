# SPDX-License-Identifier: Apache-2.0
"""`ml_cluster.py PHOTOS MODEL OUT`: the stages where executors are other processes than the driver."""
import sys

from pyspark.sql import SparkSession

from pomona.spark import PCA, ImageFeaturizer, ModelTransformer

photos, model, out = sys.argv[1:]
with SparkSession.builder.appName("stages on a cluster").getOrCreate() as spark:
    listed = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(photos).select("path").repartition(9)
    features = ImageFeaturizer(inputCol="path", inputSize=128).transform(listed)
    features.write.parquet(f"{out}/features")
    features = spark.read.parquet(f"{out}/features").repartition(20)
    PCA(k=5).fit(features).saveFile(f"{out}/pca.bin")
    ModelTransformer(model, inputCol="path").transform(listed).select("path", "prediction.label", "error").write.parquet(
        f"{out}/answers")
