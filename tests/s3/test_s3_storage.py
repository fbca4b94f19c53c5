# SPDX-License-Identifier: Apache-2.0
"""Listing, reading and writing against a real S3 server; skipped where versitygw is missing."""
import json
import os
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from places import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests"))
import storage_server  # noqa: E402

TOOL = BUILD / "bin" / "pomona-storage-tool"
pytestmark = [
    pytest.mark.slow,  # its server is built by `make test-slow`
    pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built"),
    pytest.mark.skipif(storage_server.find_versitygw() is None,
                       reason="versitygw is missing: setup/versitygw.sh builds it where there is Go"),
]


class Bucket:
    def __init__(self, folder, env):
        self.folder, self.env = folder, env

    def run(self, *words, env=None):
        return subprocess.run([str(TOOL), *words], env={**self.env, **(env or {})}, capture_output=True, timeout=60)

    def ok(self, *words, env=None):
        done = self.run(*words, env=env)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def error(self, *words, env=None):
        done = self.run(*words, env=env)
        assert done.returncode == 1, done.stdout
        return done.stderr.decode()

    def listed(self, *words):
        return [json.loads(line) for line in self.ok("list", *words).splitlines()]

    def add(self, key, content=b"photo"):
        file = self.folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s3")
    with storage_server.s3_server(folder) as env:
        yield folder, env


@pytest.fixture
def bucket(served, request):
    name = "b" + str(abs(hash(request.node.name)) % 10**9)
    (served[0] / name).mkdir()
    made = Bucket(served[0] / name, served[1])
    made.name, made.uri = name, f"s3://{name}"
    return made


def test_store_operations(bucket):
    uri = bucket.uri + "/deep/er"
    bucket.ok("put", uri, 'a b/ä"%41?.txt', "hello")
    assert bucket.ok("ls", uri) == "a b/\n"
    assert bucket.ok("cat", uri.replace("s3:", "s3a:"), 'a b/ä"%41?.txt') == "hello"
    bucket.ok("mv", uri, 'a b/ä"%41?.txt', "c")
    assert bucket.ok("cat", uri, "c") == "hello"
    bucket.ok("rm", uri, "c")
    bucket.ok("rm", uri, "c")
    bucket.ok("put", uri, "x/y/z", "1")
    bucket.ok("rmdir", uri, "x")
    assert "x/" not in bucket.ok("ls", uri)


def test_errors_say_what_kind(bucket):
    assert bucket.error("cat", bucket.uri, "none").startswith("not-found: ")
    assert bucket.error("cat", "s3://no-such-bucket-here", "none").startswith("not-found: ")
    assert bucket.error("list", bucket.uri + "/none").startswith("not-found: ")
    wrong = {"AWS_SECRET_ACCESS_KEY": "wrong"}
    assert bucket.error("list", bucket.uri, env=wrong).startswith("permission: ")
    assert bucket.error("put", bucket.uri, "x", "y", env=wrong).startswith("permission: ")


def test_a_dead_store_is_an_error_not_rejects(bucket):
    dead = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{storage_server.free_port()}", "AWS_MAX_ATTEMPTS": "2"}
    assert bucket.error("read", bucket.uri + "/a.jpg=5", env=dead).startswith("io: ")
    assert bucket.error("list", bucket.uri, env=dead).startswith("io: ")


def test_listing_order_and_hidden(bucket):
    for key in ["a/z.jpg", "a-b.jpg", "a.jpg", "a0.jpg", "a/b/c d.png", "_x/h.jpg", ".h.jpg", "n.txt"]:
        bucket.add(key)
    paths = [e["path"] for e in bucket.listed(bucket.uri)]
    assert paths == [f"{bucket.uri}/{k}" for k in ["a-b.jpg", "a.jpg", "a/b/c d.png", "a/z.jpg", "a0.jpg"]]
    assert all(e["bytes"] == 5 and e["hash"] and not e["reject"] for e in bucket.listed(bucket.uri + "/a/"))
    assert [e["path"] for e in bucket.listed(bucket.uri + "/a/z.jpg")] == [bucket.uri + "/a/z.jpg"]
    assert len(bucket.listed("s3n://" + bucket.name, "2")) == 2


def test_local_and_remote_agree(bucket):
    for i in range(50):
        bucket.add(f"d{i % 7}/p{i}.jpg", os.urandom(i * 997 + 1))
    remote = bucket.listed(bucket.uri)
    local = bucket.listed(str(bucket.folder))
    assert [(e["path"].removeprefix(bucket.uri), e["hash"]) for e in remote] == [
        (e["path"].removeprefix(str(bucket.folder)), e["hash"]) for e in local]


def test_pages_and_limit(bucket):
    for i in range(2500):
        bucket.add(f"p/{i:05}.jpg", b"x")
    begin = time.time()
    assert len(bucket.listed(bucket.uri, "3")) == 3
    assert time.time() - begin < 5
    entries = bucket.listed(bucket.uri)
    assert [e["path"] for e in entries] == [f"{bucket.uri}/p/{i:05}.jpg" for i in range(2500)]


def test_vanished_and_changed(bucket):
    bucket.add("a.jpg", b"abcd\xa5")
    path = bucket.uri + "/a.jpg"
    lines = bucket.ok("read", path, path + "=5", path + "=3", path + "=6", path + "=9999",
                      bucket.uri + "/none.jpg=5", bucket.uri + "/none.jpg").splitlines()
    assert lines[:2] == ["5", "5"]
    assert all("changed" in line for line in lines[2:5]), lines
    assert all("gone" in line for line in lines[5:]), lines


def test_options_in_the_uri(bucket):
    bucket.add("a.jpg")
    env = {k: v for k, v in bucket.env.items() if k != "AWS_ENDPOINT_URL"}
    uri = f"{bucket.uri}?region=us-east-1&endpoint_override={bucket.env['AWS_ENDPOINT_URL']}"
    done = subprocess.run([str(TOOL), "list", uri], env=env, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)
    assert entry["path"] == bucket.uri + "/a.jpg" and entry["hash"]


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_dataset(bucket, form):
    uri = bucket.uri + "/out"
    bucket.ok("dataset", uri, form)
    names = bucket.ok("ls", uri).split()
    assert names[:3] == ["_SUCCESS", "_rejects/", "_run.json"] and len(names) == 5
    rows = [json.loads(line) for line in bucket.ok("show", uri).splitlines()]
    assert [r["path"] for r in rows] == [f"{i}.jpg" for i in range(20)]
    if form == "parquet":
        table = pq.read_table(bucket.folder / "out")
        assert table["path"].to_pylist() == [r["path"] for r in rows]
    bucket.ok("remove-dataset", uri)
    assert bucket.ok("ls", uri) == ""
