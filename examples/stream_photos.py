# SPDX-License-Identifier: Apache-2.0
"""Photos that land below a prefix become feature vectors as they come: Spark Structured Streaming.

    spark-submit examples/stream_photos.py SOURCE DEST CHECKPOINT            # until it is stopped
    spark-submit examples/stream_photos.py SOURCE DEST CHECKPOINT --once     # what is there now, then end

Every photo becomes one row of DEST, whatever is stopped, killed or restarted in between: the checkpoint remembers
which files were taken, and DEST/_spark_metadata which parts count (spark.read.parquet(DEST) heeds it). A photo must
appear whole, as object stores do by themselves; on a file system write it elsewhere and move it in.
"""
import argparse

from pyspark.sql import SparkSession

from pomona.spark import ImageFeaturizer

BINARY_FILE = "path string, modificationTime timestamp, length bigint, content binary"


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("source", help="folder or prefix that photos land in")
    words.add_argument("dest", help="Parquet: path, modificationTime, length, features, error")
    words.add_argument("checkpoint", help="the stream's own memory; one per stream, never shared")
    words.add_argument("--glob", default="*.{jpg,jpeg,png,webp}", help="file names to take")
    words.add_argument("--photos-per-trigger", type=int, default=256)
    words.add_argument("--seconds", type=int, default=10, help="between looks at SOURCE")
    words.add_argument("--input-size", type=int, default=0)
    words.add_argument("--once", action="store_true", help="end when all that is there is done")
    options = words.parse_args()

    spark = SparkSession.builder.appName("photos as they come").getOrCreate()
    # Photos are large rows: few in one Arrow batch.
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 64)
    photos = (spark.readStream.format("binaryFile").schema(BINARY_FILE)
              .option("pathGlobFilter", options.glob)
              .option("recursiveFileLookup", "true")
              .option("maxFilesPerTrigger", options.photos_per_trigger)
              .load(options.source))
    features = ImageFeaturizer(inputSize=options.input_size, dropInput=True).transform(photos)
    trigger = {"availableNow": True} if options.once else {"processingTime": f"{options.seconds} seconds"}
    query = (features.writeStream.format("parquet").outputMode("append")
             .option("checkpointLocation", options.checkpoint)
             .queryName("featurize").trigger(**trigger).start(options.dest))
    query.awaitTermination()


if __name__ == "__main__":
    main()
