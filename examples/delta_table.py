# SPDX-License-Identifier: Apache-2.0
"""Keeps a Delta table of features in step with a folder of photos: new and changed photos only, in one transaction.

    spark-submit --packages io.delta:delta-spark_2.12:3.3.2 \\
      --conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension \\
      --conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog \\
      examples/delta_table.py s3a://photos s3a://lake/features

Databricks has Delta built in and needs none of the options. Photos are listed without their bytes; executors read those
that are needed by themselves.
"""
import argparse
import json

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pomona.spark import ImageFeaturizer

COLUMNS = "path STRING, modificationTime TIMESTAMP, length BIGINT, features ARRAY<FLOAT>, error STRING"


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("photos")
    words.add_argument("table", help="where the table lies")
    words.add_argument("--glob", default="*.{jpg,jpeg,png,webp}")
    words.add_argument("--input-size", type=int, default=0)
    options = words.parse_args()

    spark = SparkSession.builder.appName("features as a Delta table").getOrCreate()
    table = f"delta.`{options.table}`"
    spark.sql(f"CREATE TABLE IF NOT EXISTS {table} ({COLUMNS}) USING delta")
    listed = (spark.read.format("binaryFile").option("pathGlobFilter", options.glob)
              .option("recursiveFileLookup", "true").load(options.photos).drop("content"))
    known = spark.table(table).select("path", "modificationTime", "length")
    arrived = listed.join(known, ["path", "modificationTime", "length"], "left_anti")
    # A round of photos for every core, several times over, so that no core waits for another at the end.
    arrived = arrived.repartition(spark.sparkContext.defaultParallelism * 4)
    # MERGE reads what it merges more than once; photos are to be featurized once.
    features = ImageFeaturizer(inputCol="path", inputSize=options.input_size).transform(arrived).cache()
    features.createOrReplaceTempView("arrived")
    counts = features.agg(F.count("*").alias("arrived"), F.count("error").alias("unreadable")).first().asDict()
    if counts["arrived"]:
        spark.sql(f"MERGE INTO {table} AS t USING arrived AS s ON t.path = s.path "
                  "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *")
    print(json.dumps({**counts, "rows": spark.table(table).count()}))


if __name__ == "__main__":
    main()
