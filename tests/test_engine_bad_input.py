# SPDX-License-Identifier: Apache-2.0
"""Bad photos become rows of _rejects/ with a reason, and the job goes on; a full disk ends it cleanly."""
import os
import shutil
import struct
import subprocess
import time
import zlib

import pytest

from engine_support import (assert_same_dataset, make_network, make_photo, make_photos, parts, record, rejects, small,
                            table)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_network(tmp_path_factory.mktemp("network") / "net.onnx", d=24)


def png_that_declares(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def lying_jpeg(data):
    """A JPEG whose header says 4,000 x 4,000 where there is data for 48 x 48."""
    at = data.index(b"\xff\xc0")
    return data[:at + 5] + struct.pack(">HH", 4000, 4000) + data[at + 9:]


def test_every_kind_of_bad_photo(pomona, network, tmp_path):
    folder = tmp_path / "in"
    for i in range(12):
        make_photo(folder / f"good{i:02d}.jpg", i)
    good = (folder / "good00.jpg").read_bytes()
    make_photo(folder / "good12.png", 40, kind="PNG")
    png = (folder / "good12.png").read_bytes()
    bad = {
        "empty.jpg": b"",
        "one-byte.jpg": b"\xff",
        "header-only.jpg": good[:20],
        "truncated.jpg": good[:len(good) // 2],
        "truncated.png": png[:len(png) // 2],
        "text.jpg": b"<html>404 not found</html>",
        "lying.jpg": lying_jpeg(good),
        "huge.png": png_that_declares(60000, 60000),
        "zero-wide.png": png_that_declares(0, 5),
        "short-data.png": png_that_declares(300, 300),
        "bad-crc.png": png[:60] + bytes([png[60] ^ 0xff]) + png[61:],
        "zeros.jpg": bytes(5000),
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    os.symlink("nowhere.jpg", folder / "dangling.jpg")
    os.symlink("circle.jpg", folder / "circle.jpg")
    make_photo(folder / "inner.jpg" / "good13.jpg", 60)  # a folder named like a photo is a folder all the same
    expected = set(bad) | {"folder.jpg", "pipe.jpg", "dangling.jpg", "circle.jpg"}

    done = pomona("run", folder, tmp_path / "out", *small(network), "-k", "3", code=3, timeout=60)
    assert b"--max-reject-rate" in done.stderr
    found = {os.path.basename(r["path"]): r for r in rejects(tmp_path / "out" / "features")}
    assert set(found) == expected
    counts = record(tmp_path / "out" / "features")["counts"]
    assert counts["listed"] == counts["written"] + counts["rejected"]
    assert counts["written"] == 14 and counts["rejected"] == len(expected)
    assert (tmp_path / "out" / "features" / "_SUCCESS").exists() and (tmp_path / "out" / "reduced" / "_SUCCESS").exists()
    for name, words in {"empty.jpg": "empty", "truncated.jpg": "", "text.jpg": "web page", "huge.png": "60",
                        "folder.jpg": "folder", "pipe.jpg": "regular", "dangling.jpg": "gone",
                        "circle.jpg": "circle"}.items():
        reason = found[name]["reason"]
        assert words in reason and len(reason) > 8 and "\n" not in reason, (name, reason)
    assert all(r["stage"] in ("list", "read", "decode") for r in found.values())
    assert found["text.jpg"]["bytes"] == len(bad["text.jpg"]) and found["empty.jpg"]["bytes"] == 0
    # The good ones are as if the bad were not there.
    for name in expected:
        path = folder / name
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    pomona("featurize", folder, tmp_path / "clean", *small(network))
    assert table(tmp_path / "clean").equals(table(tmp_path / "out" / "features"))


def test_only_bad_photos(pomona, network, tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(5):
        (tmp_path / "in" / f"{i}.jpg").write_bytes(b"no")
    pomona("run", tmp_path / "in", tmp_path / "out", *small(network), code=3)
    counts = record(tmp_path / "out" / "features")["counts"]
    assert (counts["listed"], counts["written"], counts["rejected"]) == (5, 0, 5)
    assert parts(tmp_path / "out" / "features") == [] and len(rejects(tmp_path / "out" / "features")) == 5


def test_one_good_photo_before_many_bad_ones(pomona, network, tmp_path):
    """The good one waits for a full batch that never comes; the listing must not wait for it in turn."""
    make_photo(tmp_path / "in" / "0.jpg", 1)
    for i in range(800):
        (tmp_path / "in" / f"bad{i:03d}.jpg").write_bytes(b"no")
    pomona("featurize", tmp_path / "in", tmp_path / "out", *small(network), "--rows-per-file", "16", "--threads", "1",
           code=3, timeout=60)
    assert record(tmp_path / "out")["counts"]["rejected"] == 800


def test_paths_that_are_not_there(pomona, network, tmp_path):
    make_photo(tmp_path / "a.jpg", 1)
    (tmp_path / "list").write_text(f"{tmp_path}/a.jpg\n{tmp_path}/gone.jpg\n{tmp_path}/a.jpg/b.jpg\n{tmp_path}\n")
    pomona("featurize", "--paths-from", tmp_path / "list", tmp_path / "out", *small(network), code=3)
    assert [r["path"].removeprefix(str(tmp_path)) for r in rejects(tmp_path / "out")] == ["/gone.jpg", "/a.jpg/b.jpg", ""]
    assert "gone" in rejects(tmp_path / "out")[0]["reason"]


def test_photos_that_change_under_the_run(pomona, tmp_path):
    """Deleted and overwritten while the default network is busy: rows or rejects, never a crash, none lost."""
    folder = make_photos(tmp_path / "in", 600, classes=("a",))
    process = pomona.start("featurize", folder, tmp_path / "out", "--input-size", "96", "-q", "--threads", "1",
                           "--rows-per-file", "16", "--max-reject-rate", "1", stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("out/_temporary/*/part-*.json")) and process.poll() is None:
        time.sleep(0.005)
    for i in range(599, 300, -2):
        (folder / "a" / f"{i:05d}.jpg").unlink(missing_ok=True)
        (folder / "a" / f"{i - 1:05d}.jpg").write_bytes(b"overwritten")
    assert process.wait(120) == 0
    counts = record(tmp_path / "out")["counts"]
    assert counts["listed"] == 600 == counts["written"] + counts["rejected"]
    reasons = {r["reason"] for r in rejects(tmp_path / "out")}
    assert counts["rejected"] > 0 and any("gone" in r or "changed" in r for r in reasons), reasons


def as_nobody(pomona, words, **options):
    """Root reads everything: run as somebody who may not."""
    if os.geteuid() != 0:
        return pomona(*words, **options)
    home = options.pop("home")
    return pomona(*words, user=65534, group=65534, extra_groups=[],
                  env={**os.environ, "HOME": str(home), "POMONA_HOME": str(home / "pomona")}, **options)


@pytest.fixture
def open_folder():
    """A folder anybody may enter: pytest's own are closed to others."""
    import tempfile
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        import pathlib
        yield pathlib.Path(name)


def usable_by_nobody(pomona):
    if os.geteuid() != 0:
        return True
    done = subprocess.run([pomona.path, "--version"], user=65534, group=65534, extra_groups=[], capture_output=True)
    return done.returncode == 0


def test_no_permission(pomona, network, open_folder):
    shutil.copy(network, open_folder / "net.onnx")
    make_photo(open_folder / "in" / "a.jpg", 1)
    make_photo(open_folder / "in" / "closed.jpg", 2)
    make_photo(open_folder / "in" / "locked" / "b.jpg", 3)
    home = open_folder / "home"
    home.mkdir(mode=0o777)
    os.chmod(home, 0o777)
    os.chmod(open_folder / "net.onnx", 0o644)
    os.chmod(open_folder / "in" / "closed.jpg", 0)
    os.chmod(open_folder / "in" / "locked", 0)
    try:
        try:
            if not usable_by_nobody(pomona):
                pytest.skip("the command stands where only root can run it")
        except PermissionError:
            pytest.skip("the command stands where only root can run it")
        as_nobody(pomona, ["featurize", open_folder / "in", home / "out", *small(open_folder / "net.onnx")], home=home,
                  code=3)
        found = {os.path.basename(r["path"]): r["reason"] for r in rejects(home / "out")}
        assert set(found) == {"closed.jpg", "locked"}
        assert all("no permission" in reason for reason in found.values())
        assert table(home / "out").num_rows == 1
        # A place that may not be written to is said at once.
        os.chmod(open_folder / "in", 0o555)
        done = as_nobody(pomona, ["featurize", open_folder / "in", open_folder / "in" / "out",
                                  *small(open_folder / "net.onnx")], home=home, code=1)
        assert b"ermission denied" in done.stderr and b"/in/out" in done.stderr
    finally:
        os.chmod(open_folder / "in", 0o755)
        os.chmod(open_folder / "in" / "locked", 0o755)


def test_dest_that_is_a_file(pomona, network, tmp_path):
    make_photo(tmp_path / "in" / "a.jpg", 1)
    (tmp_path / "out").write_text("a file")
    done = pomona("featurize", tmp_path / "in", tmp_path / "out", *small(network), code=2)
    assert b"out is a file" in done.stderr and (tmp_path / "out").read_text() == "a file"


def test_full_disk(pomona, mount_disk, tmp_path):
    small_disk = mount_disk("300k")
    folder = make_photos(tmp_path / "in", 300)
    network = make_network(tmp_path / "wide.onnx", d=512)
    dest = small_disk / "out"
    words = ["featurize", folder, dest, *small(network), "--rows-per-file", "32"]
    pomona(*words[:2], tmp_path / "expected", *words[3:])
    (small_disk / "ballast").write_bytes(bytes(100_000))
    done = pomona(*words, code=1, timeout=60)
    text = done.stderr.decode()
    assert "No space left" in text and "internal" not in text and text.count("\n") <= 3, text
    assert not (dest / "_SUCCESS").exists()
    kept = len(list(dest.glob("_temporary/*/part-*.json")))
    assert kept >= 1 and len(parts(dest)) >= kept
    # Still full: the same again, nothing lost.
    pomona(*words, "--resume", code=1, timeout=60)
    assert len(list(dest.glob("_temporary/*/part-*.json"))) >= kept
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    pomona(*words, "--resume", timeout=60)
    assert record(dest)["counts"]["reused"] >= 32 * kept
    assert_same_dataset(dest, tmp_path / "expected")
