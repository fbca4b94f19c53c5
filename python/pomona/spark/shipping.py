# SPDX-License-Identifier: Apache-2.0
"""Networks and model files of the driver's machine -> executors, once per application and content."""
from __future__ import annotations

import atexit
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile

from pomona._core import distributed

_shipped: dict[tuple, dict] = {}  # (application, what) -> where executors find it


def network_plan(options: dict) -> dict:
    """What a network needs of this machine's files: {"network": options with "@/" names, "files", "texts"}."""
    job = {"kind": "featurize", "features": "/", "fit": False, "featurize": {
        "sources": [], "dest": "/", "network": {k: v for k, v in options.items() if v is not None}, "batch": 1,
        "labels": "none", "format": "parquet", "csv_packed": False, "rows_per_file": 1, "resume": False,
        "overwrite": False, "threads": 0, "io_threads": 0, "moments": False, "max_moments_d": 0, "invocation": None}}
    plan = json.loads(distributed.plan_shipment(json.dumps(job)))
    return {"network": plan["job"]["featurize"]["network"], "files": plan["files"], "texts": plan["texts"]}


def ship_network(context, options: dict) -> dict:
    """Ships a network by sc.addFile. Returns {"network", "archive", "sha256"} for `local_network` on an executor."""
    plan = network_plan(options)
    stamps = tuple((f["path"], os.stat(f["path"]).st_size, os.stat(f["path"]).st_mtime_ns) for f in plan["files"])
    key = (context.applicationId, json.dumps(plan, sort_keys=True), stamps)
    if key not in _shipped:
        text = io.BytesIO()
        with tarfile.open(fileobj=text, mode="w", dereference=True) as tar:
            for file in plan["files"]:
                tar.add(file["path"], file["name"])
            for extra in plan["texts"]:
                info = tarfile.TarInfo(extra["name"])
                info.size = len(extra["text"].encode())
                tar.addfile(info, io.BytesIO(extra["text"].encode()))
        sha256 = hashlib.sha256(text.getbuffer()).hexdigest()
        name = f"pomona-{sha256[:16]}.network"  # Spark would unpack a .tar by itself, beside our own copy
        _add_file(context, name, text.getbuffer())
        _shipped[key] = {"network": plan["network"], "archive": name, "sha256": sha256}
    return _shipped[key]


def local_network(shipped: dict) -> dict:
    """On an executor: pomona.Featurizer's options, with the names of files that are there."""
    from .tasks import _unpacked

    folder = _unpacked(shipped["archive"], shipped["sha256"])
    return {key: folder + value[1:] if key in ("model", "preprocess") and value.startswith("@/") else value
            for key, value in shipped["network"].items()}


def is_remote(path: str) -> bool:
    """A URI of a store, which executors read by themselves."""
    return re.match(r"[a-z][a-z0-9+]*://", path) is not None and not path.startswith("file://")


def ship_bytes(context, name: str, data: bytes) -> str:
    """Ships a file's content; its name for local_file() on an executor."""
    shipped = f"pomona-{hashlib.sha256(data).hexdigest()[:16]}-{name}"
    key = (context.applicationId, shipped)
    if key not in _shipped:
        _add_file(context, shipped, data)
        _shipped[key] = {"file": shipped}
    return shipped


def local_file(name: str) -> str:
    """On an executor: where a shipped file is; a URI stays one."""
    from pyspark import SparkFiles

    return name if is_remote(name) else SparkFiles.get(name)


def _add_file(context, name: str, data) -> None:
    # Spark compares and serves it from here for as long as the application lives.
    folder = tempfile.mkdtemp(prefix="pomona-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
    context.addFile(path)
