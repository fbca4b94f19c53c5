# SPDX-License-Identifier: Apache-2.0
"""Recipes, `estimate`, `check`, `doctor` and `models` as a user meets them."""
import json
import os
import pathlib
import subprocess
import time

import pytest

from engine_support import make_network, make_photos, parts, record, small, table, vectors

RECIPES = pathlib.Path(__file__).resolve().parents[1] / "recipes"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_network(tmp_path_factory.mktemp("network") / "net.onnx", d=64)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos") / "photos", 120)


def test_the_five_recipes_are_there():
    assert {"resnet50-100", "mobilenetv2-41", "vgg16-block5", "mobilenet-3d", "features-forest"} <= \
        {p.stem for p in RECIPES.glob("*.json")}


@pytest.mark.parametrize("recipe", sorted(p.stem for p in RECIPES.glob("*.json")))
def test_recipe(pomona, network, photos, tmp_path, recipe):
    """Its options are all known to `run`; what is typed (a small local network) wins over what it says."""
    options = json.loads((RECIPES / f"{recipe}.json").read_text())["options"]
    if "classifier" in options and b"--classifier" not in pomona("run", "--help").stdout:
        pytest.skip("this build's `run` trains no classifier")
    k = options.get("components")
    typed = small(network) + (["-k", "40"] if k and k > 60 else [])
    if options.get("layer"):
        typed += ["--layer", "r2"]
    pomona("run", photos, tmp_path / "out", "--recipe", recipe, *typed)
    assert record(tmp_path / "out" / "features")["counts"]["written"] == 120
    if options.get("features-only"):
        assert not (tmp_path / "out" / "reduced").exists()
    else:
        assert vectors(tmp_path / "out" / "reduced", "components").shape == (120, 40 if k > 60 else k)
    assert (tmp_path / "out" / "reduced.csv").exists() == bool(options.get("one-csv"))
    if options.get("csv-layout") == "packed":
        [part] = parts(tmp_path / "out" / "features")
        assert (tmp_path / "out" / "features" / part).open().readline() == "path,features\n"


def test_recipe_from_a_file(pomona, network, photos, tmp_path):
    (tmp_path / "mine.json").write_text('{"title": "mine", "options": {"components": 2, "labels": "none"}}')
    pomona("run", photos, tmp_path / "out", f"--recipe={tmp_path / 'mine.json'}", *small(network))
    assert vectors(tmp_path / "out" / "reduced", "components").shape == (120, 2)
    assert "label" not in table(tmp_path / "out" / "features").column_names
    # The invocation is as it was typed, so that it can be typed again.
    assert f"--recipe={tmp_path / 'mine.json'}" in record(tmp_path / "out" / "features")["invocation"]


def test_bad_recipes(pomona, photos, tmp_path):
    done = pomona("run", photos, tmp_path / "out", "--recipe", "resnet51", code=1)
    assert all(p.stem.encode() in done.stderr for p in RECIPES.glob("*.json"))
    (tmp_path / "broken.json").write_text("{")
    pomona("run", photos, tmp_path / "out", "--recipe", tmp_path / "broken.json", code=1)
    (tmp_path / "unknown.json").write_text('{"options": {"no-such-option": 1}}')
    done = pomona("run", photos, tmp_path / "out", "--recipe", tmp_path / "unknown.json", code=2)
    assert b"no-such-option" in done.stderr


def test_typed_short_flag_wins_over_a_recipe(pomona, network, photos, tmp_path):
    pomona("run", photos, tmp_path / "k", "--recipe", "mobilenet-3d", *small(network), "-k", "7")
    assert vectors(tmp_path / "k" / "reduced", "components").shape[1] == 7
    pomona("run", photos, tmp_path / "v", "--recipe", "mobilenet-3d", *small(network), "--variance", "0.99")
    assert vectors(tmp_path / "v" / "reduced", "components").shape[1] != 3


def test_estimate(pomona, network, photos, tmp_path):
    done = pomona("estimate", photos, *small(network), "--sample", "40", "--json")
    found = json.loads(done.stdout)
    assert found["photos"] == 120 and found["listed_all"] and found["sampled"] == 40
    assert found["source_bytes"] == sum(p.stat().st_size for p in photos.rglob("*.jpg"))
    assert found["photos_per_second"] > 0 and found["seconds"] > 0 and found["slowest_stage"] in found["stage_ms"]
    assert found["dimension"] == 64 and found["memory_bytes"] > 10 << 20
    pomona("featurize", photos, tmp_path / "out", *small(network))
    written = sum((tmp_path / "out" / p).stat().st_size for p in parts(tmp_path / "out"))
    assert 0.5 * written < found["output_bytes"] < 2 * written
    bill = found["bill"]
    assert bill["currency"] and bill["as_of"] and bill["compute_spot"] <= bill["compute_on_demand"]

    prices = {"currency": "EUR", "as_of": "2030-01-01", "machine": {"name": "own", "vcpus": 1, "on_demand_hour": 3600e6},
              "storage_gb_month": {"shelf": 1e9}}
    (tmp_path / "prices.json").write_text(json.dumps(prices))
    done = pomona("estimate", photos, *small(network), "--prices", tmp_path / "prices.json", "--json")
    bill = json.loads(done.stdout)["bill"]
    assert bill["currency"] == "EUR" and bill["as_of"] == "2030-01-01" and bill["compute_on_demand"] > 0
    assert bill["storage"]["shelf"]["photos_month"] == pytest.approx(found["source_bytes"])
    shown = pomona("estimate", photos, *small(network)).stdout.decode()
    for word in ("photos/s", "slowest stage", "time", "memory", "output", "on demand", "spot", "reserved", "a month"):
        assert word in shown
    assert not list(tmp_path.glob("pomona-estimate-*"))


def test_estimate_of_nothing(pomona, network, tmp_path):
    (tmp_path / "empty").mkdir()
    done = pomona("estimate", tmp_path / "empty", *small(network), code=1)
    assert b"no photos" in done.stderr


def test_check(pomona, network, photos, tmp_path):
    pomona("run", photos, tmp_path / "out", *small(network), "-k", "3", "--rows-per-file", "50")
    shown = pomona("check", tmp_path / "out").stdout.decode()
    assert shown.count("none found") == 2 and "120 rows x 64 in 3 parts" in shown and "120 rows x 3" in shown
    features = tmp_path / "out" / "features"
    [whole] = json.loads(pomona("check", features, "--json").stdout)
    assert whole["sound"] and whole["rows"] == 120 and whole["parts"] == 3 and whole["state"] == "finished"

    part = features / parts(features)[1]
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    done = pomona("check", features, "--json", code=1)
    [found] = json.loads(done.stdout)
    assert not found["sound"] and len(found["damage"]) == 1 and part.name in found["damage"][0]
    part.unlink()
    [found] = json.loads(pomona("check", features, "--json", code=1).stdout)
    assert "missing" in found["damage"][0]
    # The mend: what is missing is made again, and nothing else.
    pomona("run", photos, tmp_path / "out", *small(network), "-k", "3", "--rows-per-file", "50", "--resume")
    assert record(features)["counts"]["computed"] == 50
    pomona("check", tmp_path / "out")

    (features / "_SUCCESS").unlink()
    [found] = json.loads(pomona("check", features, "--json", code=None).stdout)
    assert found["state"] == "unfinished"


def test_check_of_no_dataset(pomona, photos, tmp_path):
    for place in (photos, tmp_path / "nowhere"):
        assert b"no dataset" in pomona("check", place, code=1).stderr


def test_doctor(pomona, tmp_path, monkeypatch):
    shown = pomona("doctor").stdout.decode()
    assert "BAD" not in shown and "efficientnet-lite0" in shown and "AVX2" in shown
    assert all(finding["good"] for finding in json.loads(pomona("doctor", "--json").stdout))
    monkeypatch.setenv("POMONA_HOME", str(tmp_path / "home"))
    done = pomona("doctor", "--json", code=1)
    bad = {f["what"]: f for f in json.loads(done.stdout) if not f["good"]}
    assert set(bad) == {"installed", "inference"} and all(f["mend"] for f in bad.values())


def test_doctor_of_a_local_dest(pomona, photos, tmp_path):
    def rights(place, *words, code=0):
        found = json.loads(pomona("doctor", place, *words, "--json", code=code).stdout)[1:]
        return {f["what"]: f for f in found}

    new = tmp_path / "new" / "deeper"
    found = rights(new)
    assert set(found) == {"list", "write", "read", "delete"} and all(f["good"] for f in found.values())
    assert "not there yet" in found["list"]["state"] and "will be made: wrote" in found["write"]["state"]
    assert str(tmp_path) in found["write"]["state"] and not list(tmp_path.iterdir()), "nothing was left behind"
    # A SOURCE must be there; a DEST below a file cannot be made.
    assert "No such file" in rights(new, "--source", code=1)["list"]["state"]
    (tmp_path / "file").write_bytes(b"x")
    found = rights(tmp_path / "file" / "new", code=1)
    assert not found["write"]["good"] and "will be made" not in found["write"]["state"]
    assert all(f["good"] for f in rights(photos).values())


def test_models(pomona, network, tmp_path, monkeypatch):
    shown = pomona("models", "list").stdout.decode()
    assert all(name in shown for name in ("efficientnet-lite0", "mobilenetv2", "resnet50", "vgg16"))
    info = pomona("models", "info", "vgg16").stdout.decode()
    assert all(word in info for word in ("sha256", "licence", "preprocess", "dimension", "url"))
    assert b"efficientnet-lite0" in pomona("models", "info", "vgg61", code=1).stderr
    monkeypatch.setenv("POMONA_HOME", str(tmp_path / "home"))
    pomona("models", "add", "ours", network, "--preprocess", "tf")
    assert "ours" in pomona("models", "list").stdout.decode()


def test_layer_by_the_name_keras_gives_it(pomona, network, photos, tmp_path):
    """Operations have paths like net_1/last_2/Relu; the layer is `last`, and gives what its last operation gives."""
    import onnx
    model = onnx.load(network)
    names = {"c1": "net_1/last_conv/Conv", "c2": "net_1/last_2/Conv", "r2": "net_1/last_2/Relu"}
    for node in model.graph.node:
        for side in (node.input, node.output):
            for i, name in enumerate(side):
                side[i] = names.get(name, name)
    onnx.save(model, tmp_path / "paths.onnx")
    words = ["featurize", photos, "--limit", "10", *small(tmp_path / "paths.onnx"), "--layer"]
    pomona(*words, "net_1/last_2/Relu", tmp_path / "full")
    pomona(*words, "last", tmp_path / "short")
    assert (vectors(tmp_path / "short") == vectors(tmp_path / "full")).all()
    done = pomona(*words, "las", tmp_path / "no", code=2)
    assert b"no layer `las`" in done.stderr


def test_a_place_that_is_not_utf8_as_json(pomona, network, photos, tmp_path):
    dest = os.fsencode(tmp_path) + b"/caf\xe9"
    pomona("featurize", photos, dest, *small(network), "--limit", "3")
    done = pomona("check", dest, "--json")
    assert json.loads(done.stdout)[0]["place"] == f"{tmp_path}/caf%E9"


def test_what_is_misspelt_is_named(pomona, photos):
    for words, wrong in ((["frobnicate"], "frobnicate"), (["-q", "estimat", photos], "estimat"), (["models", "lst"], "lst"),
                         (["run", "--frob"], "--frob")):
        assert f"'{wrong}' is not known here" in pomona(*words, code=2).stderr.decode()
    assert "known here" not in pomona("run", code=2).stderr.decode()


def test_the_list_of_networks_is_a_table(pomona, network, tmp_path):
    env = {**os.environ, "POMONA_HOME": str(tmp_path)}
    name = "a-network-with-a-long-name"
    pomona("models", "add", name, network, "--preprocess", "tf", "--input-size", "32", env=env)
    lines = pomona("models", "list", env=env).stdout.decode().splitlines()
    end = lines[0].index("INPUT") + len("INPUT")
    assert any(line.startswith(name) for line in lines)
    assert all(line[:end].split()[-1].isdigit() and line[end] == " " for line in lines[1:]), lines


def test_answers_that_cannot_be_written(pomona, network, photos, tmp_path):
    pomona("featurize", photos, tmp_path / "out", *small(network))
    with open("/dev/full", "wb") as full:
        for words in (["check", tmp_path / "out", "--json"], ["similar", tmp_path / "out", photos / "apple" / "00000.jpg"],
                      ["similar", tmp_path / "out", *sorted(photos.rglob("*.jpg"))]):
            done = pomona(*words, code=1, capture_output=False, stdout=full, stderr=subprocess.PIPE)
            assert b"cannot write to standard output: No space left" in done.stderr, done.stderr


def test_messages_that_cannot_be_written(pomona, network, photos, tmp_path):
    """Progress that nobody can read does not end the work, and an error keeps its exit code."""
    with open("/dev/full", "wb") as full:
        pomona("featurize", tmp_path / "nowhere", tmp_path / "out", code=1, capture_output=False, stderr=full)
        # A list that takes its time: progress is told after a second.
        flags = [flag for flag in small(network) if flag != "-q"]
        process = pomona.start("featurize", "--paths-from", "-", tmp_path / "out", *flags, "--rows-per-file", "16",
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=full)
        one = os.fsencode(sorted(photos.rglob("*.jpg"))[0]) + b"\n"
        process.stdin.write(one * 400)
        process.stdin.flush()
        time.sleep(2.5)
        process.stdin.close()
        assert process.wait(60) == 0
    assert record(tmp_path / "out")["counts"]["written"] == 400


def test_closed_streams(pomona, network, photos, tmp_path):
    """What is opened first does not stand in for a stream that was closed."""
    shell = 'exec "$0" "$@" <&- >&- 2>&-'
    words = ["featurize", photos, tmp_path / "out", *small(network), "--format", "csv"]
    for code in (0, 1):  # the second time there is something to complain of
        done = subprocess.run(["bash", "-c", shell, pomona.path, *map(str, words)], timeout=60)
        assert done.returncode == code
    pomona("check", tmp_path / "out")


def test_components_do_not_outlive_their_features(pomona, network, photos, tmp_path):
    """A run that makes no components takes those of the features that it replaced away."""
    other = make_photos(tmp_path / "other", 6, first=500)
    words = ["run", photos, tmp_path / "out", *small(network), "-k", "3", "--no-model", "--no-report", "--one-csv"]
    pomona(*words)
    pomona(*words, "--features-only", "--resume")
    assert (tmp_path / "out" / "reduced" / "_SUCCESS").exists(), "the same features: they stay"
    pomona("run", other, tmp_path / "out", *small(network), "--overwrite", "--features-only")
    assert not (tmp_path / "out" / "reduced").exists() and not (tmp_path / "out" / "reduced.csv").exists()
    done = pomona("cluster", tmp_path / "out", "-k", "2", "--json", "-q")
    assert json.loads(done.stdout)["photos"] == 6
    # Nor do they where the new ones fail.
    pomona(*words, "--overwrite")
    failed = pomona("run", other, tmp_path / "out", *small(network), "--overwrite", "-k", "900", code=None)
    assert failed.returncode != 0 and not (tmp_path / "out" / "reduced").exists()


def test_report_of_a_dataset_itself(pomona, network, photos, tmp_path):
    """The report stands in the folder of the parts, where readers of the dataset do not see it."""
    pomona("featurize", photos, tmp_path / "out", *small(network))
    done = pomona("report", tmp_path / "out", "--no-pictures", "-q")
    assert str(tmp_path / "out" / "_report.html") in done.stdout.decode() and (tmp_path / "out" / "_report.html").exists()
    assert table(tmp_path / "out").num_rows == 120
    pomona("featurize", photos, tmp_path / "out", *small(network), "--overwrite")
    assert not (tmp_path / "out" / "_report.html").exists(), "it was about other rows"


def test_sources_that_share_photos(pomona, network, photos, tmp_path):
    """A photo listed twice would be two rows: refused by name before anything is written."""
    inner = photos / "apple"
    for verb in ("featurize", "run"):
        done = pomona(verb, photos, inner, tmp_path / verb, *small(network), code=2)
        assert f"{inner} lies in the source {photos}" in done.stderr.decode()
        assert not (tmp_path / verb).exists()
    done = pomona("estimate", photos, f"{photos}/", *small(network), code=2)
    assert b"same place" in done.stderr


def test_limit_of_none(pomona, network, photos, tmp_path):
    for verb in ("featurize", "run", "predict"):
        done = pomona(verb, photos, tmp_path / "out", "--limit", "0", code=2)
        assert b"--limit" in done.stderr
