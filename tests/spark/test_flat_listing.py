# SPDX-License-Identifier: Apache-2.0
"""A prefix without folders, of very many keys, is one task's to list: neither driver nor task holds all of its keys."""
import http.server
import json
import os
import subprocess
import sys
import urllib.parse

import pytest
from engine_support import make_network
from places import PACKAGE
from storage_server import answering

pytestmark = pytest.mark.slow

KEYS = 300_000
PAGE = 1_000
LONG = "x" * 400  # an entry takes half a kilobyte: all of them 150 MB

LISTER = '''
import json, sys
from pomona._core import distributed

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

job, folder = sys.argv[1:]
shipment = json.loads(distributed.plan_shipment(job))
worker = distributed.Worker(json.dumps(shipment), folder, 1)
run_id = "0123456789abcdef"
# What connecting and one whole page need is no matter of how many keys there are.
few = json.loads(job)
few["featurize"]["sources"] = ["s3://flat/few"]
json.loads(distributed.plan_listing(json.dumps(few), run_id, 8))
before = peak()
units = json.loads(distributed.plan_listing(job, run_id, 8))
planned = peak()
chunk = json.loads(worker.list(run_id, json.dumps(units[0])))
listed = peak()
parts = json.loads(distributed.cut_parts(job, json.dumps([chunk]), 1024))
print(json.dumps({"units": units, "count": chunk["count"], "parts": len(parts), "last": parts[-1],
                  "before": before, "planned": planned, "listed": listed, "cut": peak()}))
'''


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.reply(404)

    def do_GET(self):
        asked = {k: v[0] for k, v in urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).items()}
        self.server.pages.append(asked)
        first, prefix = int(asked.get("continuation-token", "0")), asked.get("prefix", "")
        count = min(int(asked.get("max-keys", PAGE)), PAGE)
        there = KEYS if prefix.startswith("many") else 2 * PAGE
        last = min(first + count, there)
        keys = "".join(f"<Contents><Key>{prefix}{n:07}{LONG}.jpg</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                       f"<ETag>&quot;0&quot;</ETag><Size>9</Size><StorageClass>STANDARD</StorageClass></Contents>"
                       for n in range(first, last))
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>" if last < there \
            else "<IsTruncated>false</IsTruncated>"
        self.reply(200, f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                        f"<Name>flat</Name><Prefix>{prefix}</Prefix><KeyCount>{last - first}</KeyCount><MaxKeys>{count}</MaxKeys>"
                        f"{more}{keys}</ListBucketResult>".encode())


def lister():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.pages = True, []
    return answering(server)


def test_neither_driver_nor_task_holds_the_listing(tmp_path):
    network = make_network(tmp_path / "net.onnx")
    job = {"kind": "featurize", "features": str(tmp_path / "out"), "fit": False, "featurize": {
        "sources": ["s3://flat/many"], "dest": str(tmp_path / "out"), "network": {
            "model": str(network), "preprocess": "tf", "layer": "penultimate", "pool": "auto", "precision": "f32",
            "exif_orientation": True, "jpeg_scale": "auto"},
        "batch": 1, "labels": "none", "format": "parquet", "csv_packed": False, "rows_per_file": 1024, "resume": False,
        "overwrite": False, "threads": 1, "io_threads": 0, "moments": False, "max_moments_d": 0, "invocation": None}}
    with lister() as server:
        env = {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, "PYTHONPATH": str(PACKAGE),
               "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}", "AWS_REGION": "us-east-1",
               "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}
        done = subprocess.run([sys.executable, "-c", LISTER, json.dumps(job), str(tmp_path)], env=env, capture_output=True,
                              text=True, timeout=280)
        assert done.returncode == 0, done.stderr[-3000:]
        said = json.loads(done.stdout)
    assert [unit.get("below") for unit in said["units"]] == [""], "a folder that is not worth taking apart"
    assert said["count"] == KEYS and said["parts"] == -(-KEYS // 1024)
    assert said["last"]["first"] + said["last"]["count"] == KEYS
    # The driver looks at no more names than it takes in before it leaves a folder whole; a task at a row group's.
    assert said["planned"] - said["before"] < 40, said
    assert said["cut"] - said["before"] < 70, said
