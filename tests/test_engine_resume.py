# SPDX-License-Identifier: Apache-2.0
"""What is left when a run is killed, stopped or repeated, and how it goes on."""
import json
import os
import random
import shutil
import signal
import time

import pytest

from engine_support import (assert_same_dataset, break_off, make_network, make_photo, make_photos, parts, record,
                            small, table)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_network(tmp_path_factory.mktemp("network") / "net.onnx", d=24)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = make_photos(tmp_path_factory.mktemp("photos") / "photos", 480)
    (folder / "apple" / "00001-bad.jpg").write_bytes(b"nothing")
    return folder


def published(dest):
    """Rows and parts that an unfinished run left, by its own records."""
    records = [json.loads(p.read_text()) for p in (dest / "_temporary").glob("*/part-*.json")]
    return sum(r["rows"] for r in records), len(records)


def assert_same_results(found, expected):
    for kind in ("features", "reduced"):
        assert_same_dataset(found / kind, expected / kind)
    assert (found / "pca" / "pca.bin").read_bytes() == (expected / "pca" / "pca.bin").read_bytes()


def test_killed_at_ten_random_moments(pomona, photos, tmp_path):
    """The default network, in parts of 32 photos: each run is killed somewhere, then goes on."""
    dest = tmp_path / "results"
    words = ["run", photos, dest, "--input-size", "96", "--rows-per-file", "32", "-k", "20", "--no-model",
             "--no-report", "-q"]
    pomona(*words)  # also warms the compiled network's cache
    shutil.rmtree(dest)
    begin = time.monotonic()
    pomona(*words)
    whole = time.monotonic() - begin
    expected = tmp_path / "expected"
    dest.rename(expected)
    parts_there = len(parts(expected / "features"))

    moments = random.Random(20260101)
    killed = reused = midway = 0
    for _ in range(60):
        if killed >= 10 and midway >= 2:
            break
        process = pomona.start(*words)
        time.sleep(moments.uniform(0.02, 0.95) * whole)
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            # The machine is quicker now than when the whole run was timed: that was no kill.
            whole *= 0.8
            shutil.rmtree(dest)
            continue
        killed += 1
        if not dest.exists():
            continue
        finished = (dest / "features" / "_SUCCESS").exists()
        rows, count = published(dest / "features") if not finished else (480, parts_there)
        midway += 0 < count < parts_there
        pomona(*words, "--resume")
        assert_same_results(dest, expected)
        assert len(parts(dest / "features")) == parts_there, "nothing is left over"
        assert not (dest / "features" / "_temporary").exists()
        counts = record(dest / "features")["counts"]
        assert counts["reused"] >= rows, "what a finished part holds is not computed again"
        assert counts["written"] == counts["reused"] + counts["computed"] == 480
        reused += counts["reused"]
        shutil.rmtree(dest)
    assert killed >= 10
    assert midway >= 2, "the moments must hit runs that had published some parts"
    assert reused > 0


def test_killed_again_and_again(pomona, photos, tmp_path):
    """One dataset, killed until it is whole: every attempt adds parts, or at least loses none."""
    dest = tmp_path / "features"
    words = ["featurize", photos, dest, "--input-size", "96", "--rows-per-file", "32", "-q"]
    pomona(*words)
    expected = tmp_path / "expected"
    dest.rename(expected)
    before = 0
    moments = random.Random(7)
    for attempt in range(40):
        process = pomona.start(*words, *(["--resume"] if attempt else []))
        time.sleep(moments.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (dest / "_SUCCESS").exists() or not dest.exists():
            break
        rows, _ = published(dest)
        assert rows >= before
        before = rows
    pomona(*words, "--resume")
    assert_same_dataset(dest, expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal(pomona, photos, tmp_path, number):
    dest = tmp_path / "features"
    words = ["featurize", photos, dest, "--input-size", "128", "--rows-per-file", "16"]
    pomona(*words)
    expected = tmp_path / "expected"
    dest.rename(expected)
    import subprocess
    process = pomona.start(*words, "--threads", "1", stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while time.monotonic() < until and not list(dest.glob("_temporary/*/part-*.json")):
        time.sleep(0.01)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1, errors
    assert "--resume" in errors and "internal" not in errors
    assert not (dest / "_SUCCESS").exists()
    kept, _ = published(dest)
    assert 0 < kept < 480
    pomona(*words, "--resume")
    assert record(dest)["counts"]["reused"] >= kept
    assert_same_dataset(dest, expected)


@pytest.fixture
def grown(photos, tmp_path):
    folder = tmp_path / "growing"
    shutil.copytree(photos, folder)
    return folder


def fresh(pomona, words, dest):
    """The same command on an empty DEST; the dataset it made."""
    kept = dest.with_name("resumed")
    dest.rename(kept)
    pomona(*words)
    expected = dest.with_name("expected")
    dest.rename(expected)
    kept.rename(dest)
    return expected


def test_grown_folder(pomona, network, grown, tmp_path):
    dest = tmp_path / "results"
    words = ["run", grown, dest, *small(network), "--rows-per-file", "64", "-k", "5"]
    pomona(*words)
    make_photos(grown, 30, first=1000)             # at the end of both folders
    make_photo(grown / "apple" / "00100-new.jpg", 7777)  # in the middle
    make_photos(grown / "zebra", 20, first=2000)   # folders after all others
    pomona(*words, "--resume")
    assert record(dest / "features")["counts"] == \
        {"listed": 532, "written": 531, "rejected": 1, "computed": 51, "reused": 480, "identical": 0}
    assert_same_results(dest, fresh(pomona, words, dest))
    # Once more, unchanged: nothing to do, and nothing is done.
    before = {p: (dest / "features" / p).stat().st_mtime_ns for p in parts(dest / "features")}
    pomona(*words, "--resume")
    assert record(dest / "features")["counts"]["computed"] == 0
    assert {p: (dest / "features" / p).stat().st_mtime_ns for p in parts(dest / "features")} == before


def test_changed_and_deleted_photos(pomona, network, grown, tmp_path):
    dest = tmp_path / "results"
    words = ["run", grown, dest, *small(network), "--rows-per-file", "64", "-k", "5"]
    pomona(*words)
    make_photo(grown / "apple" / "00010.jpg", 99999)
    (grown / "pear" / "00101.jpg").unlink()
    (grown / "apple" / "00001-bad.jpg").unlink()
    make_photo(grown / "apple" / "00001-bad.jpg", 88888)  # mended
    pomona(*words, "--resume")
    counts = record(dest / "features")["counts"]
    assert counts == {"listed": 480, "written": 480, "rejected": 0, "computed": 2, "reused": 478, "identical": 0}
    assert str(grown / "pear" / "00101.jpg") not in table(dest / "features")["path"].to_pylist()
    assert not (dest / "features" / "_rejects").exists() or not list((dest / "features" / "_rejects").iterdir())
    assert_same_results(dest, fresh(pomona, words, dest))


def test_touched_photos_are_not_computed_again(pomona, network, grown, tmp_path):
    words = ["featurize", grown, tmp_path / "out", *small(network), "--rows-per-file", "64"]
    pomona(*words)
    for path in grown.rglob("*.jpg"):
        os.utime(path, (1, 1))
    pomona(*words, "--resume")
    assert record(tmp_path / "out")["counts"]["computed"] == 0


@pytest.mark.parametrize("style", ["csv", "packed"])
def test_csv_resumes(pomona, network, photos, tmp_path, style):
    dest = tmp_path / "results"
    words = ["run", photos, dest, *small(network), "--rows-per-file", "64", "-k", "5", "--format", "csv"]
    words += ["--csv-layout", "packed"] if style == "packed" else []
    pomona(*words)
    expected = tmp_path / "expected"
    dest.rename(expected)
    pomona(*words[:-2] if style == "packed" else words, "--limit", "200",
           *(["--csv-layout", "packed"] if style == "packed" else []))
    pomona(*words, "--resume")
    assert record(dest / "features")["counts"]["reused"] == 192 - 1
    for kind in ("features", "reduced"):
        assert [(dest / kind / p).read_bytes() for p in parts(dest / kind)] == \
            [(expected / kind / p).read_bytes() for p in parts(expected / kind)]
    assert (dest / "pca" / "pca.bin").read_bytes() == (expected / "pca" / "pca.bin").read_bytes()


def test_one_changed_photo_before_many_known_ones(pomona, network, tmp_path):
    """The changed photo waits for a full batch that never comes; the listing must not wait for it in turn."""
    folder = make_photos(tmp_path / "in", 500, classes=("a",))
    words = ["featurize", folder, tmp_path / "out", *small(network), "--rows-per-file", "16", "--threads", "1"]
    pomona(*words)
    make_photo(folder / "a" / "00000.jpg", 99999)
    for path in sorted(folder.rglob("*.jpg"))[1:]:
        os.utime(path, (1, 1))
    pomona(*words, "--resume", timeout=60)
    assert record(tmp_path / "out")["counts"]["computed"] == 1


def test_other_options_are_refused(pomona, network, photos, tmp_path):
    dest = tmp_path / "out"
    base = ["featurize", photos, dest]
    pomona(*base, *small(network), "--limit", "40", "--glob", "*0.jpg")
    before = sorted((p.name, p.read_bytes()) for p in dest.iterdir() if p.is_file())
    other = make_network(tmp_path / "other.onnx", d=24, seed=9)
    for changes, named in (
            ({"--preprocess": "torch"}, "mean"), ({"--resize": "nearest"}, "nearest"),
            ({"--labels": "none"}, "labels"), ({"--format": "csv"}, "csv"),
            ({"--rows-per-file": "100"}, "rows_per_file"), ({"--input-size": "40"}, "40"),
            ({"--model": str(other)}, "network_sha256")):
        flags = {"--model": str(network), "--preprocess": "tf", "--input-size": "32", "--precision": "f32",
                 "--limit": "40", "--glob": "*0.jpg"} | changes
        done = pomona(*base, "--resume", *[word for pair in flags.items() for word in pair], code=1)
        text = done.stderr.decode()
        assert "cannot be resumed" in text and named in text and "now" in text and "there" in text, text
    assert (dest / "_SUCCESS").exists()
    assert sorted((p.name, p.read_bytes()) for p in dest.iterdir() if p.is_file()) == before


def test_resume_of_nothing_is_a_run(pomona, network, photos, tmp_path):
    pomona("featurize", photos, tmp_path / "out", *small(network), "--limit", "3", "--resume", "--glob", "*0.jpg")
    assert record(tmp_path / "out")["counts"]["computed"] == 3


def test_a_lost_part_is_made_again(pomona, network, photos, tmp_path):
    dest = tmp_path / "out"
    words = ["featurize", photos, dest, *small(network), "--rows-per-file", "64"]
    pomona(*words)
    expected = table(dest)
    (dest / parts(dest)[2]).unlink()
    pomona(*words, "--resume")
    assert table(dest).equals(expected)
    pomona("check", dest)


def test_photos_that_come_before_those_of_a_broken_off_run(pomona, network, tmp_path):
    """Their part takes the place of one whose rows are still needed, for photos that moved to later parts."""
    folder = make_photos(tmp_path / "in", 60, classes=("pear",))
    dest = tmp_path / "out"
    words = ["featurize", folder, dest, *small(network), "--rows-per-file", "4", "--threads", "1"]
    pomona(*words)
    break_off(dest)
    make_photos(folder, 60, first=1000, classes=("apple",))
    pomona(*words, "--resume")
    assert record(dest)["counts"]["reused"] == 60
    assert_same_dataset(dest, fresh(pomona, words, dest))
    assert parts(dest) == sorted(part["file"] for part in record(dest)["parts"])


def test_sums_of_a_run_killed_at_its_end(pomona, network, tmp_path):
    """What a later run begins with is there again, though nothing was left to compute."""
    dest = tmp_path / "out"
    words = ["featurize", make_photos(tmp_path / "in", 10), dest, *small(network), "--rows-per-file", "4"]
    pomona(*words)
    sums, told = (dest / "_moments.bin").read_bytes(), record(dest)["moments"]
    break_off(dest)
    pomona(*words, "--resume")
    assert record(dest)["counts"]["reused"] == 10
    assert (dest / "_moments.bin").read_bytes() == sums and record(dest)["moments"] == told


def test_other_sources_of_the_same_photos(pomona, network, tmp_path):
    """What the folders above a photo say of it depends on which of them is the source."""
    folder = make_photos(tmp_path / "in" / "set", 24)
    for first, then in ((folder / "apple", folder), (folder, folder / "apple"), (folder, tmp_path / "in")):
        dest = tmp_path / "out"
        flags = [*small(network), "--rows-per-file", "4"]
        pomona("featurize", first, dest, *flags)
        pomona("featurize", then, dest, *flags, "--resume")
        assert record(dest)["counts"]["computed"] == (12 if then == folder else 0)
        expected = fresh(pomona, ["featurize", then, dest, *flags], dest)
        assert_same_dataset(dest, expected)
        shutil.rmtree(dest)
        shutil.rmtree(expected)


def test_sums_of_a_run_that_died_before_its_record(pomona, network, tmp_path):
    """They cover more than the record that stands says; rows that counted twice would give another PCA."""
    folder = make_photos(tmp_path / "in", 16, classes=("pear",))
    dest = tmp_path / "results"
    words = ["run", folder, dest, *small(network), "--rows-per-file", "8", "-k", "3", "--no-model", "--no-report"]
    pomona(*words)
    features = dest / "features"
    earlier = (features / "_run.json").read_bytes()
    make_photos(folder, 8, first=100, classes=("pear",))
    pomona(*words, "--resume")
    run = record(features)
    left = features / "_temporary" / run["run_id"]
    left.mkdir(parents=True)
    (left / "run.json").write_text(json.dumps(run["header"] | {"format_version": run["format_version"]}))
    (left / "part-00002.json").write_text(json.dumps(run["parts"][2]))
    (features / "_run.json").write_bytes(earlier)
    (features / "_SUCCESS").unlink()
    pomona(*words, "--resume")
    assert record(features)["counts"]["reused"] == 24
    assert_same_results(dest, fresh(pomona, words, dest))
