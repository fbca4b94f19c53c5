# SPDX-License-Identifier: Apache-2.0
"""Files that older versions wrote, tests/old_files/<version>/: this one reads them and says the same about them; and what
a newer version wrote is refused in a sentence. docs/compatibility.md."""
import json
import pathlib
import shutil
import sqlite3
import struct
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
from engine_support import record, rejects, table, vectors  # noqa: E402
from places import PACKAGE  # noqa: E402
from write import HEADS, NETWORK, short  # noqa: E402

VERSIONS = sorted(place.name for place in HERE.iterdir() if (place / "expected.json").is_file())
# Vectors were made on some other machine's CPU: the same to rounding, not to the bit. Kept numbers are exact.
ROUNDING = 2e-5


class Old:
    """A copy of what one version wrote, at a place of its own: nothing of it stands where it was written."""

    def __init__(self, version, folder):
        self.version = version
        shutil.copytree(HERE / version, folder)
        self.expected = json.loads((folder / "expected.json").read_text())
        self.folder = folder

    def __getitem__(self, name):
        return self.folder / name

    def photos(self, *below):
        return sorted(p for p in self.folder.joinpath("photos", *below).rglob("*.jpg") if p.name != "broken.jpg")


@pytest.fixture(params=VERSIONS)
def old(request, tmp_path, monkeypatch):
    made = Old(request.param, tmp_path / "old")
    monkeypatch.setenv("POMONA_HOME", str(made["home"]))  # the network is known by its name there
    return made


def spoken(pomona, *words, **options):
    return json.loads(pomona("-q", *words, "--json", **options).stdout)


def refusal(pomona, *words):
    done = pomona("-q", *words, code=1)
    said = done.stderr.decode()
    assert "ewer" in said, said
    return said


def test_there_are_files_of_released_versions():
    assert "0.1.0" in VERSIONS
    size = sum(f.stat().st_size for f in (HERE / "0.1.0").rglob("*") if f.is_file())
    assert size < 1_000_000


def test_datasets_are_whole_and_read_by_anyone(old, pomona):
    for kind, rows, d in (("features", 36, 24), ("reduced", 36, 6)):
        checked = spoken(pomona, "check", old["results"] / kind)
        assert checked[0]["rows"] == rows and checked[0]["damage"] == []
        assert vectors(old["results"] / kind, "features" if kind == "features" else "components").shape == (rows, d)
    bad = rejects(old["results"] / "features")
    assert [short(row["path"]) for row in bad] == ["Training/Apple/broken.jpg"] and bad[0]["stage"] == "decode"
    answers = pq.read_table(old["predictions"])
    assert answers.num_rows == 37 and answers["label"].null_count == 1  # with the one that is no photo


@pytest.mark.parametrize("kind", ["results/features", "features-csv", "features-packed"])
def test_the_old_pca_gives_the_old_components(old, pomona, tmp_path, kind):
    pomona("-q", "reduce", old[kind], tmp_path / "again", "--pca", old["results/pca/pca.bin"])
    found, expected = vectors(tmp_path / "again", "components"), vectors(old["results/reduced"], "components")
    assert np.allclose(found, expected, atol=ROUNDING)
    assert table(tmp_path / "again")["path"].equals(table(old["results/reduced"])["path"])


def test_a_pca_fitted_on_old_features_is_the_old_one(old, pomona, tmp_path):
    pomona("-q", "reduce", old["results/features"], tmp_path / "fresh", "-k", "6")
    assert np.allclose(vectors(tmp_path / "fresh", "components"), vectors(old["results/reduced"], "components"), atol=ROUNDING)


@pytest.mark.parametrize("head", HEADS)
def test_old_models_answer_and_are_judged_as_they_were(old, pomona, head):
    done = pomona("-q", "predict", old[f"{head}.onnx"], old["photos"], "--json", "--max-reject-rate", "0.1")
    found = {short(line["path"]): line for line in map(json.loads, done.stdout.splitlines()) if "label" in line}
    expected = old.expected["predict"][head]
    assert found.keys() == expected.keys() and len(found) == 36
    for path, answer in expected.items():
        for key in ("label", "confident", "unknown"):
            assert found[path].get(key) == answer.get(key), path
        assert found[path]["probability"] == pytest.approx(answer["probability"], abs=1e-4)
        assert [t["label"] for t in found[path]["top"]] == [t["label"] for t in answer["top"]]
        for name, target in answer.get("targets", {}).items():
            assert found[path]["targets"][name]["label"] == target["label"]
    table = ["--labels", old["labels.csv"]] if head == "targets" else []
    if table:  # it names the photos where they were
        lines = old["labels.csv"].read_text().splitlines()
        rows = table_paths(old)
        old["labels.csv"].write_text("\n".join([lines[0], *(f"{rows[short(line.split(',')[0])]},{line.split(',', 1)[1]}"
                                                            for line in lines[1:])]) + "\n")
        table[1] = f"{old['labels.csv']}:variety,ripeness"
    judged = spoken(pomona, "evaluate", old[f"{head}.onnx"], old["results"], *table)
    told = old.expected["evaluate"][head]
    for key in ("photos", "accuracy", "balanced_accuracy", "classes", "confusion", "confident"):
        assert judged[key] == pytest.approx(told[key], abs=1e-6) if isinstance(told[key], float) else judged[key] == told[key]


def table_paths(old):
    """Paths as the old dataset has them, by their place below photos/."""
    return {short(path): path for path in table(old["results/features"])["path"].to_pylist()}


def test_cards_of_models_and_networks(old, pomona):
    for head in HEADS:
        assert "Lemon" in pomona("models", "info", old[f"{head}.onnx"]).stdout.decode()
    assert "ours" in pomona("models", "list").stdout.decode()
    photo = old.photos("Test")[0]
    pomona("-q", "featurize", photo.parent, old["more"], *NETWORK)
    assert vectors(old["more"]).shape[1] == 24


def test_similar_photos_are_the_same(old, pomona):
    line = spoken(pomona, "similar", old["results"], old["photos/Test/Plum/03.jpg"], "-n", "4", "--model", old["logistic.onnx"])
    found = [(short(near["path"]), near["similarity"]) for near in line["nearest"]]
    expected = old.expected["similar"][0]
    assert [path for path, _ in found] == [path for path, _ in expected]
    assert np.allclose([s for _, s in found], [s for _, s in expected], atol=ROUNDING)


def test_a_report_is_made_of_old_results(old, pomona):
    pomona("-q", "report", old["results"], "--no-pictures")
    page = (old["results"] / "report.html").read_text()
    assert "Lemon" in page and "confusion" in page.lower()


def test_training_goes_on_from_old_files(old, pomona, tmp_path):
    pomona("-q", "train", old["results"], "-o", tmp_path / "new.onnx")
    judged = spoken(pomona, "evaluate", tmp_path / "new.onnx", old["results"])
    assert judged["accuracy"] >= old.expected["evaluate"]["logistic"]["accuracy"] - 0.05
    updated = spoken(pomona, "train", "--update", old["logistic.onnx"], old["results"], "-o", tmp_path / "up.onnx", code=None)
    target = updated["targets"][0]
    assert target["old_accuracy"] == pytest.approx(old.expected["evaluate"]["logistic"]["accuracy"], abs=1e-6)


@pytest.mark.parametrize("kind", ["results/features", "features-csv"])
def test_resuming_over_a_grown_folder_keeps_old_vectors(old, pomona, kind):
    def rows():
        return dict(zip(map(short, table(old[kind])["path"].to_pylist()), vectors(old[kind])))

    before = rows() if kind == "results/features" else {}
    more = old["photos/Training/Lemon/50.jpg"]
    shutil.copy(old["photos/Test/Apple/03.jpg"], more)
    extra = ["--format", "csv"] if kind == "features-csv" else ["--rows-per-file", "16"]
    pomona("-q", "featurize", old["photos"], old[kind], *NETWORK, "--max-reject-rate", "0.1",
           "--resume", *extra)
    assert (old[kind] / "_SUCCESS").exists() and spoken(pomona, "check", old[kind])[0]["rows"] == 37
    if before:
        after = rows()
        assert all(after[path].tobytes() == vector.tobytes() for path, vector in before.items())
        assert after["Training/Lemon/50.jpg"].tobytes() == after["Test/Apple/03.jpg"].tobytes()


def test_old_files_are_purged_as_new_ones(old, pomona):
    listed = spoken(pomona, "purge", old["results"], "--older-than", "0s")
    assert (old["results/features/_SUCCESS"]).exists()
    kinds = {item["what"] for item in listed["items"]}
    assert {"dataset", "model"} <= kinds
    pomona("-q", "purge", old["results"], "--older-than", "0s", "--yes", "--log", old["log.jsonl"])
    assert not list(old["results"].rglob("part-*")) and not old["results/model.onnx"].exists()


def test_contributions_of_old_are_listed_exported_and_deleted(old, pomona):
    store = old["contributions"]
    known = old.expected["contributions"]
    listed = json.loads(pomona("contributions", "--folder", store, "list", "--json").stdout)
    assert len(listed["contributions"]) == known["photos"]
    pomona("contributions", "--folder", store, "export", old["exported"])
    assert len(list((old["exported"] / "Plum").iterdir())) == known["photos"]
    pomona("contributions", "--folder", store, "delete", known["code"])
    listed = json.loads(pomona("contributions", "--folder", store, "list", "--json").stdout)
    assert len(listed["contributions"]) == known["photos"] - 1


def test_an_export_to_the_web_says_what_it_said(old, pomona):
    """Pages that stand somewhere are looked at by nobody: what a page of that version reads keeps its meaning."""
    pomona("-q", "export", old["logistic.onnx"], "--web", old["site"], "--no-webgpu")
    now, then = json.loads((old["site"] / "model.json").read_text()), json.loads((old["web/model.json"]).read_text())
    assert now["version"] == then["version"] == 1
    for key in ("name", "input", "preprocess", "targets", "unknown", "reduced", "weights", "fingerprint"):
        assert now.get(key) == (pytest.approx(then[key]) if isinstance(then.get(key), float) else then.get(key)), key


def test_the_python_package_reads_them(old):
    sys.path.insert(0, str(PACKAGE))
    package = pytest.importorskip("pomona", reason=f"the package is not built at {PACKAGE}")
    model = package.load_model(old["logistic.onnx"])
    photos = old.photos("Test")
    expected = old.expected["predict"]["logistic"]
    for photo, answer in zip(photos, model.predict([str(p) for p in photos])):
        told = expected[short(str(photo))]
        assert answer.label == told["label"] and answer.probability == pytest.approx(told["probability"], abs=1e-4)
    pca = package.PCA.load(old["results/pca/pca.bin"])
    assert np.allclose(pca.transform(vectors(old["results/features"])), vectors(old["results/reduced"], "components"), atol=ROUNDING)
    read = package.read_dataset(old["results/features"])
    assert len(read) == 36


def test_what_spark_wrote_is_a_dataset_as_any(old, pomona, tmp_path):
    assert record(old["spark-results/features"])["engine"]["name"] == "spark"
    assert np.allclose(vectors(old["spark-results/features"]), vectors(old["results/features"]), atol=ROUNDING)
    pomona("-q", "reduce", old["spark-results/features"], tmp_path / "again", "--pca", old["spark-results/pca/pca.bin"])
    assert np.allclose(vectors(tmp_path / "again", "components"), vectors(old["spark-results/reduced"], "components"), atol=ROUNDING)


JOB = '''
import sys
from pyspark.sql import SparkSession
from pomona.spark import ModelTransformer, PCAModel
import numpy as np, pyarrow.parquet as pq

old = sys.argv[1]
spark = SparkSession.builder.getOrCreate()
rows = spark.read.parquet(old + "/results/features")
pca, model = PCAModel.load(old + "/spark-pca"), ModelTransformer.load(old + "/spark-model")
reduced = pca.transform(rows.select("path", "features")).collect()
print(len(reduced), len(reduced[0].reduced), len(model.transform(rows.select("path", "features")).collect()))
'''


@pytest.mark.slow
def test_stages_of_spark_ml_load(old, tmp_path):
    sys.path.insert(0, str(HERE.parent / "spark"))
    from cluster import QUICK_JVM, LocalSpark, Missing, SparkInstall

    try:
        place = LocalSpark(SparkInstall.find("4"), tmp_path / "spark", jvm=QUICK_JVM)
    except Missing as missing:
        pytest.skip(str(missing))
    (tmp_path / "job.py").write_text(JOB)
    done = place.run(tmp_path / "job.py", old.folder, env={"PYTHONPATH": PACKAGE}, timeout=400)
    assert done.stdout.split()[-3:] == ["36", "4", "36"]


# What comes from the future.

def set_version(place, version, name="_run.json"):
    file = place / name
    words = json.loads(file.read_text())
    assert words.get("format_version", 1) == 1
    file.write_text(json.dumps({**words, "format_version": version}))


def test_a_dataset_of_a_newer_version_is_refused_and_left_alone(old, pomona, tmp_path):
    place = old["results/features"]
    set_version(place, 2)
    before = {f: f.read_bytes() for f in place.rglob("*") if f.is_file()}
    said = refusal(pomona, "reduce", place, tmp_path / "out", "-k", "3")
    assert "format 2" in said and "reads up to 1" in said and str(place) in said
    refusal(pomona, "train", place, "-o", tmp_path / "m.onnx")
    refusal(pomona, "evaluate", old["logistic.onnx"], place)
    words = ["featurize", old["photos"], place, *NETWORK, "--max-reject-rate", "0.1"]
    refusal(pomona, *words, "--resume")
    refusal(pomona, *words, "--overwrite")
    refusal(pomona, "check", place)
    pomona("-q", "purge", place, "--older-than", "0s", "--yes", "--log", tmp_path / "log", code=None)
    assert {f: f.read_bytes() for f in place.rglob("*") if f.is_file()} == before


def test_an_unfinished_dataset_of_a_newer_version_is_refused(old, pomona):
    place = old["results/features"]
    run_id = next(place.glob("part-*")).name.split("-")[2].split(".")[0]
    header = record(place)["header"]
    (place / "_SUCCESS").unlink()
    (place / "_run.json").unlink()
    (place / "_temporary" / run_id).mkdir(parents=True)
    (place / "_temporary" / run_id / "run.json").write_text(json.dumps({**header, "format_version": 9}))
    said = refusal(pomona, "featurize", old["photos"], place, *NETWORK, "--max-reject-rate",
                   "0.1", "--resume", "--rows-per-file", "16")
    assert "format 9" in said


def test_an_evaluation_of_a_newer_version_is_refused(old, pomona):
    set_version(old["results"], 2, "evaluation.json")
    assert "evaluation.json" in refusal(pomona, "report", old["results"])


def test_a_pca_of_a_newer_version_is_refused(old, pomona, tmp_path):
    file = old["results/pca/pca.bin"]
    data = bytearray(file.read_bytes())
    data[8:12] = struct.pack("<I", struct.unpack("<I", data[8:12])[0] + 1)
    file.write_bytes(data)
    assert "version 2" in refusal(pomona, "reduce", old["results/features"], tmp_path / "out", "--pca", file)


def test_a_model_of_a_newer_version_is_refused(old, pomona):
    import onnx

    proto = onnx.load(old["logistic.onnx"])
    entry = next(e for e in proto.metadata_props if e.value == "1" and e.key.startswith("pomona."))
    entry.value = "2"
    onnx.save(proto, old["logistic.onnx"])
    refusal(pomona, "predict", old["logistic.onnx"], old["photos/Test/Plum/03.jpg"])


def test_contributions_of_a_newer_version_are_refused(old, pomona):
    with sqlite3.connect(old["contributions/contributions.db"]) as database:
        database.execute("PRAGMA user_version=7")
    database.close()
    refusal(pomona, "contributions", "--folder", old["contributions"], "list")


def test_a_network_card_of_a_newer_version_is_refused(old, pomona):
    card = next(old["home"].rglob("card.json"))
    card.write_text(json.dumps({**json.loads(card.read_text()), "format_version": 2}))
    refusal(pomona, "models", "info", "ours")
