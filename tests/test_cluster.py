# SPDX-License-Identifier: Apache-2.0
"""Groups found without labels, and how well they agree with them; scikit-learn says the same of the same groups."""
import csv
import json

import pyarrow.parquet as pq
import pytest

from engine_support import make_network, make_photos, small, table


@pytest.fixture(scope="module")
def results(pomona, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    network = make_network(folder / "small.onnx")
    photos = make_photos(folder / "photos", 120, classes=("apple", "pear", "plum, \"blue\""))
    pomona("run", photos, folder / "results", "-k", "8", *small(network))
    return folder / "results"


def clusters_of(file):
    with open(file, newline="") as text:
        return {row["path"]: int(row["cluster"]) for row in csv.DictReader(text)}


def test_figures_are_those_of_scikit_learn(pomona, results, tmp_path):
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    done = pomona("cluster", results, "-k", "4", "-o", tmp_path / "c.csv", "--json", "-q")
    found = json.loads(done.stdout)
    clusters = clusters_of(tmp_path / "c.csv")
    rows = table(results / "reduced")
    assert list(clusters) == rows["path"].to_pylist()
    labels, groups = rows["label"].to_pylist(), list(clusters.values())
    assert found["adjusted_rand"] == pytest.approx(adjusted_rand_score(labels, groups), abs=1e-9)
    assert found["normalized_information"] == pytest.approx(normalized_mutual_info_score(labels, groups), abs=1e-9)
    most = [max(sum(g == c and l == name for g, l in zip(groups, labels)) for name in set(labels)) for c in range(4)]
    assert found["purity"] == pytest.approx(sum(most) / len(labels))
    assert [c["photos"] for c in found["clusters"]] == [groups.count(c) for c in range(4)]
    for number, cluster in enumerate(found["clusters"]):
        distances = [photo["distance"] for photo in cluster["nearest"]]
        assert distances == sorted(distances) and len(distances) == min(5, cluster["photos"])
        assert all(clusters[photo["path"]] == number for photo in cluster["nearest"])


def test_the_table_is_the_same_again_for_any_threads_and_as_parquet(pomona, results, tmp_path):
    pomona("cluster", results, "-k", "5", "-o", tmp_path / "a.csv", "--threads", "1", "-q")
    pomona("cluster", results, "-k", "5", "-o", tmp_path / "b.parquet", "--threads", "3", "-q")
    other = pq.read_table(tmp_path / "b.parquet").to_pylist()
    assert clusters_of(tmp_path / "a.csv") == {row["path"]: row["cluster"] for row in other}


def test_k_is_chosen_and_features_will_do(pomona, results):
    done = pomona("cluster", results / "features", "--most", "6", "--json", "-q")
    found = json.loads(done.stdout)
    assert found["reduced_here"] and 2 <= found["k"] <= 6
    best = max(found["trials"], key=lambda trial: trial["silhouette"])
    assert found["k"] == best["k"] and len(found["clusters"]) == found["k"]


def test_wrong_use_changes_nothing(pomona, results, tmp_path):
    kept = tmp_path / "kept.csv"
    kept.write_text("mine\n")
    assert b"--overwrite" in pomona("cluster", results, "-k", "3", "-o", kept, "-q", code=1).stderr
    assert kept.read_text() == "mine\n"
    assert b".csv" in pomona("cluster", results, "-k", "3", "-o", tmp_path / "x.txt", "-q", code=2).stderr
    assert b"auto" in pomona("cluster", results, "-k", "three", "-q", code=2).stderr
    assert b"at most 120" in pomona("cluster", results, "-k", "121", "-q", code=2).stderr
    pomona("cluster", tmp_path, "-q", code=1)
