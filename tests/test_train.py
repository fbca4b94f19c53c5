# SPDX-License-Identifier: Apache-2.0
"""Photos with labels -> model file -> figures, as a user runs it."""
import json
import pathlib
import shutil

import numpy as np
import onnx
import pytest
from PIL import Image

from engine_support import make_network, small

COLOURS = {"Apple": (200, 30, 40), "Lemon": (240, 220, 40), "Plum": (90, 30, 120)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """120 small photos of three coloured discs on white, Training and Test."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(1)
    yy, xx = np.mgrid[0:64, 0:64]
    for name, colour in COLOURS.items():
        for i in range(40):
            disc = (xx - 32 - random.integers(-6, 7)) ** 2 + (yy - 32 - random.integers(-6, 7)) ** 2 < random.integers(14, 26) ** 2
            pixels = np.full((64, 64, 3), 255, np.int16)
            pixels[disc] = np.array(colour) + random.integers(-25, 26, 3)
            pixels = np.clip(pixels + random.integers(-4, 5, pixels.shape), 0, 255).astype(np.uint8)
            place = folder / ("Test" if i % 4 == 3 else "Training") / name
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{i}.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def results(pomona, photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "results"
    done = pomona("run", photos, out, "--input-size", "96", "-q")
    return out, done.stdout.decode()


def test_run_ends_in_a_model_and_a_report(pomona, results):
    out, printed = results
    assert (out / "model.onnx").exists() and (out / "report.html").exists()
    figures = json.loads((out / "evaluation.json").read_text())
    assert figures["split"] == "Test" and figures["photos"] == 30
    assert figures["accuracy"] >= 0.9
    assert f"{100 * figures['accuracy']:.2f} % of 30 Test photos right" in printed
    assert sorted(figures["classes"]) == sorted(COLOURS)
    html = (out / "report.html").read_text()
    assert "http://" not in html.replace("http://www.w3.org", "") or "src=\"http" not in html


@pytest.mark.parametrize("classifier", ["logistic", "lda", "forest"])
def test_every_classifier_tells_the_fruit(pomona, results, tmp_path, classifier):
    model = tmp_path / "model.onnx"
    pomona("train", results[0], "-o", model, "--classifier", classifier, "--head-components", "20")
    figures = json.loads(pomona("evaluate", model, results[0], "--json", "-q").stdout)
    assert figures["accuracy"] >= 0.9, figures["confusion"]
    assert np.sum(figures["confusion"]) == 30


def test_the_same_seed_gives_the_same_model_for_any_number_of_threads(pomona, results, tmp_path):
    answers = []
    for threads in ("1", "2"):
        model = tmp_path / f"{threads}.onnx"
        pomona("train", results[0], "-o", model, "--threads", threads)
        answers.append(json.loads(pomona("evaluate", model, results[0], "--json", "-q").stdout))
    assert answers[0] == answers[1]


def test_select_tries_three_and_marks_the_best(pomona, results, tmp_path):
    printed = pomona("train", results[0], "-o", tmp_path / "m.onnx", "--select", "--folds", "3").stdout.decode()
    lines = [line for line in printed.splitlines() if " log loss " in line and " on " in line]
    assert len(lines) == 3 and sum("*" in line for line in lines) == 1
    assert "3 folds" in printed


def test_two_targets_from_a_table(pomona, photos, results, tmp_path):
    table = tmp_path / "labels.csv"
    rows = ["path,variety,ripeness"]
    for path in sorted(photos.rglob("*.jpg")):
        name = path.parent.name
        rows.append(f'{path},{name},{"ripe" if name == "Plum" else "unripe"}')
    table.write_text("\n".join(rows) + "\n")
    model = tmp_path / "two.onnx"
    printed = pomona("train", results[0], "-o", model, "--labels", f"{table}:variety,ripeness").stdout.decode()
    assert "variety: logistic" in printed and "ripeness: logistic" in printed
    figures = json.loads(pomona("evaluate", model, results[0], "--labels", f"{table}:variety,ripeness", "--json", "-q").stdout)
    assert [one["target"] for one in figures["targets"]] == ["variety", "ripeness"]
    assert figures["targets"][1]["accuracy"] >= 0.9
    photo = next((photos / "Test" / "Plum").glob("*.jpg"))
    answer = json.loads(pomona("predict", model, photo, "--json").stdout.splitlines()[0])
    assert "ripe" in json.dumps(answer) and "Plum" in json.dumps(answer)


def test_a_table_that_lacks_photos(pomona, photos, results, tmp_path):
    """Photos of the Test folder that the table does not name are without a label, not held back for a test."""
    training = sorted((photos / "Training").rglob("*.jpg"))
    table = tmp_path / "labels.csv"
    table.write_text("path,variety\n" + "".join(f"{p},{p.parent.name}\n" for p in training[:-5]))
    model = tmp_path / "m.onnx"
    printed = pomona("train", results[0], "-o", model, "--labels", table).stdout.decode()
    assert "85 photos, judged by 20 % held back\n" in printed
    assert "35 photos have no label: left out" in printed
    unlabelled = pomona("evaluate", model, results[0], "--labels", table, code=2).stderr.decode()
    assert "none of the 30 Test photos" in unlabelled and "--split" in unlabelled
    figures = json.loads(pomona("evaluate", model, results[0], "--labels", table, "--split", "all", "--json", "-q").stdout)
    assert figures["photos"] == 85 and figures["unlabelled"] == 35
    assert "left out" not in pomona("train", results[0], "-o", tmp_path / "whole.onnx").stdout.decode()

    # The chain judges by validation then, and says that a model was made.
    out = tmp_path / "run"
    done = pomona("run", photos, out, "--input-size", "96", "--labels", table, "--no-report")
    assert b"no model was made" not in done.stderr and b"85 photos, judged by 20 % held back" in done.stdout
    assert json.loads((out / "evaluation.json").read_text())["split"] == "20 % held back"
    # So it does where the Test photos are of classes that it cannot know.
    with open(table, "a") as more:
        more.writelines(f"{p},Test{p.parent.name}\n" for p in (photos / "Test").rglob("*.jpg"))
    done = pomona("run", photos, out, "--input-size", "96", "--labels", table, "--no-report", "--overwrite")
    assert b"no model was made" not in done.stderr and b"validation does" in done.stderr
    assert json.loads((out / "evaluation.json").read_text())["split"] == "20 % held back"


def test_classes_with_one_photo_are_told_in_one_line(pomona, photos, results, tmp_path):
    table = tmp_path / "labels.csv"
    training = sorted((photos / "Training").rglob("*.jpg"))
    table.write_text("path,variety\n" + "".join(f"{p},{f'only {i}' if i < 7 else p.parent.name}\n" for i, p in enumerate(training)))
    done = pomona("train", results[0], "-o", tmp_path / "m.onnx", "--labels", table)
    told = [line for line in done.stderr.decode().splitlines() if "one training photo" in line]
    assert told == ["warning: one training photo each of 'only 0', 'only 1', 'only 2', 'only 3', 'only 4' and 2 more: "
                    "nothing can say how well they are told"]


def test_what_looks_like_a_slip_is_told(pomona, photos, results, tmp_path):
    table = tmp_path / "labels.csv"
    training = sorted((photos / "Training").rglob("*.jpg"))
    table.write_text("path,variety\n" + "".join(f"{p},{p.parent.name.upper() if i % 2 else p.parent.name}\n" for i, p in enumerate(training)))
    told = pomona("train", results[0], "-o", tmp_path / "m.onnx", "--labels", table).stderr.decode()
    assert "warning: classes that differ by capitals only: 'APPLE / Apple', 'LEMON / Lemon', 'PLUM / Plum'\n" in told
    assert "was stopped" not in told

    # Vectors so large that the solver does not settle.
    network = onnx.load(make_network(tmp_path / "net.onnx"))
    last = next(weights for weights in network.graph.initializer if weights.name == "w2")
    last.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(last) * np.float32(1e4), "w2"))
    onnx.save(network, tmp_path / "loud.onnx")
    done = pomona("train", photos, "-o", tmp_path / "loud", "--labels", table, *small(tmp_path / "loud.onnx")[:-1])
    assert b"warning: 'variety': logistic regression was stopped after" in done.stderr


def test_evaluate_says_of_which_photos_its_shares_are(pomona, photos, results, tmp_path):
    model = results[0] / "model.onnx"
    strange = tmp_path / "strange"
    shutil.copytree(photos / "Test", strange)
    random = np.random.default_rng(3)
    for name in ("Apple", "Durian"):  # noise: of a class the model knows, and of one it does not
        (strange / name).mkdir(exist_ok=True)
        for i in range(6):
            noise = random.integers(0, 256, (64, 64, 3)).astype(np.uint8)
            Image.fromarray(noise).save(strange / name / f"noise{i}.png")
    printed = pomona("evaluate", model, strange).stdout.decode()
    figures = json.loads(pomona("evaluate", model, strange, "--json", "-q").stdout)
    counts = [figures[f"{word}_photos"] for word in ("confident", "unsure", "unknown")]
    assert sum(counts) == figures["photos"] == 36 and figures["foreign"] == 6
    assert figures["unknown_photos"] >= 6 and figures["foreign_unknown"] == 6
    assert figures["unknown"] == pytest.approx((figures["unknown_photos"] + 6) / 42)
    summary = printed.split("\n\n")[0].splitlines()
    shares = [line.split()[:4] for line in summary if line.split()[0] in ("confident", "unsure", "unknown")]
    assert [(word, int(count)) for word, count, _, _ in shares] == list(zip(("confident", "unsure", "unknown"), counts))
    assert sum(float(share) for _, _, share, _ in shares) == pytest.approx(100, abs=0.2)
    assert any("not counted: 6 of classes the model does not know, 6 unknown" in line for line in summary)
    assert all(len(line) <= 80 for line in summary)


def test_a_dataset_whose_network_moved(pomona, photos, tmp_path):
    network = make_network(tmp_path / "net.onnx")
    pomona("featurize", photos, tmp_path / "features", *small(network))
    moved = tmp_path / "elsewhere" / "net.onnx"
    moved.parent.mkdir()
    network.rename(moved)
    (tmp_path / "features").rename(tmp_path / "moved")
    lost = pomona("train", tmp_path / "moved", "-o", tmp_path / "m.onnx", code=1).stderr.decode()
    assert str(network) in lost and "--model" in lost
    pomona("train", tmp_path / "moved", "-o", tmp_path / "m.onnx", "--model", moved)
    # Photos beside the dataset are made into vectors by the same network.
    pomona("train", tmp_path / "moved", photos, "-o", tmp_path / "m.onnx", "--model", moved, "--overwrite")
    other = make_network(tmp_path / "other.onnx", seed=4)
    refused = pomona("train", tmp_path / "moved", "-o", tmp_path / "x.onnx", "--model", other, code=1).stderr.decode()
    assert "not made the same way" in refused and str(other) in refused and not (tmp_path / "x.onnx").exists()
    refused = pomona("train", tmp_path / "moved", "-o", tmp_path / "x.onnx", "--model", moved, "--input-size", "48", code=1)
    assert b"48" in refused.stderr and b"32" in refused.stderr


def test_groups_stay_on_one_side(pomona, results, tmp_path):
    pomona("train", results[0], "-o", tmp_path / "g.onnx", "--groups", r"/(\w+)/\d\d?\.jpg", code=None)
    bad = pomona("train", results[0], "-o", tmp_path / "g2.onnx", "--groups", "nowhere-to-be-found", code=2)
    assert "matches no path" in bad.stderr.decode()


def test_bad_input_is_named_and_nothing_is_overwritten(pomona, photos, results, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"mine")
    refused = pomona("train", results[0], "-o", model, code=1)
    assert "--overwrite" in refused.stderr.decode() and model.read_bytes() == b"mine"

    table = tmp_path / "none.csv"
    table.write_text("path,label\nnot-there.jpg,Apple\n")
    nothing = pomona("train", results[0], "-o", tmp_path / "x.onnx", "--labels", table, code=1)
    assert "match no photo" in nothing.stderr.decode()

    one = tmp_path / "one" / "Apple"
    one.mkdir(parents=True)
    for path in list((photos / "Training" / "Apple").glob("*.jpg"))[:4]:
        shutil.copy(path, one / path.name)
    single = pomona("train", tmp_path / "one", "-o", tmp_path / "x.onnx", "--input-size", "96", code=2)
    assert "one class" in single.stderr.decode()
    assert not (tmp_path / "x.onnx").exists()

    other = tmp_path / "other"
    pomona("featurize", photos, other, "--input-size", "64", "-q")
    good = tmp_path / "good.onnx"
    pomona("train", results[0], "-o", good)
    mismatch = pomona("evaluate", good, other, code=1)
    assert "input" in mismatch.stderr.decode() and "64" in mismatch.stderr.decode() and "96" in mismatch.stderr.decode()


def test_augment_trains_on_made_photos_too(pomona, photos, tmp_path):
    printed = pomona("train", photos, "-o", tmp_path / "a.onnx", "--augment", "textures", "--input-size", "96").stdout.decode()
    assert "90 photos and 90 made from them" in printed
    assert "30 Test photos not looked at" in printed


def test_photos_are_judged_in_the_precision_of_training(pomona, photos, tmp_path):
    """As predict answers: figures of other numbers would be those of another model."""
    pomona("train", photos, "-o", tmp_path / "m.onnx", "--input-size", "64", "--precision", "f32", "-q")
    done = pomona("evaluate", tmp_path / "m.onnx", photos, "--strict", "--json")
    assert b"computed in" not in done.stderr
    told = json.loads(done.stdout)
    lines = pomona("predict", tmp_path / "m.onnx", photos / "Test", "--json").stdout.splitlines()
    answers = {pathlib.Path(a["path"]).resolve(): a for a in map(json.loads, lines)}
    right = sum(a["label"] == path.parent.name for path, a in answers.items())
    assert told["photos"] == len(answers) == 30 and told["accuracy"] == pytest.approx(right / 30)
    for mistake in told["mistakes"]:
        assert answers[pathlib.Path(mistake["path"])]["probability"] == pytest.approx(mistake["probability"], abs=1e-6)


def test_photos_that_cannot_be_learned_from(pomona, photos, tmp_path):
    """The message names the cause, not the labels."""
    (tmp_path / "bad" / "Apple").mkdir(parents=True)
    (tmp_path / "bad" / "Apple" / "1.jpg").write_bytes(b"nothing")
    flags = ["--input-size", "64", "-q", "-o", tmp_path / "m.onnx"]
    assert b"none of the 1 photos" in pomona("train", tmp_path / "bad", *flags, code=1).stderr
    for i in range(4):
        for name in COLOURS:
            (tmp_path / "bad" / name).mkdir(exist_ok=True)
            shutil.copy(photos / "Training" / name / f"{4 * i}.jpg", tmp_path / "bad" / name / f"good{i}.jpg")
    shown = pomona("train", tmp_path / "bad", "--input-size", "64", "-o", tmp_path / "good.onnx").stderr.decode()
    assert f"1 of the 13 photos of {tmp_path / 'bad'} could not be read and are left out" in shown
    assert "Apple/1.jpg (decode: " in shown and "pomona featurize" in shown
    shown = pomona("train", photos / "Test", *flags, code=2).stderr
    assert b"Test split" in shown and b"one class" not in shown


def test_components_of_another_pca_are_refused(pomona, photos, tmp_path):
    for name, part in (("a", "Training"), ("b", "Test")):
        pomona("featurize", photos / part, tmp_path / name, *small(make_network(tmp_path / "net.onnx")), "-q")
    pca = tmp_path / "pca.bin"
    pomona("reduce", tmp_path / "a", tmp_path / "reduced", "-k", "5", "--save-pca", pca, "-q")
    model = tmp_path / "m.onnx"
    pomona("train", tmp_path / "reduced", "-o", model, "-q")
    assert json.loads(pomona("evaluate", model, tmp_path / "reduced", "--json", "-q").stdout)["photos"] == 90
    # The same file takes the PCA of other photos.
    pomona("reduce", tmp_path / "b", tmp_path / "other", "-k", "5", "--save-pca", pca, "-q")
    refused = pomona("evaluate", model, tmp_path / "other", code=None)
    assert refused.returncode != 0 and b"another PCA" in refused.stderr
    refused = pomona("train", tmp_path / "reduced", "-o", tmp_path / "never.onnx", code=None)
    assert refused.returncode != 0 and b"another PCA" in refused.stderr and b"Reduce the features again" in refused.stderr
    assert not (tmp_path / "never.onnx").exists()
    # A dataset that brings its PCA may move.
    pomona("reduce", tmp_path / "a", tmp_path / "whole", "-k", "5", "-q")
    (tmp_path / "whole").rename(tmp_path / "moved")
    pomona("train", tmp_path / "moved", "-o", tmp_path / "moved.onnx", "-q")
    pomona("evaluate", tmp_path / "moved.onnx", tmp_path / "moved", "-q")


def test_copies_of_a_photo_stay_on_one_side(pomona, photos, tmp_path):
    """Labels by chance cannot be told; four copies of each photo made it look as if they could."""
    random = np.random.default_rng(5)
    for source in sorted((photos / "Training").rglob("*.jpg")):
        label = random.choice(["heads", "tails"])
        for name in random.integers(1 << 40, size=4):
            target = tmp_path / "copies" / label / f"{name}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    pomona("featurize", tmp_path / "copies", tmp_path / "features", *small(make_network(tmp_path / "net.onnx")))
    for words in ([], ["--folds", "4"], ["--groups", "[0-9]{4}[.]jpg"]):
        printed = pomona("train", tmp_path / "features", "-o", tmp_path / "m.onnx", "--overwrite", "--classifier", "forest", *words).stdout.decode()
        share = float(printed.split("label: forest ")[1].split(" %")[0])
        assert 25 <= share <= 75, printed
    # Photos that are held back by folder are as they are, but it is said.
    (tmp_path / "split").mkdir()
    shutil.copytree(tmp_path / "copies", tmp_path / "split" / "Training")
    shutil.copytree(tmp_path / "copies", tmp_path / "split" / "Validation")
    pomona("featurize", tmp_path / "split", tmp_path / "more", *small(tmp_path / "net.onnx"))
    said = pomona("train", tmp_path / "more", "-o", tmp_path / "m.onnx", "--overwrite").stderr.decode()
    assert "360 photos that 'label' is judged by are trained on too" in said
    (tmp_path / "split" / "Validation").rename(tmp_path / "split" / "Test")
    pomona("featurize", tmp_path / "split", tmp_path / "tested", *small(tmp_path / "net.onnx"))
    said = pomona("train", tmp_path / "tested", "-o", tmp_path / "m.onnx", "--overwrite").stderr.decode()
    assert "360 photos of the Test split are trained on too" in said
