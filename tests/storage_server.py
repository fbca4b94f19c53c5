# SPDX-License-Identifier: Apache-2.0
"""A real S3 server (versitygw) on loopback over a folder, for tests."""
import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

ACCESS_KEY = "testkey"
SECRET_KEY = "testsecret"


def find_versitygw():
    """The program's path, or None: in POMONA_VERSITYGW, .venv, PATH or Go's bin folder."""
    given = os.environ.get("POMONA_VERSITYGW") or shutil.which("versitygw")
    if given:
        return given
    ours = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "versitygw"
    if ours.exists():
        return str(ours)
    beside = Path(os.environ.get("GOPATH", Path.home() / "go")) / "bin" / "versitygw"
    return str(beside) if beside.exists() else None


def free_port(host="127.0.0.1"):
    with socket.socket() as s:
        s.bind((host, 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def answering(server):
    """`server`, an http.server of the test's own, answers on a thread until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def s3_server(folder, host="127.0.0.1", options=()):
    """Serves the folders below `folder` as buckets, at an address of this machine. Yields the environment of a client.
    `options` are versitygw's own, such as --iam-dir."""
    port = free_port(host)
    env = dict(os.environ, ROOT_ACCESS_KEY=ACCESS_KEY, ROOT_SECRET_KEY=SECRET_KEY)
    process = subprocess.Popen(
        [find_versitygw(), "--port", f"{host}:{port}", *map(str, options), "posix", str(folder)],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if process.poll() is not None:
                raise RuntimeError(f"versitygw ended with {process.returncode}")
            with socket.socket() as s:
                if s.connect_ex((host, port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise RuntimeError("versitygw does not answer")
        client = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        client.update(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_REGION="us-east-1",
                      AWS_ENDPOINT_URL=f"http://{host}:{port}", AWS_EC2_METADATA_DISABLED="true",
                      AWS_CONFIG_FILE="/nonexistent", AWS_SHARED_CREDENTIALS_FILE="/nonexistent")
        yield client
    finally:
        process.terminate()
        process.wait(timeout=10)
