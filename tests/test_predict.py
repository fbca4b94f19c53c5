# SPDX-License-Identifier: Apache-2.0
"""`pomona predict`, `similar` and `models info` as whole programs, with a model made for the test."""
import json
import os
import pathlib
import pty
import subprocess
import sys

import numpy as np
import pytest
from places import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests" / "oracle"))
POMONA = BUILD / "bin" / "pomona"
ORACLE = BUILD / "bin" / "pomona-modelfile-oracle"
pytestmark = pytest.mark.skipif(not POMONA.exists() or not ORACLE.exists(), reason=f"{BUILD}/bin is not built")
Image = pytest.importorskip("PIL.Image")
pytest.importorskip("onnx")
from test_modelfile import pictures, tiny_network  # noqa: E402

SIZE = 32


def run(*arguments, code=0, home=None, **options):
    env = {**os.environ, **({"POMONA_HOME": str(home)} if home else {})}
    done = subprocess.run([str(POMONA), *map(str, arguments)], capture_output=True, timeout=120, env=env, **options)
    assert done.returncode == code, done.stderr.decode()
    return done


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A network, a model trained on it, and 40 photos (PNG, so that pixels are exact) with one that is damaged."""
    folder = tmp_path_factory.mktemp("predict")
    network = tiny_network(folder / "tiny.onnx")
    training = pictures(60, SIZE, 3)
    (folder / "pixels").write_bytes(training.tobytes())
    made = subprocess.run(
        [ORACLE, "make", "--model", network, "--preprocess", "tf", "--input-size", str(SIZE), "--pixels",
         folder / "pixels", "--out", folder / "model.onnx", "--classes", "3", "--components", "5", "--unknown",
         "--head", "logistic:features", "--head", "forest:components"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    photos = folder / "photos"
    for i, pixels in enumerate(pictures(40, SIZE, 3, seed=9)):
        place = photos / f"class {i % 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def spoilt(world):
    folder = world / "spoilt"
    folder.mkdir()
    Image.fromarray(pictures(1, SIZE, 3)[0]).save(folder / "a.png")
    (folder / "b.jpg").write_bytes(b"\xff\xd8\xff not a photo")
    return folder


def lines(done):
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def test_lines_of_json_in_order(world):
    answers = lines(run("predict", world / "model.onnx", world / "photos"))
    assert len(answers) == 40
    assert [a["path"] for a in answers] == sorted(a["path"] for a in answers)
    for answer in answers:
        assert answer["label"] == pathlib.Path(answer["path"]).parent.name
        assert answer["top"][0] == {"label": answer["label"], "probability": answer["probability"]}
        assert len(answer["top"]) == 3 and answer["width"] == SIZE
        assert answer["targets"]["target 1"]["label"].startswith("class ")
        assert isinstance(answer["unknown"], bool) and answer["distance"] >= 0


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_for_any_threads_and_one_by_one(world, threads):
    reference = run("predict", world / "model.onnx", world / "photos").stdout
    assert run("predict", world / "model.onnx", world / "photos", "--threads", threads).stdout == reference
    first = json.loads(reference.decode().splitlines()[0])
    alone = lines(run("predict", world / "model.onnx", first["path"], "--threads", threads))
    assert alone == [first]


def test_answers_equal_the_library_s(world):
    files = sorted((world / "photos").glob("*/*.png"))
    (world / "exact").write_bytes(np.stack([np.asarray(Image.open(f)) for f in files]).tobytes())
    native = json.loads(subprocess.run([ORACLE, "answer", "--out", world / "model.onnx", "--pixels", world / "exact"],
                                       capture_output=True, text=True, check=True).stdout)
    answers = lines(run("predict", world / "model.onnx", world / "photos", "--precision", "f32"))
    for answer, row in zip(answers, native["rows"]):
        assert abs(answer["probability"] - max(row["probabilities"][0])) < 1e-5
        assert answer["unknown"] == row["unknown"]


def test_stdin_and_lists(world):
    photo = next((world / "photos" / "class 1").glob("*.png"))
    answer, = lines(run("predict", world / "model.onnx", "-", input=photo.read_bytes()))
    named, = lines(run("predict", world / "model.onnx", photo, "--top", 1))
    assert answer["path"] == "-" and len(named["top"]) == 1
    assert answer["probability"] == named["probability"]
    listed = b"\0".join(str(p).encode() for p in sorted((world / "photos").glob("*/*.png"))) + b"\0"
    assert len(lines(run("predict", world / "model.onnx", "--paths-from", "-", input=listed))) == 40
    empty = run("predict", world / "model.onnx", "-", input=b"", code=3)
    assert lines(empty)[0]["rejected"]["reason"]


def test_rejects_stand_in_their_place(world, tmp_path):
    """Of the order in which the photos were named, not behind the others."""
    good = sorted((world / "photos").rglob("*.png"))[:20]
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no photo")
    named = [good[0], bad, *good[1:]]
    told = lines(run("predict", world / "model.onnx", *named, "--max-reject-rate", "1", "--threads", "2"))
    assert [line["path"] for line in told] == [str(path) for path in named]
    assert [i for i, line in enumerate(told) if "rejected" in line] == [1]


def test_rejects_are_rows_and_count(world, spoilt):
    done = run("predict", world / "model.onnx", spoilt, code=3)
    good, bad = lines(done)
    assert "label" in good and bad["rejected"]["stage"] == "decode" and bad["path"].endswith("b.jpg")
    assert b"max-reject-rate" in done.stderr
    run("predict", world / "model.onnx", spoilt, "--max-reject-rate", 0.5)


def test_parquet(world, spoilt, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    dest = tmp_path / "answers"
    run("predict", world / "model.onnx", world / "photos", spoilt, dest, "--max-reject-rate", 1)
    table = pq.read_table(dest).to_pylist()
    assert len(table) == 42 and (dest / "_SUCCESS").exists() and not (dest / "_temporary").exists()
    answers = {a["path"]: a for a in lines(run("predict", world / "model.onnx", world / "photos"))}
    for row in table:
        if row["reason"]:
            assert row["label"] is None and row["stage"] == "decode"
        elif row["path"] in answers:
            assert row["label"] == answers[row["path"]]["label"]
            assert abs(row["probability"] - answers[row["path"]]["probability"]) < 1e-5
            assert row["top"][0]["label"] == row["label"] and row["label_target 1"]
    record = json.loads((dest / "_run.json").read_text())
    assert record["counts"] == {"listed": 42, "rejected": 1}
    refused = run("predict", world / "model.onnx", world / "photos", dest, code=1)
    assert b"--overwrite" in refused.stderr
    run("predict", world / "model.onnx", world / "photos", dest, "--overwrite")
    assert pq.read_table(dest).num_rows == 40
    for nothing in (world / "nowhere", world / "model.onnx.d"):
        (world / "model.onnx.d").mkdir(exist_ok=True)
        run("predict", world / "model.onnx", nothing, "-o", dest, "--overwrite", code=1)
        assert pq.read_table(dest).num_rows == 40 and (dest / "_SUCCESS").exists(), "no answer took its place"


def test_a_table_on_a_terminal_of_80_columns(world, spoilt):
    parent, child = pty.openpty()
    with subprocess.Popen([POMONA, "predict", world / "model.onnx", spoilt, world / "photos", "--max-reject-rate", "1"],
                          stdout=child, stderr=subprocess.DEVNULL) as running:
        os.close(child)
        text = b""
        while True:
            try:
                piece = os.read(parent, 65536)
            except OSError:
                break
            if not piece:
                break
            text += piece
    os.close(parent)
    assert running.returncode == 0
    shown = text.decode().splitlines()
    assert shown[0].startswith("PHOTO") and max(map(len, shown)) <= 80
    assert any("rejected: " in line for line in shown) and any("confident" in line or "unsure" in line for line in shown)


def test_wrong_models_are_told(world, tmp_path):
    assert b"not a model that Pomona trained" in run("predict", world / "tiny.onnx", world / "photos", code=1).stderr
    assert b"nowhere.onnx" in run("predict", "nowhere.onnx", world / "photos", code=1).stderr
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((world / "model.onnx").read_bytes()[:3000])
    assert b"cut.onnx" in run("predict", cut, world / "photos", code=1).stderr
    assert b"no photos" in run("predict", world / "model.onnx", tmp_path, code=1).stderr


def test_check_takes_stock_of_answers(world, spoilt, tmp_path):
    out = tmp_path / "answers"
    run("predict", world / "model.onnx", spoilt, out, code=3)
    [found] = json.loads(run("check", out, "--json").stdout)
    assert found["kind"] == "predictions" and found["sound"] and found["rows"] == 2 and found["rejected"] == 1
    shown = run("check", out).stdout.decode()
    assert "predictions  2 rows in 1 part," in shown and "none found" in shown and "fingerprint" in shown

    [part] = out.glob("part-*.parquet")
    whole = part.read_bytes()
    part.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    assert "has changed" in run("check", out, code=1).stdout.decode()
    # Answers of an older version have no SHA-256 recorded: the table itself is read.
    record = json.loads((out / "_run.json").read_text())
    record["parts"][0]["sha256"] = ""
    (out / "_run.json").write_text(json.dumps(record))
    part.write_bytes(whole[:-200])
    assert "cannot be read" in run("check", out, code=1).stdout.decode()
    part.write_bytes(whole)
    run("check", out)
    record["parts"][0]["rows"] = 3
    (out / "_run.json").write_text(json.dumps(record))
    assert "holds 2 rows, not the 3 recorded" in run("check", out, code=1).stdout.decode()
    part.unlink()
    assert "missing" in run("check", out, code=1).stdout.decode()


def test_kept_networks_give_the_same_and_damaged_ones_are_made_again(world, tmp_path):
    reference = run("predict", world / "model.onnx", world / "photos", "--no-compile-cache").stdout
    assert run("predict", world / "model.onnx", world / "photos", home=tmp_path).stdout == reference
    kept, = (tmp_path / "cache" / "compiled").glob("*.pomonet")
    assert run("predict", world / "model.onnx", world / "photos", home=tmp_path).stdout == reference
    whole = kept.read_bytes()
    for broken in (whole[:100], whole[:-1], whole[:200] + b"\0" + whole[201:], b""):
        kept.write_bytes(broken)
        assert run("predict", world / "model.onnx", world / "photos", home=tmp_path).stdout == reference
    assert kept.stat().st_size == len(whole)


def test_a_model_file_serves_as_network_and_finds_similar_photos(world, tmp_path):
    features = tmp_path / "features"
    run("featurize", world / "photos", features, "--model", world / "model.onnx")
    record = json.loads((features / "_run.json").read_text())
    alone = tmp_path / "alone"
    run("featurize", world / "photos", alone, "--model", world / "tiny.onnx", "--preprocess", "tf", "--input-size", SIZE)
    assert record["fingerprint"] == json.loads((alone / "_run.json").read_text())["fingerprint"]
    photo = sorted((world / "photos").glob("*/*.png"))[7]
    for dataset, options in ((features, ()), (alone, ()), (alone, ("--model", world / "model.onnx"))):
        found, = lines(run("similar", dataset, photo, "-n", 5, *options))
        assert len(found["nearest"]) == 5
        assert found["nearest"][0]["path"] == str(photo) and found["nearest"][0]["similarity"] > 0.99999
        assert [n["similarity"] for n in found["nearest"]] == sorted((n["similarity"] for n in found["nearest"]), reverse=True)
    other = tmp_path / "other"
    run("featurize", world / "photos", other, "--model", world / "tiny.onnx", "--preprocess", "tf", "--input-size", 16)
    refused = run("similar", other, photo, "--model", world / "model.onnx", code=1)
    assert b"input_width" in refused.stderr


def test_the_card_of_a_model(world):
    text = run("models", "info", world / "model.onnx").stdout.decode()
    assert "tiny.onnx" in text and "class 0, class 1, class 2" in text and "20 trees" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80
