# SPDX-License-Identifier: Apache-2.0
"""docs/reference/files.md names every field of the files of a run, and no other."""
import json
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine_support import make_network, make_photos, small
from places import ROOT

PAGE = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")


def table(heading, column="| column"):
    """The rows of the first table below a heading whose head begins with `column`: (name, second cell)."""
    text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = text[text.index(column):].splitlines()[2:]
    found = []
    for row in rows:
        if not row.startswith("|"):
            break
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        found.append((cells[0].strip("`"), cells[1]))
    assert found
    return found


@pytest.fixture(scope="module")
def results(pomona, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    network = make_network(folder / "small.onnx")
    make_photos(folder / "photos" / "Training", 40)
    make_photos(folder / "photos" / "Test", 10, first=100)
    (folder / "photos" / "Training" / "apple" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    pomona("run", folder / "photos", folder / "results", "-k", "4", "--max-reject-rate", "0.5", "--no-report", *small(network))
    return folder / "results"


def type_name(field):
    kind = field.type
    name = "fixed_size_list of float32" if pa.types.is_fixed_size_list(kind) else str(kind)
    assert not pa.types.is_fixed_size_list(kind) or kind.value_type == pa.float32()
    return name + ("" if field.nullable else ", never null")


@pytest.mark.parametrize("name, heading", [("features", "features"), ("reduced", "reduced"), ("features/_rejects", "_rejects")])
def test_columns(results, name, heading):
    part = next((results / name).glob("part-*.parquet"))
    assert table(heading) == [(field.name, type_name(field)) for field in pq.read_schema(part)]


def test_run_record(results):
    said = dict(table("_run.json", "| field"))
    features = json.loads((results / "features" / "_run.json").read_text())
    components = json.loads((results / "reduced" / "_run.json").read_text())
    assert set(said) == set(features) | set(components)
    only = {name for name, what in said.items() if what.endswith("(features)")}
    assert only == set(features) - set(components)
    assert {name for name, what in said.items() if what.endswith("(components)")} == set(components) - set(features)
    part = dict(table("_run.json", "| field of `parts`"))
    assert set(part) == set(features["parts"][0]) == set(components["parts"][0])


def test_pca_file(results):
    data = (results / "pca" / "pca.bin").read_bytes()
    magic, version, length = struct.unpack_from("<8sII", data)
    assert magic.decode() in PAGE and version == 1
    header = json.loads(data[16:16 + length])
    assert {name for name, _ in table("pca.bin", "| field")} == set(header)
    d, k, spectrum = header["d"], header["k"], header["spectrum"]
    assert len(data) == 16 + length + 4 * d + 4 * k * d + 8 * spectrum + 8


def test_model_file(results):
    import onnx

    model = onnx.load(results / "model.onnx")
    assert {name for name, _ in table("model.onnx", "| key")} == {prop.key for prop in model.metadata_props} | {"pomona.card"}
    assert [value.name for value in model.graph.input] == ["input"]
    for output in model.graph.output:
        assert f"`{output.name}`" in PAGE
