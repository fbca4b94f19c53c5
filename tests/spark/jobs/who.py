# SPDX-License-Identifier: Apache-2.0
"""A job for a look at the cluster: `who.py ROWS PARTITIONS SECONDS` maps ROWS numbers through Arrow batches and prints
one JSON line: the rows, their sum, and per host the Python processes that worked. A partition takes SECONDS at least."""
import json
import sys

from pyspark.sql import SparkSession


def worked(batches):
    import os
    import socket
    import time

    import pyarrow as pa
    time.sleep(seconds)
    # The executor's own address: namespaces share the machine's name.
    host = os.environ.get("SPARK_LOCAL_IP") or socket.gethostname()
    for batch in batches:
        n = batch.num_rows
        yield pa.RecordBatch.from_pydict({
            "id": batch.column(0), "host": pa.array([host] * n), "pid": pa.array([os.getpid()] * n, pa.int64())})


rows, partitions, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
with SparkSession.builder.appName("who").getOrCreate() as spark:
    frame = spark.range(0, rows, 1, partitions).mapInArrow(worked, "id long, host string, pid long")
    table = [row.asDict() for row in frame.collect()]
print(json.dumps({"rows": len(table), "sum": sum(row["id"] for row in table), "version": spark.version,
                  "hosts": {host: sorted({row["pid"] for row in table if row["host"] == host})
                            for host in sorted({row["host"] for row in table})}}))
