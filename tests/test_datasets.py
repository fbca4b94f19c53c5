# SPDX-License-Identifier: Apache-2.0
"""Sample photos as the command makes them, looked at by Pillow; and what a failed pull leaves."""
import collections
import io
import os
import pathlib

import pytest
from PIL import Image

STAMPS = pathlib.Path("/usr/share/tuxpaint/stamps/food/fruit")
needs_stamps = pytest.mark.skipif(not STAMPS.is_dir(), reason="Debian's tuxpaint-stamps-default is not installed")


def photos(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*.jpg"))


def is_plain_jpeg(data):
    """Baseline JPEG with JFIF as its only application segment and no comment."""
    markers, at = [], 2
    while data[at + 1] != 0xDA:
        markers.append(data[at + 1])
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0xC0 in markers and [m for m in markers if 0xE0 <= m <= 0xEF or m == 0xFE] == [0xE0]


@needs_stamps
def test_turntable_looks_like_fruits_360(pomona, tmp_path):
    shown = pomona("datasets", "make", "turntable", tmp_path / "set", "--count", "616").stdout.decode()
    assert "616 photos of 44" in shown and "shows that the chain runs" in shown
    found = photos(tmp_path / "set")
    assert len(found) == 616
    splits = collections.Counter(path.parts[0] for path in found)
    assert splits == {"Training": 462, "Test": 154}
    assert set(collections.Counter(path.parts[1] for path in found).values()) == {14}

    for path in found:
        data = (tmp_path / "set" / path).read_bytes()
        assert is_plain_jpeg(data), path
        with Image.open(io.BytesIO(data)) as photo:
            photo.load()
            assert (photo.size, photo.mode, photo.format) == ((100, 100), "RGB", "JPEG")
            assert not photo.getexif()
            dark = photo.convert("L").point(lambda value: 255 if value < 235 else 0)
        left, top, right, bottom = dark.getbbox()
        assert max(right - left, bottom - top) > 60, f"{path}: the fruit is small"
        # White paper: most of the border has no fruit on it.
        border = [dark.getpixel((x, y)) for x in range(100) for y in (0, 99)]
        border += [dark.getpixel((x, y)) for y in range(100) for x in (0, 99)]
        assert sum(value > 0 for value in border) < 0.4 * len(border), f"{path}: no white around the fruit"


@needs_stamps
def test_turntable_turns(pomona, tmp_path):
    """Half a turn apart, a fruit is seen turned by 180 degrees."""
    pomona("datasets", "make", "turntable", tmp_path / "set", "--count", str(44 * 16))

    def frame(name, index):
        path = next((tmp_path / "set").glob(f"*/{name}/{index}_100.jpg"))
        with Image.open(path) as photo:
            grey = photo.convert("L").point(lambda value: 255 - value)
        box = grey.point(lambda value: 255 if value > 20 else 0).getbbox()
        return grey.crop(box).resize((32, 32))

    def difference(one, two):
        return sum(abs(a - b) for a, b in zip(one.tobytes(), two.tobytes())) / (32 * 32)

    for name in ("Banana", "Carrot", "Chile Pepper", "Pineapple", "Corn"):
        first, half = frame(name, 0), frame(name, 8)
        assert difference(first.rotate(180), half) < 0.5 * difference(first, half), name


@needs_stamps
def test_turntable_is_the_same_for_any_threads(pomona, tmp_path):
    for threads in ("1", "7"):
        pomona("datasets", "make", "turntable", tmp_path / threads, "--count", "90", "--threads", threads, "-q")
    one, seven = tmp_path / "1", tmp_path / "7"
    assert photos(one) == photos(seven) and len(photos(one)) == 90
    assert all((one / path).read_bytes() == (seven / path).read_bytes() for path in photos(one))
    again = pomona("datasets", "make", "turntable", one, "--count", "90").stdout.decode()
    assert "90 were there already" in again


@needs_stamps
def test_turntable_original_sizes(pomona, tmp_path):
    pomona("datasets", "make", "turntable", tmp_path / "set", "--count", "50", "--sizes", "original", "--seed", "3")
    sizes = []
    for path in photos(tmp_path / "set"):
        data = (tmp_path / "set" / path).read_bytes()
        assert is_plain_jpeg(data)
        with Image.open(io.BytesIO(data)) as photo:
            photo.load()
            sizes.append(photo.size)
    longer = [max(size) for size in sizes]
    assert len(sizes) == 50 and len(set(sizes)) > 40
    assert min(longer) >= 200 and max(longer) <= 2800
    assert min(longer) < 400 and max(width * height for width, height in sizes) > 2_000_000


@needs_stamps
def test_turntable_never_overwrites(pomona, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    refused = pomona("datasets", "make", "turntable", mine, "--count", "5", code=1)
    assert b"name an empty or new folder" in refused.stderr
    assert os.listdir(mine) == ["letter.txt"]
    pomona("datasets", "make", "turntable", tmp_path / "set", "--count", "5")
    assert b"other options" in pomona("datasets", "make", "turntable", tmp_path / "set", "--count", "6", code=1).stderr
    assert len(photos(tmp_path / "set")) == 5


def test_wrong_use(pomona, tmp_path):
    for words in (["make", "carousel", "x"], ["make", "turntable", "x", "--count", "0"],
                  ["make", "turntable", "x", "--sizes", "huge"], ["make", "turntable"], ["pull", "fruits", "x"], []):
        pomona("datasets", *words, code=2, cwd=tmp_path)
    assert os.listdir(tmp_path) == []


def test_list(pomona):
    shown = pomona("datasets", "list").stdout.decode()
    for name in ("turntable", "fruits-360", "fruits-360-original-size", "CC BY-SA 4.0"):
        assert name in shown


def test_pull_without_a_network_leaves_nothing(pomona, tmp_path):
    nowhere = "http://127.0.0.1:9"  # the discard port: nothing listens there
    environment = dict(os.environ, POMONA_HOME=str(tmp_path / "home"), https_proxy=nowhere, HTTPS_PROXY=nowhere,
                       no_proxy="", NO_PROXY="")
    failed = pomona("datasets", "pull", "fruits-360", tmp_path / "fruits", code=1, env=environment, timeout=60)
    assert b"fruits-360-100x100" in failed.stderr
    assert not (tmp_path / "fruits").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "photo.jpg").write_text("mine")
    there = pomona("datasets", "pull", "fruits-360", mine, code=1, env=environment, timeout=60)
    assert b"already" in there.stderr and os.listdir(mine) == ["photo.jpg"]
