# SPDX-License-Identifier: Apache-2.0
"""`pomona contributions`: what is kept of a photo that someone sent, and how it goes again."""
import io
import json
import re
import shutil
import sqlite3
import subprocess
import time

import pyarrow.csv
import pytest
from PIL import Image

from engine_support import make_network, make_photo, small

DAY = 86400
GPS, MAKE, ORIENTATION = 0x8825, 0x010F, 0x0112


def phone_photo(path, seed, orientation=6):
    """A JPEG as a phone makes it: device, place, orientation, a comment."""
    make_photo(path, seed, (60, 40))
    with Image.open(path) as image:
        exif = Image.Exif()
        exif[MAKE] = "PhoneMaker"
        exif[ORIENTATION] = orientation
        exif.get_ifd(GPS)[1] = "N"
        exif.get_ifd(GPS)[2] = (48.0, 51.0, 24.0)
        image.save(path, exif=exif, comment=b"my kitchen", quality=90)
    return path


def add(pomona, store, *photos, label="Apple"):
    done = pomona("contributions", "--folder", store, "add", *photos, "--label", label, "--consent", "2026-11", "--json")
    return json.loads(done.stdout)


def listed(pomona, store):
    return json.loads(pomona("contributions", "--folder", store, "list", "--json").stdout)


def make_older(store, days):
    with sqlite3.connect(store / "contributions.db") as database:
        database.execute("UPDATE contributions SET day = day - ?", (days,))
    database.close()


@pytest.fixture
def store(tmp_path):
    return tmp_path / "contributions"


def test_place_and_device_go_and_the_picture_stays(pomona, store, tmp_path):
    photo = phone_photo(tmp_path / "photo.jpg", 1)
    assert b"PhoneMaker" in photo.read_bytes()
    receipt = add(pomona, store, photo)[0]
    assert re.fullmatch(r"([0-9A-Z]{4}-){7}[0-9A-Z]{4}", receipt["code"])
    everything = b"".join(file.read_bytes() for file in store.iterdir())
    for word in (b"PhoneMaker", b"my kitchen", str(tmp_path).encode(), receipt["code"].encode()):
        assert word not in everything
    pomona("contributions", "--folder", store, "export", tmp_path / "out")
    kept = tmp_path / "out" / "Apple" / f"{receipt['id']}.jpg"
    with Image.open(kept) as a, Image.open(photo) as b:
        assert dict(a.getexif()) == {ORIENTATION: 6}
        assert a.tobytes() == b.tobytes()


def test_export_is_what_train_reads(pomona, store, tmp_path):
    network = make_network(tmp_path / "net.onnx", d=8)
    for label, first in (("Apple", 0), ("Lemon, small", 10)):
        photos = [phone_photo(tmp_path / "in" / f"{first + i}.jpg", first + i) for i in range(6)]
        add(pomona, store, *photos, label=label)
    out = tmp_path / "out"
    pomona("contributions", "--folder", store, "export", out)
    table = pyarrow.csv.read_csv(out / "labels.csv")
    assert table.column_names == ["path", "label"]
    assert sorted(set(table["label"].to_pylist())) == ["Apple", "Lemon, small"]
    for words in ([out], [out, "--labels", out / "labels.csv"], [store]):
        printed = pomona("train", *words, "-o", tmp_path / "m.onnx", "--overwrite", *small(network)).stdout.decode()
        assert "12 photos" in printed and "2 classes" in printed
    events = listed(pomona, store)["events"]
    assert [event["what"] for event in events] == ["export", "train"]
    again = pomona("contributions", "--folder", store, "export", out, code=1)
    assert b"another folder" in again.stderr


def test_a_code_deletes_and_names_what_was_made(pomona, store, tmp_path):
    receipts = add(pomona, store, phone_photo(tmp_path / "a.jpg", 1), phone_photo(tmp_path / "b.jpg", 2))
    pomona("contributions", "--folder", store, "export", tmp_path / "october")
    code = receipts[0]["code"]
    printed = pomona("contributions", "--folder", store, "delete", code.lower().replace("-", "")).stdout.decode()
    assert "Removed" in printed and f"dataset {tmp_path / 'october'}" in printed
    assert [one["id"] for one in listed(pomona, store)["contributions"]] == [receipts[1]["id"]]
    for wrong in (code, "0000-0000", "A" * 39):
        refused = pomona("contributions", "--folder", store, "delete", wrong, code=1)
        assert b"no photo has this code" in refused.stderr


def test_retention_by_both_commands(pomona, store, tmp_path):
    add(pomona, store, phone_photo(tmp_path / "a.jpg", 1), phone_photo(tmp_path / "b.jpg", 2))
    make_older(store, 14)
    add(pomona, store, phone_photo(tmp_path / "c.jpg", 3))
    dry = json.loads(pomona("contributions", "--folder", store, "purge", "--json").stdout)
    assert (dry["photos"], dry["kept"], dry["dry_run"]) == (2, 1, True)
    log = tmp_path / "purge.jsonl"
    dry = pomona("purge", tmp_path, "--log", log).stdout.decode()
    assert "would go" in dry and "2 photos" in dry and len(listed(pomona, store)["contributions"]) == 3
    pomona("purge", tmp_path, "--yes", "--log", log)
    line = json.loads(log.read_text().splitlines()[-1])
    assert line["what"] == "contributions" and line["photos"] == 2 and line["removed"]
    after = listed(pomona, store)
    assert len(after["contributions"]) == 1 and after["events"][-1]["what"] == "purge"
    make_older(store, 20)
    pomona("contributions", "--folder", store, "purge", "--yes")
    assert listed(pomona, store)["contributions"] == []


def test_bad_input_is_named_and_nothing_is_stored(pomona, store, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    done = pomona("contributions", "--folder", store, "add", text, "--label", "Apple", "--consent", "1", code=1)
    assert b"text.jpg" in done.stderr
    photo = phone_photo(tmp_path / "a.jpg", 1)
    pomona("contributions", "--folder", store, "add", photo, "--label", "Apple", code=2)
    pomona("contributions", "--folder", store, "add", photo, "--label", " ", "--consent", "1", code=2)
    assert listed(pomona, store)["contributions"] == []
    nothing = pomona("contributions", "--folder", tmp_path / "none", "list", code=1)
    assert b"no contributions" in nothing.stderr and not (tmp_path / "none").exists()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "contributions.db").write_bytes(b"x" * 5000)
    assert pomona("contributions", "--folder", tmp_path / "foreign", "list", code=1).stderr.startswith(b"pomona: ")


def test_other_formats_become_clean_jpegs(pomona, store, tmp_path):
    for i, kind in enumerate(("PNG", "WEBP")):
        make_photo(tmp_path / f"p.{kind.lower()}", i, (40, 30), kind)
        add(pomona, store, tmp_path / f"p.{kind.lower()}")
    pomona("contributions", "--folder", store, "export", tmp_path / "out")
    files = sorted((tmp_path / "out" / "Apple").iterdir())
    assert len(files) == 2
    for file in files:
        with Image.open(io.BytesIO(file.read_bytes())) as image:
            assert image.format == "JPEG" and image.size == (40, 30) and not dict(image.getexif())


def test_a_killed_writer_leaves_a_whole_store(pomona, store, tmp_path):
    photo = phone_photo(tmp_path / "a.jpg", 1)
    add(pomona, store, photo)
    for i in range(5):
        process = pomona.start("contributions", "--folder", store, "add", *[photo] * 200, "--label", "Apple", "--consent",
                               "1", stdout=subprocess.DEVNULL)
        time.sleep(0.05 + 0.03 * i)
        process.kill()
        process.wait()
    database = sqlite3.connect(store / "contributions.db")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert database.execute("SELECT count(*) FROM contributions").fetchone() == \
        database.execute("SELECT count(*) FROM photos").fetchone()
    database.close()
    count = len(listed(pomona, store)["contributions"])
    assert add(pomona, store, photo) and len(listed(pomona, store)["contributions"]) == count + 1
    shutil.rmtree(store)


def test_a_contributor_who_wants_to_be_counted(pomona, store, tmp_path):
    words = ["contributions", "--folder", store]
    name = pomona(*words, "pseudonym").stdout.decode().strip()
    other = json.loads(pomona(*words, "pseudonym", "--json").stdout)["pseudonym"]
    assert re.fullmatch(r"[a-z]+-[0-9a-f]{16}", name) and name != other
    photo = phone_photo(tmp_path / "photo.jpg", 1)
    given = ["add", photo, "--label", "Apple", "--consent", "1", "--pseudonym"]
    for count in (1, 2):
        pomona(*words, *given, name)
        assert {one["pseudonym"]: one["count"] for one in listed(pomona, store)["contributors"]} == {name: count, other: 0}
    assert "pseudonym" in pomona(*words, *given, "Jane Doe", code=2).stderr.decode(), "names are not chosen"
    pomona(*words, "forget", name)
    now = listed(pomona, store)
    assert [one["pseudonym"] for one in now["contributors"]] == [other]
    assert len(now["contributions"]) == 2 and not any("pseudonym" in one for one in now["contributions"])
    assert "contributions list" in pomona(*words, "forget", name, code=1).stderr.decode()
