# SPDX-License-Identifier: Apache-2.0
"""Photos with the same bytes are computed once, and have their rows as all others."""
import shutil

import pytest

from engine_support import assert_same_dataset, make_network, make_photos, record, rejects, small, table, vectors


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_network(tmp_path_factory.mktemp("network") / "net.onnx", d=24)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("originals") / "photos", 70)


@pytest.fixture
def copies(originals, tmp_path):
    """70 photos, 30 of them three times (twice beside the first, in the same batch), and a bad one four times."""
    folder = shutil.copytree(originals, tmp_path / "photos")
    for i in range(30):
        first = folder / ("apple", "pear")[i % 2] / f"{i:05d}.jpg"
        shutil.copy(first, first.with_name(f"{i:05d}-copy.jpg"))
        (folder / "zebra").mkdir(exist_ok=True)
        shutil.copy(first, folder / "zebra" / f"{i:05d}.jpg")
    for name in ("apple/00003-bad.jpg", "apple/00003-bad-copy.jpg", "pear/bad.jpg", "zebra/bad.jpg"):
        (folder / name).write_bytes(b"\xff\xd8\xff nothing")
    return folder


def features(dest):
    return {p: v.tobytes() for p, v in zip(table(dest)["path"].to_pylist(), vectors(dest))}


def test_copies_have_the_vector_of_the_first(pomona, network, originals, copies, tmp_path):
    words = [*small(network), "--rows-per-file", "50", "--max-reject-rate", "0.1"]
    pomona("featurize", originals, tmp_path / "alone", *words)
    alone = {p.rsplit("/", 1)[-1]: v for p, v in features(tmp_path / "alone").items()}
    assert len(set(alone.values())) == 70

    pomona("featurize", copies, tmp_path / "one", *words, "--threads", "1")
    counts = record(tmp_path / "one")["counts"]
    assert counts == {"listed": 134, "written": 130, "rejected": 4, "computed": 70, "reused": 0, "identical": 60}
    found = features(tmp_path / "one")
    assert len(found) == 130
    for path, vector in found.items():
        assert vector == alone[path.rsplit("/", 1)[-1].replace("-copy", "")], path
    by_name = {r["path"]: r for r in table(tmp_path / "one").select(["path", "label", "width"]).to_pylist()}
    assert by_name[str(copies / "zebra" / "00000.jpg")]["label"] == "zebra"
    assert {r["width"] for r in by_name.values()} == {48}

    refused = rejects(tmp_path / "one")
    assert len({r["path"] for r in refused}) == len(refused) == 4
    assert len({(r["stage"], r["reason"], r["bytes"]) for r in refused}) == 1

    for threads, batch in (("2", "4"), ("3", "1"), ("4", "16")):
        dest = tmp_path / f"threads-{threads}"
        pomona("featurize", copies, dest, *words, "--threads", threads, "--batch", batch)
        assert_same_dataset(dest, tmp_path / "one")
        assert record(dest)["counts"]["computed"] == 70


def test_copies_that_come_later_are_taken_from_before(pomona, network, originals, copies, tmp_path):
    words = [*small(network), "--rows-per-file", "50", "--max-reject-rate", "0.1"]
    pomona("featurize", copies, tmp_path / "expected", *words)
    shutil.rmtree(copies / "zebra")
    pomona("featurize", copies, tmp_path / "grown", *words)
    for i in range(30):
        (copies / "zebra").mkdir(exist_ok=True)
        shutil.copy(originals / ("apple", "pear")[i % 2] / f"{i:05d}.jpg", copies / "zebra" / f"{i:05d}.jpg")
    (copies / "zebra" / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    pomona("featurize", copies, tmp_path / "grown", *words, "--resume")
    counts = record(tmp_path / "grown")["counts"]
    assert counts["computed"] == counts["identical"] == 0 and counts["reused"] == 130
    assert_same_dataset(tmp_path / "grown", tmp_path / "expected")
