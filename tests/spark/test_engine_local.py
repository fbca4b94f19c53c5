# SPDX-License-Identifier: Apache-2.0
"""--engine spark in local mode: the command, its options and what it leaves are those of the local engine."""
import os
import pathlib
import signal
import time

import pytest

from engine_support import (assert_same_dataset, break_off, make_network, make_photos, parts, record, small)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_network(tmp_path_factory.mktemp("network") / "net.onnx", d=24)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = make_photos(tmp_path_factory.mktemp("photos") / "photos", 420)
    (folder / "apple" / "00001-bad.jpg").write_bytes(b"nothing")
    (folder / "apple.jpg").mkdir()  # named like a photo, with none below
    make_photos(folder / "apple" / "more", 12, first=1000)
    os.symlink(folder, folder / "pear" / "round")  # in a circle
    return folder


@pytest.fixture
def spark_env(local4, tmp_path):
    return local4.env(POMONA_PYTHON=local4.spark.python, POMONA_HOME=os.environ.get("POMONA_HOME", ""))


def on_spark(place):
    conf = [word for name, value in place.conf.items() for word in ("--spark-conf", f"{name}={value}")] \
        if hasattr(place, "conf") else []
    return ["--engine", "spark", "--master", place.url, *conf]


def words_for(network, *more):
    return [*small(network), "--rows-per-file", "32", "-k", "6", "--no-report", *more]


def environment(place):
    env = place.env(POMONA_PYTHON=place.spark.python)
    return env


@pytest.mark.parametrize("place_name", ["local4", "local3"])
def test_the_same_dataset_as_the_local_engine(place_name, request, pomona, photos, network, tmp_path):
    place = request.getfixturevalue(place_name)
    words = ["run", photos, tmp_path / "here", *words_for(network, "--max-reject-rate", "0.1")]
    pomona(*words)
    words[2] = tmp_path / "there"
    pomona(*words, *on_spark(place), env=environment(place))
    for kind in ("features", "reduced"):
        assert_same_dataset(tmp_path / "there" / kind, tmp_path / "here" / kind)
        assert (tmp_path / "there" / kind / "_SUCCESS").exists()
        assert not (tmp_path / "there" / kind / "_temporary").exists()
    here, there = record(tmp_path / "here" / "features"), record(tmp_path / "there" / "features")
    for key in ("header", "fingerprint", "network", "preprocess", "schema", "counts", "reject_reasons", "model"):
        assert there[key] == here[key], key
    digests = [part["extra"] for part in here["parts"]]
    assert [part["extra"] for part in there["parts"]] == digests
    assert there["engine"]["name"] == "spark" and there["engine"]["spark"] == place.spark.version
    lanes = {span["lane"] for span in there["timeline"] if span["stage"] == "featurize"}
    assert any(str(lane).startswith("executor 1") for lane in lanes)
    assert (tmp_path / "there" / "model.onnx").exists()
    events = [p for p in place.events.rglob("*") if p.is_file()]
    assert events and any("pomona: featurize" in p.read_text(errors="replace") for p in events)


def test_pca_of_one_and_of_eight_partitions_is_the_same_to_the_bit(pomona, local4, photos, network, tmp_path):
    dest, files = tmp_path / "results", []
    for count in ("1", "8"):
        pomona("run", photos, dest, *words_for(network, "--no-model", "--max-reject-rate", "0.1", "--partitions", count),
               *on_spark(local4), env=environment(local4))
        files.append((dest / "pca" / "pca.bin").read_bytes())
        dest.rename(tmp_path / count)
    assert len(parts(tmp_path / "1" / "features")) > 8, "the tree has more than one level"
    assert files[0] == files[1]
    assert_same_dataset(tmp_path / "1" / "reduced", tmp_path / "8" / "reduced")


def test_reduce_and_lists_of_paths(pomona, local4, photos, network, tmp_path):
    """A finished dataset is reduced by Spark; a list of paths is featurized in its own order."""
    paths = sorted(photos.glob("*/0*.jpg"), reverse=True)[:100]
    paths.append(paths[7])
    (tmp_path / "list").write_text("\n".join(map(str, paths)) + "\n")
    flags = [*small(network), "--rows-per-file", "16", "--max-reject-rate", "1"]
    pomona("featurize", "--paths-from", tmp_path / "list", tmp_path / "here", *flags)
    done = pomona("featurize", "--paths-from", tmp_path / "list", tmp_path / "there", *flags, *on_spark(local4),
                  env=environment(local4))
    assert b"1 of 101 paths of the list name a photo that an earlier one named" in done.stderr
    assert_same_dataset(tmp_path / "there", tmp_path / "here")
    pomona("reduce", tmp_path / "there", tmp_path / "reduced", "-k", "5", "-q")
    pomona("reduce", tmp_path / "there", tmp_path / "reduced-there", "-k", "5", "-q", *on_spark(local4),
           env=environment(local4))
    import numpy as np
    from engine_support import vectors
    np.testing.assert_allclose(vectors(tmp_path / "reduced-there", "components"),
                               vectors(tmp_path / "reduced", "components"), atol=1e-5)


def test_an_unfinished_local_run_goes_on_in_spark_and_back(pomona, local4, network, tmp_path):
    photos = make_photos(tmp_path / "photos", 200)
    flags = [*small(network), "--rows-per-file", "16", "--labels", "none"]
    pomona("featurize", photos, tmp_path / "data", *flags)
    make_photos(photos, 100, first=200)
    pomona("featurize", photos, tmp_path / "data", *flags, "--resume", *on_spark(local4), env=environment(local4))
    counts = record(tmp_path / "data")["counts"]
    assert counts["written"] == 300
    assert counts["computed"] == 100, "vectors that were there are not made again"
    make_photos(photos, 20, first=300)
    pomona("featurize", photos, tmp_path / "data", *flags, "--resume")
    assert record(tmp_path / "data")["counts"]["computed"] == 20
    pomona("featurize", photos, tmp_path / "expected", *flags)
    assert_same_dataset(tmp_path / "data", tmp_path / "expected")


def test_photos_that_come_before_those_of_a_broken_off_run(pomona, local4, network, tmp_path):
    """No part takes the name of one that a driver left, who may be slow, not dead, and would put its own there."""
    photos = make_photos(tmp_path / "photos", 60, classes=("pear",))
    data = tmp_path / "data"
    words = ["featurize", photos, data, *small(network), "--rows-per-file", "16"]
    pomona(*words)
    break_off(data)
    earlier = parts(data)
    make_photos(photos, 40, first=1000, classes=("apple",))
    pomona(*words, "--resume", *on_spark(local4), env=environment(local4))
    assert record(data)["counts"]["reused"] == 60
    assert not set(parts(data)) & set(earlier)
    words[2] = tmp_path / "expected"
    pomona(*words)
    assert_same_dataset(data, tmp_path / "expected")


def test_features_alone_leave_no_older_components_and_a_table_without_these_photos_is_told_of(pomona, local4, network,
                                                                                              tmp_path):
    photos = make_photos(tmp_path / "photos", 60)
    dest = tmp_path / "results"
    pomona("run", photos, dest, *words_for(network, "--no-model"))
    assert (dest / "reduced" / "_SUCCESS").exists()
    (tmp_path / "labels.csv").write_text("file,fruit\nnone.jpg,apple\n")
    done = pomona("run", photos, dest, *small(network), "--features-only", "--overwrite", "--labels", tmp_path / "labels.csv",
                  *on_spark(local4), env=environment(local4))
    assert record(dest / "features")["engine"]["name"] == "spark"
    assert not (dest / "reduced").exists()
    assert b"no photo has a label of" in done.stderr and b"such as " + os.fsencode(photos) in done.stderr


def test_a_list_of_paths_that_names_splits(pomona, local4, network, tmp_path):
    for split in ("Training", "Test"):
        make_photos(tmp_path / "photos" / split, 8)
    (tmp_path / "list").write_text("".join(f"{path}\n" for path in sorted((tmp_path / "photos").rglob("*.jpg"))))
    words = ["featurize", "--paths-from", tmp_path / "list", tmp_path / "here", *small(network)]
    pomona(*words)
    words[3] = tmp_path / "there"
    done = pomona(*words, *on_spark(local4), env=environment(local4))
    assert b"split column" not in done.stderr
    assert_same_dataset(tmp_path / "there", tmp_path / "here")


def test_a_killed_driver_leaves_what_a_resume_takes_over(pomona, local4, network, tmp_path):
    photos = make_photos(tmp_path / "photos", 900)
    flags = [*small(network), "--rows-per-file", "16"]
    data = tmp_path / "data"
    process = pomona.start("featurize", photos, data, *flags, *on_spark(local4), env=environment(local4),
                           start_new_session=True)
    try:
        end = time.monotonic() + 120
        while len(list(data.glob("_temporary/*/done/*"))) < 5:
            assert time.monotonic() < end and process.poll() is None, "the job did not come to its parts"
            time.sleep(0.02)
        driver = next(int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_driver(pid, process.pid))
        os.kill(driver, signal.SIGKILL)
        assert process.wait(30) != 0
    finally:
        with_group(process)
    assert not (data / "_SUCCESS").exists() and not parts(data)
    announced = len(list(data.glob("_temporary/*/done/*")))
    pomona("featurize", photos, data, *flags, "--resume", *on_spark(local4), env=environment(local4))
    counts = record(data)["counts"]
    assert counts["written"] == 900 and counts["reused"] >= 16 * (announced - 3)
    pomona("featurize", photos, tmp_path / "expected", *flags)
    assert_same_dataset(data, tmp_path / "expected")
    assert len(parts(data)) == len(parts(tmp_path / "expected")) and not (data / "_temporary").exists()


def is_driver(pid, parent):
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return b"pomona.spark.launch" in words and int(stat[1]) == parent


def with_group(process):
    """Ends what the command started, which has a session of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(10)


def test_wrong_use_and_missing_things_say_what(pomona, local4, network, tmp_path):
    env = environment(local4)
    photos = make_photos(tmp_path / "photos", 4)
    def run(*words, code, **more):
        done = pomona(*words, code=code, env={**env, **more})
        return done.stderr.decode()
    said = run("featurize", tmp_path / "nowhere", tmp_path / "a", *small(network), *on_spark(local4), code=1)
    assert "nowhere" in said and "Traceback" not in said and "No such file" in said
    said = run("run", photos, tmp_path / "b", *small(network), "-k", "900", "--no-report", *on_spark(local4), code=2)
    assert "900" in said
    assert (tmp_path / "b" / "features" / "_SUCCESS").exists(), "features stand though the PCA was asked for wrongly"
    said = run("featurize", photos, tmp_path / "c", *small(network), *on_spark(local4), "--spark-conf", "nonsense", code=2)
    assert "key=value" in said
    said = run("featurize", photos, tmp_path / "d", *small(network), *on_spark(local4), code=1,
               POMONA_PYTHON="/usr/bin/python3", PYTHONPATH=os.environ.get("PYTHONPATH", ""))
    assert "pip install" in said or "No module named" in said
