# SPDX-License-Identifier: Apache-2.0
"""What executors run: rows in and out are numbers and short texts; photos and vectors stay inside the C++ engine."""
import hashlib
import json
import os
import shutil
import socket
import tarfile
import tempfile
import time

import pyarrow as pa

# Failures that another attempt cannot mend: they end the job at once, with their own words.
FINAL = ("usage", "not-found", "permission", "exists", "format", "mismatch", "unavailable")

_worker = None  # (job, Worker, threads): one engine per Python worker, kept between tasks


def _unpacked(archive, sha256):
    """The folder with the files the driver shipped: unpacked once per executor, checked against their hash."""
    from pyspark import SparkFiles

    path = SparkFiles.get(archive)
    folder = os.path.join(os.path.dirname(path), f"pomona-{sha256[:16]}")
    if not os.path.isdir(folder):
        with open(path, "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
        if found != sha256:
            raise RuntimeError(f"{path} came damaged to this executor: SHA-256 {found}, not {sha256}")
        made = tempfile.mkdtemp(dir=os.path.dirname(path))
        with tarfile.open(path) as tar:
            tar.extractall(made, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        try:
            os.rename(made, folder)
        except OSError:  # another worker of this executor was quicker
            shutil.rmtree(made, ignore_errors=True)
    return folder


def _engine(stage):
    global _worker
    if _worker is None or _worker[0] != stage.job_id:
        from pomona._core import distributed
        from pyspark import TaskContext

        _worker = None
        threads = stage.threads or TaskContext.get().cpus()
        folder = _unpacked(stage.archive, stage.sha256)
        _worker = (stage.job_id, distributed.Worker(stage.shipment, folder, threads), threads)
    return _worker


class Stage:
    """A step of a job for mapInArrow: each row is the number of a task, each answer a short JSON text."""

    def __init__(self, call, tasks, *, job_id, shipment, archive, sha256, threads, counters=None):
        self.call, self.tasks, self.counters = call, tasks, counters
        self.job_id, self.shipment, self.archive, self.sha256, self.threads = job_id, shipment, archive, sha256, threads

    def __call__(self, batches):
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield pa.RecordBatch.from_arrays([pa.array([self._answer(number)], pa.string())], names=["answer"])

    def _answer(self, number):
        import pomona

        began = time.time()
        try:
            answer = json.loads(self._do(self.tasks[number]))
        except pomona.Error as error:
            if error.code not in FINAL:
                raise
            answer = {"error": str(error), "code": error.code}
        if not isinstance(answer, dict):
            answer = {"answer": answer}
        if self.counters and "record" in answer:
            photos, rejected, written = self.counters
            photos.add(answer["record"]["rows"] + answer["record"]["rejected"])
            rejected.add(answer["record"]["rejected"])
            written.add(answer["record"]["bytes"])
        answer.update(number=number, began=began, ended=time.time(), host=socket.gethostname(),
                      executor=os.getppid(), worker=os.getpid())
        return json.dumps(answer)

    def _do(self, task):
        from pomona._core import distributed

        _, worker, threads = _engine(self)
        if self.call == "prepare":
            return worker.prepare(task)
        if self.call == "list":
            return worker.list(task["run_id"], json.dumps(task["unit"]))
        if self.call == "merge":
            return distributed.merge_moments(task["place"], task["run_id"], task["files"])
        if self.call == "fit":
            return distributed.fit_pca(task["job"], task["place"], task["files"], json.dumps(task["record"]), task["output"],
                                   threads)
        if self.call == "conclude":
            return worker.conclude()
        return getattr(worker, self.call)(json.dumps(task))
