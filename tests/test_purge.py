# SPDX-License-Identifier: Apache-2.0
"""`pomona purge`: what goes, what stays, and what the log says."""
import json
import os
import shutil
import time

import pytest

import storage_server
from engine_support import make_network, make_photos, record, small

DAY = 86400


@pytest.fixture(scope="module")
def results(pomona, tmp_path_factory):
    """A results folder of `run`, never changed: tests work on copies."""
    folder = tmp_path_factory.mktemp("purge")
    network = make_network(folder / "net.onnx", d=8)
    pomona("run", make_photos(folder / "photos", 8), folder / "results", *small(network), "-k", "2")
    return folder / "results"


def age(dataset, days):
    """Makes a finished dataset look `days` old."""
    run = record(dataset)
    run["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * DAY))
    (dataset / "_run.json").write_text(json.dumps(run))


# In this order: a purge that is killed leaves the datasets, by which the next one finds the rest.
GOES = ["pca", "model", "evaluation", "report", "dataset", "dataset"]


def old_copy(results, dest, days=20):
    shutil.copytree(results, dest)
    for name in ("features", "reduced"):
        age(dest / name, days)
    return dest


def names(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


def log_lines(path):
    """What went. Before each of them a line says that it is about to go."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for before, line in zip(lines, lines[1:]):
        assert "begins" in before or "begins" in line
        assert "what" not in line or line["place"] == before["place"]
    return [line for line in lines if "what" in line]


def test_dry_run_removes_nothing(pomona, results, tmp_path):
    dest = old_copy(results, tmp_path / "r")
    before = names(tmp_path)
    shown = pomona("purge", tmp_path, cwd=tmp_path).stdout.decode()
    assert "dry run" in shown and "features, 8 rows" in shown and str(dest / "reduced") in shown
    assert names(tmp_path) == before
    found = json.loads(pomona("purge", dest, "--json", cwd=tmp_path).stdout)
    assert found["dry_run"] and not any(item["removed"] for item in found["items"])
    assert [i["what"] for i in found["items"]] == GOES


def test_a_results_folder_goes_whole(pomona, results, tmp_path):
    dest = old_copy(results, tmp_path / "all" / "r")
    identity = record(dest / "features")["fingerprint"]["identity_hash"]
    (dest / "evaluation.json").write_text('{"confusion": [[1]]}')
    shutil.copytree(results, tmp_path / "all" / "young")
    young = names(tmp_path / "all" / "young")
    shown = pomona("purge", tmp_path / "all", "--yes", "--log", tmp_path / "log").stdout.decode()
    assert "6 of 6 removed" in shown and "2 datasets left" in shown
    assert names(tmp_path / "all") == {"young"} | {f"young/{n}" for n in young}
    lines = log_lines(tmp_path / "log")
    assert [line["what"] for line in lines] == GOES
    lines = [line for line in lines if line["what"] == "dataset"]
    assert lines[0]["rows"] == 8 and lines[0]["identity"] == identity and lines[0]["removed"]
    assert lines[0]["bytes"] > 1000 and lines[0]["place"] == str(dest / "features") and lines[0]["kind"] == "features"
    assert {"time", "date", "older_than_seconds"} <= lines[0].keys() and lines[0]["older_than_seconds"] == 14 * DAY
    # Once more: nothing is left to do, and the log is added to, not begun again.
    assert "Nothing is older" in pomona("purge", tmp_path / "all", "--yes", "--log", tmp_path / "log").stdout.decode()
    assert len(log_lines(tmp_path / "log")) == 6


def test_what_is_not_ours_stays(pomona, results, tmp_path):
    dest = old_copy(results, tmp_path / "r")
    (dest / "notes.txt").write_text("mine")
    (dest / "features" / "part-of-mine.parquet").write_text("mine")
    (dest / "model.onnx").write_bytes(b"another model")
    (dest / "report.html").write_text("a page of somebody else")
    done = pomona("purge", dest, "--yes", "--log", tmp_path / "log")
    assert b"not a file of ours" in done.stderr
    assert names(dest) == {"notes.txt", "features", "features/part-of-mine.parquet", "model.onnx", "report.html"}


def test_half_of_a_results_folder_keeps_its_model(pomona, results, tmp_path):
    dest = old_copy(results, tmp_path / "r")
    age(dest / "reduced", 1)
    (dest / "model.onnx").write_bytes(b"pomona.training")
    pomona("purge", dest, "--yes", "--log", tmp_path / "log")
    assert not (dest / "features").exists()
    assert (dest / "reduced" / "_SUCCESS").exists() and (dest / "model.onnx").exists()
    assert (dest / "pca" / "pca.bin").exists()


def test_one_dataset_and_a_shorter_age(pomona, results, tmp_path):
    dest = old_copy(results, tmp_path / "r", days=2)
    assert b"Nothing is older" in pomona("purge", dest / "features", "--older-than", "1w").stdout
    pomona("purge", dest / "features", "--older-than", "36h", "--yes", "--log", tmp_path / "log")
    assert names(dest / "features") == set()
    assert (dest / "reduced" / "_SUCCESS").exists()


def test_unfinished_datasets_by_their_last_change(pomona, results, tmp_path):
    for name, days in (("old", 30), ("new", 1)):
        run = tmp_path / "d" / name / "_temporary" / "0123456789abcdef" / "run.json"
        run.parent.mkdir(parents=True)
        run.write_text('{"kind": "features"}')
        os.utime(run, (time.time() - days * DAY,) * 2)
    # A run that goes on in an old dataset makes it young again.
    resumed = tmp_path / "d" / "resumed"
    shutil.copytree(results / "features", resumed)
    age(resumed, 40)
    (resumed / "_SUCCESS").unlink()
    shutil.copytree(tmp_path / "d" / "new" / "_temporary", resumed / "_temporary")
    pomona("purge", tmp_path / "d", "--yes", "--log", tmp_path / "log")
    assert {p.name for p in (tmp_path / "d").iterdir()} == {"new", "resumed"}
    [line] = log_lines(tmp_path / "log")
    assert line["state"] == "unfinished" and line["place"].endswith("/old")


def test_damaged_records(pomona, results, tmp_path):
    dest = tmp_path / "d"
    for name, text in (("a", "{"), ("b", '{"finished": 7, "parts": [3, {"file": "../../outside"}], "fingerprint": []}'),
                       ("c", '{"finished": "yesterday"}'), ("d", "[]")):
        shutil.copytree(results / "features", dest / name)
        (dest / name / "_run.json").write_text(text)
        for file in (dest / name).rglob("*"):
            if file.is_file():
                os.utime(file, (time.time() - 15 * DAY,) * 2)
    shutil.copytree(results / "features", dest / "e")
    (dest / "e" / "_run.json").write_text("{")  # written today
    (tmp_path / "outside").write_text("mine")
    pomona("purge", dest, "--yes", "--log", tmp_path / "log")
    assert {p.name for p in dest.iterdir()} == {"e"}
    assert (tmp_path / "outside").exists()


def test_links_are_not_followed(pomona, results, tmp_path):
    outside = old_copy(results, tmp_path / "outside")
    before = names(outside)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "link").symlink_to(outside)
    trap = tmp_path / "d" / "trap"
    shutil.copytree(outside / "features", trap)
    shutil.rmtree(trap / "_rejects", ignore_errors=True)
    (trap / "_rejects").symlink_to(outside / "features")
    done = pomona("purge", tmp_path / "d", "--yes", "--log", tmp_path / "log")
    assert b"is a link" in done.stderr
    assert names(outside) == before and (trap / "_SUCCESS").exists()


def test_photos(pomona, tmp_path):
    photos = make_photos(tmp_path / "in", 6)
    outside = make_photos(tmp_path / "outside", 2)
    old = time.time() - 15 * DAY
    (photos / "apple" / "notes.txt").write_text("mine")
    (photos / "_hidden").mkdir()
    shutil.copy(photos / "apple" / "00000.jpg", photos / "_hidden" / "x.jpg")
    (photos / "apple" / "link.jpg").symlink_to(outside / "apple" / "00000.jpg")
    (photos / "elsewhere").symlink_to(outside)
    (photos / "inner").symlink_to(photos / "pear")
    for file in [*photos.rglob("*"), *outside.rglob("*")]:
        if file.is_file():
            os.utime(file, (old, old))
    os.utime(photos / "apple" / "00002.jpg")
    before = names(tmp_path)
    shown = pomona("purge", f"{photos}/", "--photos", cwd=tmp_path).stdout.decode()
    assert "dry run" in shown and shown.count("would go") == 5 and names(tmp_path) == before
    pomona("purge", f"{photos}/", "--photos", "--yes", "--log", tmp_path / "log")
    assert before - names(tmp_path) == {"in/apple/00000.jpg", "in/apple/00004.jpg", "in/pear", "in/pear/00001.jpg",
                                        "in/pear/00003.jpg", "in/pear/00005.jpg"}
    lines = log_lines(tmp_path / "log")
    assert [line["what"] for line in lines] == ["photo"] * 5 and all(line["bytes"] > 100 for line in lines)


def test_nothing_goes_without_a_log(pomona, results, tmp_path):
    dest = old_copy(results, tmp_path / "r")
    before = names(dest)
    done = pomona("purge", dest, "--yes", "--log", tmp_path / "no" / "such" / "log", code=1)
    assert b"Nothing was removed" in done.stderr and names(dest) == before


@pytest.mark.parametrize("words, code", [(["--older-than", "14"], 2), (["--older-than", "-1d"], 2),
                                         (["--older-than", "99999999999w"], 2), (["--older-than", "d"], 2)])
def test_wrong_ages(pomona, tmp_path, words, code):
    assert b"no age" in pomona("purge", tmp_path, *words, code=code).stderr


def test_wrong_places(pomona, tmp_path):
    assert b"there is nothing at" in pomona("purge", tmp_path / "absent", code=1).stderr
    (tmp_path / "file").write_text("x")
    assert b"is a file" in pomona("purge", tmp_path / "file", code=2).stderr
    assert b"Nothing is older" in pomona("purge", tmp_path).stdout


@pytest.mark.skipif(storage_server.find_versitygw() is None, reason="versitygw is missing")
def test_on_an_object_store(pomona, results, tmp_path):
    bucket = tmp_path / "s3" / "bucket"
    old_copy(results, bucket / "runs" / "old")
    shutil.copytree(results, bucket / "runs" / "young")
    make_photos(bucket / "photos", 4)
    with storage_server.s3_server(tmp_path / "s3") as env:
        shown = pomona("purge", "s3://bucket/runs", env=env, cwd=tmp_path).stdout.decode()
        assert "s3://bucket/runs/old/features" in shown and (bucket / "runs" / "old" / "features" / "_SUCCESS").exists()
        pomona("purge", "s3://bucket/runs", "--yes", "--log", tmp_path / "log", env=env)
        assert not [n for n in names(bucket / "runs") if n.startswith("old/") and (bucket / "runs" / n).is_file()]
        assert (bucket / "runs" / "young" / "reduced" / "_SUCCESS").exists()
        assert [line["what"] for line in log_lines(tmp_path / "log")] == GOES
        assert b"Nothing is older" in pomona("purge", "s3://bucket/photos", "--photos", env=env).stdout
        time.sleep(1.1)
        pomona("purge", "s3://bucket/photos", "--photos", "--older-than", "0s", "--yes", "--log", tmp_path / "log", env=env)
        assert not list((bucket / "photos").rglob("*.jpg"))
