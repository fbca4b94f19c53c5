# SPDX-License-Identifier: Apache-2.0
"""Living models: `pomona train --update`, and what `run` leaves beside new tables."""
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from engine_support import make_network, small

COLOURS = {"Apple": (200, 30, 40), "Lemon": (240, 220, 40), "Plum": (90, 30, 120), "Pear": (120, 190, 60)}


def make_disc(path, colour, seed, noise=25):
    random = np.random.default_rng(seed)
    yy, xx = np.mgrid[0:48, 0:48]
    disc = (xx - 24 - random.integers(-5, 6)) ** 2 + (yy - 24 - random.integers(-5, 6)) ** 2 < random.integers(10, 19) ** 2
    pixels = np.full((48, 48, 3), 255, np.int16)
    pixels[disc] = np.array(colour) + random.integers(-noise, noise + 1, 3)
    pixels = np.clip(pixels + random.integers(-4, 5, pixels.shape), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)


def make_fruit(folder, names, count, first=0, split=None):
    """`count` photos per class; with `split` every fourth is of Test."""
    for c, name in enumerate(names):
        for i in range(first, first + count):
            part = ("Test" if i % 4 == 3 else "Training") if split else ""
            make_disc(folder / part / name / f"{i}.jpg", COLOURS[name], 1000 * c + i)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("update")


@pytest.fixture(scope="module")
def network(place):
    return make_network(place / "net.onnx")


@pytest.fixture(scope="module")
def old_features(pomona, place, network):
    pomona("featurize", make_fruit(place / "old", ["Apple", "Lemon", "Plum"], 32, split=True), place / "features",
           *small(network))
    return place / "features"


@pytest.fixture(scope="module")
def old_model(pomona, place, old_features):
    pomona("train", old_features, "-o", place / "old.onnx", "-q")
    return place / "old.onnx"


def compared(pomona, *words, code=0):
    return json.loads(pomona("train", *words, "--json", "-q", code=code).stdout)


def test_new_photos_and_a_new_class_replace_the_model(pomona, place, old_features, old_model, tmp_path):
    model = tmp_path / "m.onnx"
    shutil.copy(old_model, model)
    new = make_fruit(tmp_path / "new", ["Apple", "Pear"], 20, first=500)
    printed = pomona("train", "--update", model, old_features, new).stdout.decode()
    assert f"REPLACED: {model}" in printed and "new classes: Pear" in printed
    assert model.read_bytes() != old_model.read_bytes()
    card = pomona("models", "info", model).stdout.decode()
    assert "4 classes" in card and "updated" in card and "new: Pear" in card
    lines = (tmp_path / "m.onnx.updates.jsonl").read_text().splitlines()
    assert len(lines) == 1
    entry = json.loads(lines[0])
    target = entry["targets"][0]
    assert entry["replaced"] and target["new_accuracy"] >= target["old_accuracy"]
    # Held out: the Test photos, and a share of the new ones; the old model saw none of them.
    assert entry["held_out"] == 24 + 8 and entry["seen_by_old"] == 0 and entry["unsure_if_seen_by_old"] == 0
    assert target["photos"] == 24 + 4 and target["all_photos"] == 32 and target["new_class_photos"] == 4
    answer = json.loads(pomona("predict", model, next((new / "Pear").glob("*.jpg")), "--json").stdout.splitlines()[0])
    assert "Pear" in json.dumps(answer)

    # Once more: what was held out stays so, and the history grows.
    again = compared(pomona, "--update", model, old_features, new)
    assert again["held_out"] == 32 and again["seen_by_old"] == 0 and again["replaced"]
    assert pomona("models", "info", model).stdout.decode().count("updated ") == 2


def test_a_worse_model_does_not_replace_and_says_so(pomona, old_features, old_model, tmp_path):
    model = tmp_path / "m.onnx"
    shutil.copy(old_model, model)
    wrong = tmp_path / "wrong"
    for i in range(150):  # apples called lemons: more of them than of true ones
        make_disc(wrong / "Training" / "Lemon" / f"{i}.jpg", COLOURS["Apple"], 7000 + i)
    for i in range(12):
        make_disc(wrong / "Test" / "Apple" / f"{i}.jpg", COLOURS["Apple"], 7500 + i)
    done = pomona("train", "--update", model, wrong, old_features, code=4)
    assert b"NOT REPLACED" in done.stdout
    assert model.read_bytes() == old_model.read_bytes()
    entry = json.loads((tmp_path / "m.onnx.updates.jsonl").read_text())
    assert entry["replaced"] is False
    assert entry["targets"][0]["only_old_right"] > entry["targets"][0]["only_new_right"]
    out = tmp_path / "out.onnx"
    pomona("train", "--update", model, wrong, old_features, "-o", out, code=4)
    assert not out.exists()


def test_the_same_update_gives_the_same_figures_for_any_number_of_threads(pomona, old_features, old_model, tmp_path):
    new = make_fruit(tmp_path / "new", ["Apple", "Pear"], 12, first=600)
    entries = []
    for threads in ("1", "2"):
        out = tmp_path / f"{threads}.onnx"
        entry = compared(pomona, "--update", old_model, old_features, new, "-o", out, "--threads", threads)
        entries.append({k: v for k, v in entry.items() if k not in ("finished", "invocation", "path")})
    assert entries[0] == entries[1]
    (old_model.parent / "old.onnx.updates.jsonl").unlink()


def test_copies_of_a_photo_are_compared_once_and_never_trained_on_as_well(pomona, network, tmp_path):
    """Labels by chance: neither model can tell them, unless it has seen the very photo."""
    random = np.random.default_rng(3)
    for i in range(80):
        part, copies = ("old", 1) if i < 20 else ("new", 4)
        label = random.choice(["heads", "tails"])
        make_disc(tmp_path / part / label / f"{i}.jpg", COLOURS["Apple"], 9000 + i)
        for name in random.integers(1 << 40, size=copies - 1):
            shutil.copy(tmp_path / part / label / f"{i}.jpg", tmp_path / part / label / f"{name}.jpg")
    model = tmp_path / "m.onnx"
    pomona("train", tmp_path / "old", "-o", model, "--classifier", "forest", *small(network))
    entry = compared(pomona, "--update", model, tmp_path / "new", code=None)
    assert 10 <= entry["held_out"] <= 14
    one = entry["targets"][0]
    assert one["photos"] == entry["held_out"] and one["new_accuracy"] <= 0.75, one


def test_photos_the_old_model_saw_are_told_apart(pomona, place, network, tmp_path):
    photos = make_fruit(tmp_path / "photos", ["Apple", "Lemon"], 24)
    model = tmp_path / "m.onnx"
    pomona("train", photos, "-o", model, *small(network))
    entry = compared(pomona, "--update", model, photos, code=None)
    assert entry["held_out"] > 0 and entry["seen_by_old"] == entry["held_out"]
    assert entry["targets"][0]["decided_on_seen_by_old"]
    assert any("favours" in warning for warning in entry["warnings"])


def test_a_model_without_a_record_of_its_photos_gets_a_warning(pomona, old_features, old_model, tmp_path):
    import onnx

    proto = onnx.load(old_model)
    for entry in proto.metadata_props:
        if entry.key == "pomona.training":
            training = json.loads(entry.value)
            del training["seen"]
            entry.value = json.dumps(training)
    model = tmp_path / "m.onnx"
    onnx.save(proto, model)
    entry = compared(pomona, "--update", model, old_features, code=None)
    assert entry["unsure_if_seen_by_old"] == entry["held_out"] == 24
    assert any("nothing says" in warning for warning in entry["warnings"])


def test_what_cannot_be_an_update_is_named_and_changes_nothing(pomona, place, network, old_features, old_model, tmp_path):
    before = old_model.read_bytes()
    lacking = make_fruit(tmp_path / "lacking", ["Apple", "Lemon"], 8, first=700)
    done = pomona("train", "--update", old_model, lacking, code=2)
    assert b"'Plum'" in done.stderr and b"SOURCE" in done.stderr
    done = pomona("train", "--update", old_model, old_features, "--model", network, code=2)
    assert b"--model" in done.stderr
    other = tmp_path / "other"
    pomona("featurize", lacking, other, "--model", network, "--preprocess", "tf", "--input-size", "48", "-q")
    done = pomona("train", "--update", old_model, old_features, other, code=1)
    assert b"48" in done.stderr and b"32" in done.stderr
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(before[:5000])
    pomona("train", "--update", broken, old_features, code=1)
    taken = tmp_path / "taken.onnx"
    taken.write_bytes(b"mine")
    done = pomona("train", "--update", old_model, old_features, "-o", taken, code=1)
    assert b"--overwrite" in done.stderr and taken.read_bytes() == b"mine"
    assert old_model.read_bytes() == before and not (old_model.parent / "old.onnx.updates.jsonl").exists()


def label_table(path, folder):
    rows = ["path,variety,ripeness"]
    for photo in sorted(pathlib.Path(folder).rglob("*.jpg")):
        rows.append(f'{photo},{photo.parent.name},{"ripe" if photo.parent.name == "Plum" else "unripe"}')
    path.write_text("\n".join(rows) + "\n")
    return path


def test_two_targets_go_through_run_and_update(pomona, place, network, old_features, tmp_path):
    table = label_table(tmp_path / "labels.csv", place / "old")
    results = tmp_path / "results"
    pomona("run", place / "old", results, "--labels", f"{table}:variety,ripeness", *small(network), "--no-report")
    figures = json.loads((results / "evaluation.json").read_text())
    assert [one["target"] for one in figures["targets"]] == ["variety", "ripeness"]
    card = pomona("models", "info", results / "model.onnx").stdout.decode()
    assert "variety" in card and "ripeness" in card

    new = make_fruit(tmp_path / "new", ["Plum", "Pear"], 12, first=800)
    both = tmp_path / "both.csv"
    both.write_text(table.read_text() + "".join(label_table(tmp_path / "new.csv", new).read_text().splitlines(True)[1:]))
    entry = compared(pomona, "--update", results / "model.onnx", results, new, "--labels", f"{both}:variety,ripeness")
    assert [one["target"] for one in entry["targets"]] == ["variety", "ripeness"]
    assert entry["targets"][0]["new_classes"] == ["Pear"] and entry["targets"][1]["new_classes"] == []
    missing = pomona("train", "--update", results / "model.onnx", results, code=1)
    assert b"'variety'" in missing.stderr


def test_contributions_feed_an_update_and_their_codes_name_the_model(pomona, old_features, old_model, tmp_path):
    model = tmp_path / "m.onnx"
    shutil.copy(old_model, model)
    store = tmp_path / "contributions"
    codes = []
    for name in ("Apple", "Pear"):
        folder = make_fruit(tmp_path / "sent", [name], 8, first=900) / name
        done = pomona("contributions", "--folder", store, "add", *sorted(folder.iterdir()), "--label", name,
                      "--consent", "1", "--json")
        codes += [one["code"] for one in json.loads(done.stdout)]
    entry = compared(pomona, "--update", model, old_features, store)
    assert entry["replaced"] and entry["targets"][0]["new_classes"] == ["Pear"]
    removal = json.loads(pomona("contributions", "--folder", store, "delete", codes[0], "--json").stdout)
    assert removal["photo_removed"] and removal["made_with_it"][0]["name"] == str(model)
    assert removal["made_with_it"][0]["kind"] == "model"


@pytest.mark.parametrize("name", ["Apple", "Pear"])
def test_a_single_contribution_is_trained_on(pomona, old_features, old_model, tmp_path, name):
    model = tmp_path / "m.onnx"
    shutil.copy(old_model, model)
    photo = make_fruit(tmp_path / "sent", [name], 1, first=950) / name / "950.jpg"
    store = tmp_path / "contributions"
    pomona("contributions", "--folder", store, "add", photo, "--label", name, "--consent", "1")
    entry = compared(pomona, "--update", model, old_features, store)
    assert entry["photos"] == 72 + 1 and entry["held_out"] == 24
    assert entry["targets"][0]["new_classes"] == (["Pear"] if name == "Pear" else [])
    # Alone it cannot stand for what the old model knows: the message says what is missing, and what to name.
    alone = pomona("train", "--update", model, store, code=2)
    assert b"'Lemon'" in alone.stderr and b"SOURCE" in alone.stderr


def test_new_tables_leave_no_older_model(pomona, network, tmp_path):
    photos = make_fruit(tmp_path / "photos", ["Apple", "Lemon"], 12, split=True)
    results = tmp_path / "results"
    pomona("run", photos, results, *small(network), "--no-report")
    assert (results / "model.onnx").exists() and (results / "evaluation.json").exists()
    pomona("run", photos, results, *small(network), "--no-report", "--overwrite", "--no-model")
    assert not (results / "model.onnx").exists() and not (results / "evaluation.json").exists()

    pomona("run", photos, results, *small(network), "--no-report", "--overwrite")
    assert (results / "model.onnx").exists()
    flat = tmp_path / "flat"
    flat.mkdir()
    for i, photo in enumerate(photos.rglob("*.jpg")):
        shutil.copy(photo, flat / f"{i}.jpg")
    pomona("run", flat, results, *small(network), "--no-report", "--overwrite")
    assert not (results / "model.onnx").exists() and not (results / "evaluation.json").exists()
    (results / "model.onnx").write_bytes(b"mine")
    pomona("run", flat, results, *small(network), "--no-report", "--overwrite")
    assert (results / "model.onnx").read_bytes() == b"mine"


def test_a_resumed_run_leaves_no_model_of_other_tables(pomona, network, tmp_path):
    photos = make_fruit(tmp_path / "photos", ["Apple", "Lemon"], 12, split=True)
    results = tmp_path / "results"
    again = ["run", photos, results, *small(network), "--resume", "--no-model"]
    names = ("model.onnx", "evaluation.json", "report.html")
    pomona("run", photos, results, *small(network))
    kept = {name: (results / name).read_bytes() for name in names}

    def there():
        return {name: (results / name).read_bytes() for name in names if (results / name).exists()}

    pomona(*again, "--no-report")
    assert there() == kept, "nothing is new: what there is still holds"

    # The photos lie elsewhere now and have no label; their vectors are taken from the rows that were there.
    for i, photo in enumerate(sorted(photos.rglob("*.jpg"))):
        photo.rename(photos / f"{i}.jpg")
    done = pomona("run", photos, results, *[word for word in small(network) if word != "-q"], "--resume", "--no-model", "--no-report")
    assert b"model.onnx went" in done.stderr and not there()
    assert json.loads((results / "features" / "_run.json").read_text())["counts"]["computed"] == 0

    # As after a kill before they went: a report leaves them out, and the next run takes them away.
    for name in ("model.onnx", "evaluation.json"):
        (results / name).write_bytes(kept[name])
    done = pomona("report", results)
    assert b"other tables" in done.stderr and (results / "report.html").stat().st_size < len(kept["report.html"])
    pomona(*again, "--no-report")
    assert not there()

    pomona("run", make_fruit(tmp_path / "more", ["Apple", "Lemon"], 12, split=True), results, *small(network), "--overwrite")
    assert set(there()) == set(names)
    next((tmp_path / "more" / "Training" / "Apple").iterdir()).unlink()
    pomona("run", tmp_path / "more", results, *small(network), "--resume", "--no-model", "--no-report")
    assert not there(), "a photo less is another table"
