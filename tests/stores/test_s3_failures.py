# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with object stores: the message says which it is, and nothing half-written counts as done."""
import json
import re
import subprocess
import time

import engine_support
import fake_aws
import pyarrow.parquet as pq
import pytest
import s3_admin
import storage_server
import store_proxy

pytestmark = pytest.mark.slow  # needs the S3 server

READER = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "readersecret"}


@pytest.fixture(scope="module")
def users(s3):
    """`reader` may list the bucket `photos` and read its prefix open/, and nothing else."""
    s3.photos("open", 6)
    s3.photos("closed", 6)
    s3_admin.make_user(s3.env, "reader", "readersecret")
    s3_admin.set_policy(s3.env, "photos", [s3_admin.allow("reader", ["s3:ListBucket"], ["photos"]),
                                           s3_admin.allow("reader", ["s3:GetObject"], ["photos/open/*"])])
    return {**s3.env, **READER}


def paths(folder):
    return pq.read_table(folder, columns=["path"])["path"].to_pylist()


def unfinished(folder):
    return not (folder / "_SUCCESS").exists()


def test_a_user_with_one_prefix(run, users, network, tmp_path):
    run(users, "featurize", "s3://photos/open", tmp_path / "open", *network)
    assert len(paths(tmp_path / "open")) == 6
    text = run(users, "featurize", "s3://photos/closed", tmp_path / "closed", *network, code=3)
    assert "no permission to read this object" in text


def test_no_right_to_write(run, users, s3, network):
    text = run(users, "featurize", "s3://photos/open", "s3://results/denied", *network, code=1)
    assert "permission denied" in text and "s3:" in text
    assert not list((s3.folder / "results").glob("denied/*.parquet"))
    assert unfinished(s3.folder / "results" / "denied")


def test_doctor_names_the_rights(run, users, s3):
    text = run(users, "doctor", "s3://photos/open", code=1)
    assert re.search(r"ok +list .*s3:ListBucket", text) and re.search(r"ok +read .*s3:GetObject", text)
    assert re.search(r"BAD +write .*s3:PutObject", text)
    assert re.search(r"delete +not tried: .*s3:DeleteObject", text)
    text = run(users, "doctor", "s3://photos/closed", "--source", code=1)
    assert re.search(r"BAD +read .*s3:GetObject", text)
    found = json.loads(run(s3.env, "doctor", "s3://results", "--json"))
    assert {f["what"] for f in found if f["good"]} == {"place", "list", "read", "write", "delete"}
    assert not list((s3.folder / "results").glob(".pomona-doctor*"))


@pytest.mark.parametrize("change, said", [
    ({"AWS_ACCESS_KEY_ID": "nobody"}, "does not know this access key"),
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "secret key does not belong to this access key"),
])
def test_wrong_keys(run, s3, network, tmp_path, change, said):
    s3.photos("keys", 2)
    text = run({**s3.env, **change}, "featurize", "s3://photos/keys", tmp_path / "out", *network, code=1)
    assert said in text
    assert unfinished(tmp_path / "out")


def test_no_such_bucket(run, s3, network, tmp_path):
    text = run(s3.env, "featurize", "s3://no-such-bucket/x", tmp_path / "out", *network, code=1)
    assert "there is no such bucket" in text
    photos = engine_support.make_photos(tmp_path / "photos", 2)
    text = run(s3.env, "featurize", photos, "s3://no-such-bucket/x", *network, code=1)
    assert "no such bucket" in text


def test_bucket_of_another_region(run, s3, network, tmp_path):
    photos = engine_support.make_photos(tmp_path / "photos", 2)
    with fake_aws.fake_aws(region_of_bucket="eu-central-1") as aws:
        env = {**s3.env, "AWS_ENDPOINT_URL": aws.url}
        for words in (["s3://photos/x", tmp_path / "out"], [photos, "s3://results/x"]):
            text = run(env, "featurize", *words, *network, code=1)
            assert "lies in the region eu-central-1, not in us-east-1" in text and "AWS_REGION=eu-central-1" in text


def test_endpoint_down_from_the_start(run, s3, network, tmp_path):
    env = {**s3.env, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{storage_server.free_port()}", "AWS_MAX_ATTEMPTS": "2"}
    text = run(env, "featurize", "s3://photos/x", tmp_path / "out", *network, code=1)
    assert "endpoint cannot be reached" in text
    assert unfinished(tmp_path / "out")


def test_endpoint_down_in_the_middle_and_resume(pomona, run, versitygw, network, tmp_path):
    """The server is gone when three parts stand; later the same command with --resume ends it."""
    data = tmp_path / "data"
    engine_support.make_photos(data / "photos", 240)
    (data / "results").mkdir()
    words = ["featurize", "s3://photos", "s3://results/out", "--rows-per-file", "32", *network]
    out = data / "results" / "out"
    with storage_server.s3_server(data) as env, store_proxy.proxy_before(env["AWS_ENDPOINT_URL"]) as proxy:
        proxy.tell(latency=0.1)
        env = {**env, "AWS_ENDPOINT_URL": proxy.url, "AWS_MAX_ATTEMPTS": "2"}
        job = pomona.start(*words, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        end = time.time() + 60
        while len(list(out.glob("part-*"))) < 3 and job.poll() is None and time.time() < end:
            time.sleep(0.01)
        proxy.tell(faults=[{"kind": "reset"}])  # from here on nobody answers
        text = job.communicate(timeout=60)[1].decode()
        assert job.returncode == 1, text
        assert "endpoint cannot be reached" in text
        assert list(out.glob("part-*")) and unfinished(out)
        proxy.tell(faults=[], latency=0)
        run(env, *words, "--resume")
    assert not unfinished(out)
    assert len(paths(out)) == len(set(paths(out))) == 240
    record = json.loads((out / "_run.json").read_text())
    assert record["counts"]["reused"] > 0


FAULTS = {
    "500": {"kind": "status", "status": 500, "code": "InternalError"},
    "slow down": {"kind": "status", "status": 503, "code": "SlowDown"},
    "reset": {"kind": "reset"},
    "truncated": {"kind": "truncate"},
    "stall": {"kind": "stall", "seconds": 30},
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_passes_is_tried_again(run, s3, proxy, network, tmp_path, kind):
    """Every fifth photo fails at first; the dataset is the one of a store without faults, to the bit."""
    uri = s3.photos("faults", 40)
    run(s3.env, "featurize", uri, tmp_path / "sound", *network)
    fault = {**FAULTS[kind], "match": r"^GET .*\.jpg", "every": 5, "times": 1}
    proxy.tell(faults=[fault])
    run(proxy.env, "featurize", uri + "?request_timeout=2", tmp_path / "out", *network)
    assert proxy.tell()["broken"] >= 8
    sound, out = (pq.read_table(tmp_path / name) for name in ("sound", "out"))
    assert out.equals(sound)


def test_an_object_shorter_than_the_refusal_before_it(run, s3, proxy, network, tmp_path):
    """The refusal's text must not be taken for more of the object than was listed."""
    uri = s3.photos("tiny", 2)
    (s3.folder / "photos" / "tiny" / "note.jpg").write_bytes(b"nothing")
    proxy.tell(faults=[{**FAULTS["500"], "match": r"^GET .*note\.jpg", "times": 1}])
    run(proxy.env, "featurize", uri, tmp_path / "out", *network, code=3)
    assert proxy.tell()["broken"] == 1
    rejects = pq.read_table(tmp_path / "out" / "_rejects").to_pylist()
    assert [r["stage"] for r in rejects] == ["decode"] and "not an image" in rejects[0]["reason"]


@pytest.mark.parametrize("kind", ["truncated", "slow down"])
def test_what_does_not_pass_ends_the_job(run, s3, proxy, network, tmp_path, kind):
    uri = s3.photos("faults", 40)
    proxy.tell(faults=[{**FAULTS[kind], "match": r"^GET .*00007\.jpg"}])
    text = run({**proxy.env, "AWS_MAX_ATTEMPTS": "2"}, "featurize", uri, tmp_path / "out", *network, code=1)
    assert "00007.jpg" in text and "trying again" in text
    assert unfinished(tmp_path / "out")
    proxy.tell(faults=[])
    run(proxy.env, "featurize", uri, tmp_path / "out", "--resume", *network)
    assert len(paths(tmp_path / "out")) == 40
