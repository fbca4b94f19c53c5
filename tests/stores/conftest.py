# SPDX-License-Identifier: Apache-2.0
"""Servers and credentials of the tests of object stores; what cannot be started is named in the skip."""
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stores")]
import engine_support  # noqa: E402
import storage_server  # noqa: E402
import store_proxy  # noqa: E402


@pytest.fixture(scope="session")
def versitygw():
    if storage_server.find_versitygw() is None:
        pytest.skip("versitygw is missing: setup/versitygw.sh builds it where there is Go")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A small network and the words that say how to use it: what is tested here is not inference."""
    path = tmp_path_factory.mktemp("network") / "small.onnx"
    engine_support.make_network(path)
    return ["--model", path, "--preprocess", "tf", "--input-size", "32", "-q"]


class S3:
    def __init__(self, folder, env):
        self.folder, self.env = folder, env

    def photos(self, prefix, count, bucket="photos"):
        engine_support.make_photos(self.folder / bucket / prefix, count)
        return f"s3://{bucket}/{prefix}"


@pytest.fixture(scope="module")
def s3(versitygw, tmp_path_factory):
    """A server with the empty buckets `photos` and `results`, and users."""
    folder = tmp_path_factory.mktemp("s3")
    for bucket in ("photos", "results"):
        (folder / "data" / bucket).mkdir(parents=True)
    (folder / "iam").mkdir()
    with storage_server.s3_server(folder / "data", options=["--iam-dir", folder / "iam"]) as env:
        yield S3(folder / "data", env)


@pytest.fixture
def proxy(s3):
    with store_proxy.proxy_before(s3.env["AWS_ENDPOINT_URL"]) as process:
        process.env = {**s3.env, "AWS_ENDPOINT_URL": process.url}
        yield process


@pytest.fixture(scope="session")
def run(pomona):
    """run(environment, *words, code=0): the command's standard error and output, as text."""
    def call(env, *words, code=0, timeout=120):
        done = pomona(*words, code=code, env={k: str(v) for k, v in env.items()}, timeout=timeout)
        return (done.stderr + done.stdout).decode()
    return call


def kill(process):
    process.kill()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        pass
