# SPDX-License-Identifier: Apache-2.0
"""`pomona featurize`: what a dataset looks like, which photos are taken, and how the command ends."""
import csv
import io
import os
import re
import shutil
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine_support import (make_network, make_photo, make_photos, parts, record, rejects, small, table, vectors)

PART = re.compile(r"part-\d{5}-[0-9a-f]{16}\.snappy\.parquet$")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_network(tmp_path_factory.mktemp("network") / "net.onnx", d=24)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos") / "photos", 60)


def test_layout_and_schema(pomona, network, photos, tmp_path):
    make_photo(photos.parent / "with-bad" / "a" / "good.jpg", 1)
    (photos.parent / "with-bad" / "a" / "bad.jpg").write_bytes(b"not a photo")
    dest = tmp_path / "features"
    done = pomona("featurize", photos, photos.parent / "with-bad", dest, *small(network), "--rows-per-file", "25",
                  "--max-reject-rate", "0.5")
    assert b"61 rows x 24" in done.stdout and b"rejected  1" in done.stdout

    assert sorted(p.name for p in dest.iterdir() if not p.name.startswith("part-")) == \
        ["_SUCCESS", "_moments.bin", "_rejects", "_run.json"]
    assert (dest / "_SUCCESS").read_bytes() == b""
    assert [PART.match(p) is not None for p in parts(dest)] == [True] * 3
    assert [pq.read_metadata(dest / p).num_rows for p in parts(dest)] == [25, 25, 11]
    assert pq.read_metadata(dest / parts(dest)[0]).row_group(0).column(0).compression == "SNAPPY"
    [reject_file] = (dest / "_rejects").iterdir()
    assert reject_file.name.startswith("part-00002-")

    found = table(dest)
    assert found.schema.names == ["path", "label", "width", "height", "content_hash", "features"]
    assert found.schema.types == [pa.string(), pa.string(), pa.int32(), pa.int32(), pa.binary(16),
                                  pa.list_(pa.field("element", pa.float32()), 24)] or \
        found.schema.field("features").type.list_size == 24
    assert pa.types.is_fixed_size_list(found.schema.field("features").type)
    assert found.schema.field("features").type.value_type == pa.float32()
    for name in ("path", "width", "height", "content_hash", "features"):
        assert found[name].null_count == 0
    assert found["width"].to_pylist() == [48] * 61

    order = sorted(photos.rglob("*.jpg")) + [photos.parent / "with-bad" / "a" / "good.jpg"]
    assert found["path"].to_pylist() == [str(p) for p in order]
    assert found["label"].to_pylist() == [p.parent.name for p in order]

    run = record(dest)
    assert run["counts"] == {"listed": 62, "written": 61, "rejected": 1, "computed": 60, "reused": 0,
                             "identical": 1}, "two photos have the same bytes"
    assert run["schema"]["d"] == 24 and run["fingerprint"]["precision"] == "f32"
    assert [p["rows"] for p in run["parts"]] == [25, 25, 11]
    assert {"decode", "resize", "featurize", "hash", "read", "write"} <= run["stages"].keys()
    assert run["timeline"] and run["invocation"][:2] == ["pomona", "featurize"]
    [row] = rejects(dest)
    assert row["path"].endswith("with-bad/a/bad.jpg") and row["stage"] == "decode" and row["bytes"] == 11
    shutil.rmtree(photos.parent / "with-bad")


def test_same_content_same_hash_and_vector(pomona, network, tmp_path):
    make_photo(tmp_path / "in" / "a.jpg", 1)
    shutil.copy(tmp_path / "in" / "a.jpg", tmp_path / "in" / "b.jpg")
    make_photo(tmp_path / "in" / "c.jpg", 2)
    pomona("featurize", tmp_path / "in", tmp_path / "out", *small(network))
    a, b, c = table(tmp_path / "out")["content_hash"].to_pylist()
    assert a == b != c
    x = vectors(tmp_path / "out")
    assert (x[0] == x[1]).all() and (x[0] != x[2]).any()


def test_bytes_per_file(pomona, network, photos, tmp_path):
    pomona("featurize", photos, tmp_path / "out", *small(network), "--bytes-per-file", "2kb")  # 20 x 24 x 4
    assert len(parts(tmp_path / "out")) == 3


def test_csv(pomona, network, photos, tmp_path):
    pomona("featurize", photos, tmp_path / "out", *small(network), "--format", "csv", "--limit", "10")
    pomona("featurize", photos, tmp_path / "parquet", *small(network), "--limit", "10")
    [part] = parts(tmp_path / "out")
    assert re.match(r"part-00000-[0-9a-f]{16}\.csv$", part)
    rows = list(csv.reader(io.StringIO((tmp_path / "out" / part).read_text(), newline="")))
    assert rows[0] == ["path", "label"] + [f"f{i}" for i in range(24)]
    assert [r[0] for r in rows[1:]] == table(tmp_path / "parquet")["path"].to_pylist()
    assert (np.array([r[2:] for r in rows[1:]], np.float32) == vectors(tmp_path / "parquet")).all()


@pytest.mark.parametrize("labels, header", [("none", ["path", "features"]), ("folder", ["path", "label", "features"])])
def test_packed_csv(pomona, network, photos, tmp_path, labels, header):
    words = ["featurize", photos, tmp_path / "out", *small(network), "--limit", "7"]
    pomona(*words, "--format", "csv", "--csv-layout", "packed", "--labels", labels)
    [part] = parts(tmp_path / "out")
    rows = list(csv.reader(io.StringIO((tmp_path / "out" / part).read_text(), newline="")))
    assert rows[0] == header
    pomona("featurize", photos, tmp_path / "parquet", *small(network), "--limit", "7")
    assert (np.array([eval(r[-1]) for r in rows[1:]], np.float32) == vectors(tmp_path / "parquet")).all()
    # It is a dataset like any other.
    pomona("reduce", tmp_path / "out", tmp_path / "reduced", "-k", "2", "-q")
    assert vectors(tmp_path / "reduced", "components").shape == (7, 2)


def test_packed_needs_csv(pomona, network, photos, tmp_path):
    done = pomona("featurize", photos, tmp_path / "out", *small(network), "--csv-layout", "packed", code=2)
    assert b"--format csv" in done.stderr and not (tmp_path / "out").exists()


def test_several_sources_and_a_single_file(pomona, network, photos, tmp_path):
    make_photo(tmp_path / "more" / "plum" / "x.png", 5, kind="PNG")
    one = sorted(photos.rglob("*.jpg"))[7]
    pomona("featurize", photos / "pear", tmp_path / "more", one, tmp_path / "out", *small(network))
    expected = sorted((photos / "pear").iterdir()) + [tmp_path / "more" / "plum" / "x.png", one]
    assert table(tmp_path / "out")["path"].to_pylist() == [str(p) for p in expected]


def test_relative_source_gives_absolute_paths(pomona, network, photos, tmp_path):
    pomona("featurize", "photos/apple/", tmp_path / "out", *small(network), "--limit", "2", cwd=photos.parent)
    assert table(tmp_path / "out")["path"].to_pylist() == [str(photos / "apple" / f"0000{i}.jpg") for i in (0, 2)]


def test_glob_and_limit(pomona, network, photos, tmp_path):
    pomona("featurize", photos, tmp_path / "out", *small(network), "--glob", "*[05].jpg", "--limit", "5")
    names = [os.path.basename(p) for p in table(tmp_path / "out")["path"].to_pylist()]
    assert names == ["00000.jpg", "00010.jpg", "00020.jpg", "00030.jpg", "00040.jpg"]


@pytest.mark.parametrize("separator", ["\n", "\0"])
@pytest.mark.parametrize("place", ["file", "stdin"])
def test_paths_from(pomona, network, photos, tmp_path, separator, place):
    chosen = [str(p) for p in sorted(photos.rglob("*.jpg"))[10:4:-1]]
    text = (separator.join(chosen) + separator).encode()
    words = [tmp_path / "out", *small(network)]
    if place == "file":
        (tmp_path / "list").write_bytes(text)
        pomona("featurize", "--paths-from", tmp_path / "list", *words)
    else:
        pomona("featurize", "--paths-from", "-", *words, input=text)
    assert table(tmp_path / "out")["path"].to_pylist() == chosen  # the list's order
    assert table(tmp_path / "out")["label"].to_pylist() == [p.split("/")[-2] for p in chosen]


def test_a_list_that_names_a_photo_again(pomona, network, photos, tmp_path):
    """It counts as often as it is named, which is said: a list put together of two may not mean it."""
    one, other = sorted(photos.rglob("*.jpg"))[:2]
    words = ["featurize", "--paths-from", "-", tmp_path / "out", *small(network), "--overwrite"]
    again = [one, other, one, one.parent / "." / one.name, f"{one.parent}/./{one.name}"]
    done = pomona(*words, input="\n".join(map(str, again)).encode())
    assert b"warning: 3 of 5 paths of the list name a photo that an earlier one named" in done.stderr
    assert len(table(tmp_path / "out")) == 5
    done = pomona(*words, input=f"{one}\n{other}\n".encode())
    assert b"warning" not in done.stderr


def test_labels_none(pomona, network, photos, tmp_path):
    pomona("featurize", photos, tmp_path / "out", *small(network), "--labels", "none", "--limit", "3")
    assert "label" not in table(tmp_path / "out").column_names


def test_labels_from_a_table(pomona, network, photos, tmp_path):
    (tmp_path / "labels.csv").write_text('file,weight,kind\n00000.jpg,7,"red, sweet"\napple/00002.jpg,9,green\n')
    words = ["featurize", photos / "apple", tmp_path / "out", *small(network), "--limit", "3"]
    pomona(*words, "--labels", f"{tmp_path / 'labels.csv'}:kind")
    assert table(tmp_path / "out")["label"].to_pylist() == ["red, sweet", "green", None]
    done = pomona(*words, "--overwrite", "--labels", f"{tmp_path / 'labels.csv'}:colour", code=2)
    assert b"no column 'colour'" in done.stderr and b"kind" in done.stderr
    assert (tmp_path / "out" / "_SUCCESS").exists()  # nothing was replaced by a run that could not begin


def test_split_column(pomona, network, tmp_path):
    for i, folder in enumerate(["Training/apple", "Test/apple", "Validation/pear", "Test"]):
        make_photo(tmp_path / "set" / folder / "p.jpg", i)
    pomona("featurize", tmp_path / "set", tmp_path / "out", *small(network))
    rows = table(tmp_path / "out").to_pylist()
    found = {os.path.relpath(r["path"], tmp_path / "set"): (r["label"], r["split"]) for r in rows}
    assert found == {"Test/apple/p.jpg": ("apple", "Test"), "Test/p.jpg": (None, "Test"),
                     "Training/apple/p.jpg": ("apple", "Training"), "Validation/pear/p.jpg": ("pear", "Validation")}


def test_split_seen_late(pomona, network, tmp_path):
    """A split folder that comes after many photos without one still gets its column."""
    make_photos(tmp_path / "set" / "A", 300, classes=("x",))
    make_photo(tmp_path / "set" / "Test" / "y" / "p.jpg", 1)
    pomona("featurize", tmp_path / "set", tmp_path / "out", *small(network))
    rows = table(tmp_path / "out").to_pylist()
    assert len(rows) == 301
    assert rows[-1]["split"] == "Test" and rows[0]["split"] is None


ODD = ["with space.jpg", "new\nline.jpg", "quote\"s'.jpg", "100% sure.jpg", "комма, и.jpg", "-dash.jpg", "a\\b.jpg"]


def test_odd_names(pomona, network, tmp_path):
    folder = tmp_path / "in" / "my class"
    for i, name in enumerate(ODD):
        make_photo(folder / name, i)
    pomona("featurize", tmp_path / "in", tmp_path / "out", *small(network))
    assert table(tmp_path / "out")["path"].to_pylist() == [str(p) for p in sorted(folder.iterdir(), key=os.fsencode)]
    pomona("featurize", tmp_path / "in", tmp_path / "csv", *small(network), "--format", "csv")
    text = (tmp_path / "csv" / parts(tmp_path / "csv")[0]).read_bytes().decode()
    assert [r[0] for r in csv.reader(io.StringIO(text, newline=""))][1:] == table(tmp_path / "out")["path"].to_pylist()


def test_names_that_are_not_utf8(pomona, network, tmp_path):
    folder = os.fsencode(tmp_path / "in")
    make_photo(tmp_path / "in" / "plain.jpg", 1)
    make_photo(os.fsdecode(folder + b"/caf\xe9 %41.jpg"), 2)
    with open(folder + b"/bad\xff.jpg", "wb") as file:
        file.write(b"\xff\xd8\xff but no photo")
    pomona("featurize", tmp_path / "in", tmp_path / "out", *small(network), "--max-reject-rate", "0.5")
    assert [os.path.basename(p) for p in table(tmp_path / "out")["path"].to_pylist()] == ["caf%E9 %2541.jpg", "plain.jpg"]
    [row] = rejects(tmp_path / "out")
    assert row["path"].endswith("/bad%FF.jpg") and row["path_bytes"] == folder + b"/bad\xff.jpg"


def test_refuses_to_overwrite(pomona, network, photos, tmp_path):
    words = ["featurize", photos, tmp_path / "out", *small(network), "--limit", "4"]
    pomona(*words)
    before = {p: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.is_file()}
    done = pomona(*words, code=1)
    assert b"--overwrite" in done.stderr and b"--resume" in done.stderr
    assert {p: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.is_file()} == before
    pomona(*words[:-1], "6", "--overwrite")
    assert table(tmp_path / "out").num_rows == 6 and len(parts(tmp_path / "out")) == 1


def test_a_folder_of_other_files_is_left_alone(pomona, network, photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    for flag in ([], ["--overwrite"], ["--resume"]):
        done = pomona("featurize", photos, tmp_path / "out", *small(network), "--limit", "2", *flag, code=1)
        assert b"not a Pomona dataset" in done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_exit_codes(pomona, network, photos, tmp_path):
    out = tmp_path / "out"
    assert b"--glob" in pomona("featurize", "--help").stdout
    pomona("--version")
    for words in (["featurise"], [], ["featurize"], ["featurize", photos, out, "--no-such-flag"],
                  ["featurize", photos, out, "--threads", "x"], ["featurize", photos, out, "--pool", "median"],
                  ["featurize", photos, out, "--model", network], ["featurize", out],
                  ["featurize", photos, out, *small(network), "--bytes-per-file", "many"]):
        done = pomona(*words, code=2)
        assert done.stderr.startswith(b"pomona: ") or done.stderr, words
    for words in (["featurize", tmp_path / "nowhere", out, *small(network)],
                  ["featurize", photos, out, "--model", tmp_path / "no.onnx", "--preprocess", "tf"],
                  ["featurize", photos, out, *small(network), "--glob", "*.gif"]):
        done = pomona(*words, code=1)
        assert done.stderr.startswith(b"pomona: ") and done.stderr.count(b"\n") <= 2, done.stderr
    assert not (out / "_SUCCESS").exists()
    make_photos(tmp_path / "in", 9)
    (tmp_path / "in" / "apple" / "zz.jpg").write_bytes(b"x")
    done = pomona("featurize", tmp_path / "in", tmp_path / "one", *small(network), code=3)
    assert b"1 of 10 photos were rejected" in done.stderr
    assert (tmp_path / "one" / "_SUCCESS").exists()
    pomona("featurize", tmp_path / "in", tmp_path / "two", *small(network), "--max-reject-rate", "0.1")


def test_file_uris(pomona, network, tmp_path):
    photos = make_photos(tmp_path / "my photos", 4)
    uri = photos.as_uri()
    assert "%20" in uri
    pomona("featurize", photos, tmp_path / "expected", *small(network))
    expected = table(tmp_path / "expected")
    pomona("featurize", uri, (tmp_path / "out").as_uri(), *small(network))
    assert table(tmp_path / "out").equals(expected)
    listed = "".join(f"{p.as_uri()}\n" for p in sorted(photos.rglob("*.jpg")))
    pomona("featurize", "--paths-from", "-", tmp_path / "listed", *small(network), input=listed.encode())
    assert table(tmp_path / "listed").equals(expected)


def test_a_label_table_that_find_made(pomona, network, photos, tmp_path):
    (tmp_path / "labels.csv").write_text("path,kind\n./apple/00000.jpg,red\n")
    words = ["featurize", photos, tmp_path / "out", *small(network), "--limit", "2"]
    done = pomona(*words, "--labels", tmp_path / "labels.csv")
    assert table(tmp_path / "out")["label"].to_pylist() == ["red", None] and b"warning" not in done.stderr


def test_a_label_table_of_other_photos(pomona, network, photos, tmp_path):
    (tmp_path / "labels.csv").write_text("path,kind\nplum/00000.jpg,red\n")
    done = pomona("featurize", photos, tmp_path / "out", *small(network), "--labels", tmp_path / "labels.csv")
    assert b"no photo has a label of " in done.stderr and str(photos / "apple" / "00000.jpg").encode() in done.stderr


def test_a_list_that_comes_in_small_pieces(pomona, network, photos, tmp_path):
    """Half a path says nothing yet of what parts the paths."""
    first, second = sorted(photos.rglob("*.jpg"))[:2]
    process = pomona.start("featurize", "--paths-from", "-", tmp_path / "out", *small(network), stdin=subprocess.PIPE)
    for piece in (str(first)[:9], str(first)[9:], "\0" + str(second) + "\0"):
        process.stdin.write(piece.encode())
        process.stdin.flush()
        time.sleep(0.5)
    process.stdin.close()
    assert process.wait(60) == 0
    assert table(tmp_path / "out")["path"].to_pylist() == [str(first), str(second)]


def test_a_table_that_excel_saved(pomona, network, photos, tmp_path):
    """It begins with a byte order mark; the paths are there all the same."""
    pomona("featurize", photos, tmp_path / "csv", *small(network), "--format", "csv")
    saved = tmp_path / "saved.csv"
    saved.write_bytes(b"\xef\xbb\xbf" + (tmp_path / "csv" / parts(tmp_path / "csv")[0]).read_bytes())
    pomona("reduce", saved, tmp_path / "reduced", "-k", "2", "-q")
    paths = [str(p) for p in sorted(photos.rglob("*.jpg"))]
    assert table(tmp_path / "reduced")["path"].to_pylist() == paths
