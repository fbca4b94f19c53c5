# SPDX-License-Identifier: Apache-2.0
"""gs:// against fake-gcs-server, abfs:// and az:// against Azurite, and what hdfs:// says where Java or Hadoop lack."""
import os
import pathlib
import shutil
import socket
import subprocess
import time

import pyarrow.parquet as pq
import pytest
import storage_server

import engine_support
from places import ROOT

pytestmark = pytest.mark.slow  # their servers are installed by setup/stores.sh

AZURITE = ROOT / "tests" / "stores" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
# Azurite's own well-known account, the same on every machine.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def wait_for(process, port):
    for _ in range(1200):
        if process.poll() is not None:
            pytest.skip(f"{process.args[0]} ended with {process.returncode}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.skip(f"{process.args[0]} does not answer")


@pytest.fixture(scope="module")
def gcs(tmp_path_factory):
    """The environment of a client of fake-gcs-server with the buckets `photos` and `results`, and its folder."""
    program = os.environ.get("POMONA_FAKE_GCS") or shutil.which("fake-gcs-server") or ROOT / ".venv/bin/fake-gcs-server"
    if not pathlib.Path(program).exists():
        pytest.skip("fake-gcs-server is missing: setup/stores.sh builds it where there is Go")
    folder = tmp_path_factory.mktemp("gcs")
    (folder / "photos").mkdir()
    (folder / "results").mkdir()
    port = storage_server.free_port()
    process = subprocess.Popen(
        [program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}",
         "-backend", "filesystem", "-filesystem-root", folder],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(process, port)
        from pyarrow import fs
        store = fs.GcsFileSystem(anonymous=True, scheme="http", endpoint_override=f"127.0.0.1:{port}")
        photos = engine_support.make_photos(tmp_path_factory.mktemp("photos"), 30)
        fs.copy_files(str(photos), "photos/", destination_filesystem=store)
        yield {**os.environ, "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}, folder
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(scope="module")
def azure(tmp_path_factory):
    """The environment of a client of Azurite with the containers `photos` and `results`."""
    node = shutil.which("node") or ROOT / ".venv/node-bin/node"
    if not AZURITE.exists() or not pathlib.Path(node).exists():
        pytest.skip("Azurite is missing: setup/stores.sh installs it where there is Node")
    port = storage_server.free_port()
    process = subprocess.Popen(
        [node, AZURITE, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent",
         # It closes connections after 5 idle seconds, just when the next request is on its way; Azure waits longer.
         "--disableTelemetry", "--skipApiVersionCheck", "--blobKeepAliveTimeout", "120"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path_factory.mktemp("azurite"))
    try:
        wait_for(process, port)
        from pyarrow import fs
        store = fs.AzureFileSystem(ACCOUNT, account_key=KEY, blob_storage_authority=f"127.0.0.1:{port}",
                                   dfs_storage_authority=f"127.0.0.1:{port}", blob_storage_scheme="http",
                                   dfs_storage_scheme="http")
        for container in ("photos", "results"):
            store.create_dir(container)
        photos = engine_support.make_photos(tmp_path_factory.mktemp("photos"), 30)
        fs.copy_files(str(photos), "photos/", destination_filesystem=store)
        yield {**os.environ, "AZURE_STORAGE_CONNECTION_STRING":
               f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
               f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"}, store, port
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_google_end_to_end(gcs, run, network):
    env, folder = gcs
    run(env, "featurize", "gs://photos", "gs://results/out", *network)
    assert len(pq.read_table(folder / "results" / "out")) == 30
    run(env, "reduce", "gs://results/out", "gs://results/reduced", "-k", "4", "-q")
    assert len(pq.read_table(folder / "results" / "reduced")) == 30
    run(env, "featurize", "gs://photos/apple", "gs://results/apples", *network)
    assert len(pq.read_table(folder / "results" / "apples")) == 15
    assert "removed it" in run(env, "doctor", "gs://results")


def test_google_says_what_is_not_there(gcs, run, network, tmp_path):
    text = run(gcs[0], "featurize", "gs://no-such-bucket", tmp_path / "out", *network, code=1)
    assert "no such bucket" in text


@pytest.mark.parametrize("scheme", ["abfs", "az"])
def test_azure_end_to_end(azure, run, network, scheme, tmp_path):
    env, store, _ = azure
    run(env, "featurize", f"{scheme}://photos", f"{scheme}://results/{scheme}", *network)
    assert len(pq.read_table(f"results/{scheme}", filesystem=store, columns=["path", "features"])) == 30
    run(env, "reduce", f"{scheme}://results/{scheme}", tmp_path / "reduced", "-k", "4", "-q")
    assert len(pq.read_table(tmp_path / "reduced")) == 30
    assert "removed it" in run(env, "doctor", f"{scheme}://results")


def test_azure_says_what_is_wrong(azure, run, network, tmp_path):
    env, _, port = azure
    text = run(env, "featurize", "abfs://no-such-container/x", tmp_path / "out", *network, code=1)
    assert "no such bucket" in text or "not found" in text
    bad = {**env, "AZURE_STORAGE_CONNECTION_STRING": env["AZURE_STORAGE_CONNECTION_STRING"].replace(KEY, "AAAA")}
    text = run(bad, "featurize", "abfs://photos", tmp_path / "out", *network, code=1)
    assert "permission denied" in text or "refuses" in text
    # A key in a URI is not taken, and not shown.
    text = run(env, "featurize", f"abfs://{ACCOUNT}:SECRET@127.0.0.1:{port}/photos", tmp_path / "out", *network, code=2)
    assert "AZURE_STORAGE_KEY" in text and "SECRET" not in text
    text = run({}, "doctor", "abfs://photos", code=2)
    assert "AZURE_STORAGE_ACCOUNT" in text


def test_hdfs_says_what_to_install(run):
    text = run({"PATH": os.environ["PATH"], "JAVA_HOME": "/nonexistent"}, "doctor", "hdfs://namenode:8020/photos", code=1)
    assert "libjvm.so" in text and "JAVA_HOME" in text or "HADOOP_HOME" in text
