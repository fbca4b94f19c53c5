# SPDX-License-Identifier: Apache-2.0
"""The starter catalogue: whole, in both languages, each figure with a source."""
import json

import pytest

from page_support import ROOT

FOLDER = ROOT / "web" / "catalogue"


@pytest.fixture(scope="module")
def catalogue():
    return json.loads((FOLDER / "catalogue.json").read_text())


def check(value, schema, root, place="catalogue"):
    """Enough of JSON Schema for catalogue.schema.json."""
    if "$ref" in schema:
        return check(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, place)
    kinds = {"object": dict, "string": str, "number": (int, float), "null": type(None)}
    if "type" in schema:
        wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(isinstance(value, kinds[kind]) for kind in wanted), place
    if "const" in schema:
        assert value == schema["const"], place
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value), place
        assert len(value) >= schema.get("minProperties", 0), place
        for key, inner in value.items():
            rule = schema.get("properties", {}).get(key, schema.get("additionalProperties", True))
            assert rule is not False, f"{place}: unknown field {key}"
            if isinstance(rule, dict):
                check(inner, rule, root, f"{place}/{key}")
    if isinstance(value, str):
        assert len(value) >= schema.get("minLength", 0), place
    if isinstance(value, (int, float)) and "maximum" in schema:
        assert schema["minimum"] <= value <= schema["maximum"], place
    return None


def test_it_fits_its_schema(catalogue):
    schema = json.loads((FOLDER / "catalogue.schema.json").read_text())
    check(catalogue, schema, schema)
    broken = json.loads(json.dumps(catalogue))
    broken["fruits"]["apple"]["colour"] = "red"
    with pytest.raises(AssertionError):
        check(broken, schema, schema)


def test_every_class_of_the_sample_photos_is_in_it(catalogue, shared_data):
    with open(shared_data / "fruits360-subset" / "MANIFEST.tsv") as lines:
        classes = {line.split("\t")[1] for line in list(lines)[1:]}
    assert classes == set(catalogue["classes"])
    assert {entry["fruit"] for entry in catalogue["classes"].values()} == set(catalogue["fruits"])




def test_every_text_is_in_both_languages_and_every_source_is_listed(catalogue):
    entries = {**catalogue["fruits"], **catalogue["classes"]}
    used = set()
    for name, entry in entries.items():
        for key, value in entry.items():
            if not isinstance(value, dict):
                continue
            texts = value.get("text", value if key == "name" else None)
            if texts is not None:
                assert set(texts) == {"en", "fr"}, (name, key)
            if "source" in value:
                used.add(value["source"])
            assert key not in ("season", "storage", "nutrition") or value["source"], (name, key)
    assert used == set(catalogue["sources"])


def test_figures_are_consistent(catalogue):
    for name, entry in {**catalogue["fruits"], **catalogue["classes"]}.items():
        figures = (entry.get("nutrition") or {}).get("per_100_g")
        if not figures:
            continue
        assert figures.get("sugars_g", 0) <= figures["carbohydrate_g"], name
        # Atwater's factors; organic acids and fibre leave room.
        energy = 4 * figures["carbohydrate_g"] + 4 * figures["protein_g"] + 9 * figures["fat_g"]
        assert 0.6 * energy <= figures["energy_kcal"] <= 1.1 * energy, name
