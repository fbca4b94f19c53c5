# SPDX-License-Identifier: Apache-2.0
"""The PCA of a run against scikit-learn's on the written features; saved, applied, refused; very wide vectors."""
import concurrent.futures
import csv
import os
import shutil

import numpy as np
import pytest
from sklearn.decomposition import PCA

from engine_support import make_network, make_photos, record, small, table, vectors


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_network(tmp_path_factory.mktemp("network") / "net.onnx", d=64)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos") / "photos", 300)


@pytest.fixture(scope="module")
def results(pomona, network, photos, tmp_path_factory):
    dest = tmp_path_factory.mktemp("results") / "r"
    pomona("run", photos, dest, *small(network), "--variance", "0.9", "--one-csv", "--rows-per-file", "128")
    return dest


def test_a_csv_into_a_pipe(pomona, results, tmp_path):
    """A pipe or device is written to, never replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        text = reader.submit(pipe.read_text)
        pomona("reduce", results / "features", tmp_path / "reduced", "-k", "3", "--csv", pipe)
        assert len(text.result(timeout=60).splitlines()) == 301
    assert pipe.is_fifo()


def sklearn_pca(x, k):
    """In float64, its signs set as ours: the largest absolute loading is positive."""
    pca = PCA(n_components=k, svd_solver="covariance_eigh").fit(x.astype(np.float64))
    w = pca.components_
    signs = np.sign(w[np.arange(len(w)), np.abs(w).argmax(1)])
    return pca, w * signs[:, None]


def assert_components(y, x, k, fitted_on=None):
    pca, w = sklearn_pca(x if fitted_on is None else fitted_on, k)
    expected = (x - pca.mean_) @ w.T
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() < 1e-5 * np.abs(expected).max()


def test_variance(results):
    x, y = vectors(results / "features"), vectors(results / "reduced", "components")
    pca = PCA(svd_solver="covariance_eigh").fit(x.astype(np.float64))
    share = np.cumsum(pca.explained_variance_ratio_)
    k = y.shape[1]
    assert share[k - 1] >= 0.9 > share[k - 2]
    assert_components(y, x, k)
    run = record(results / "reduced")
    assert run["pca"]["k"] == k and abs(run["pca"]["explained"] - share[k - 1]) < 1e-7
    features, reduced = table(results / "features"), table(results / "reduced")
    for name in ("path", "label", "width", "height", "content_hash"):
        assert reduced[name].equals(features[name])
    with open(results / "reduced.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "label"] + [f"c{i}" for i in range(k)]
    assert (np.array([r[2:] for r in rows[1:]], np.float32) == y).all()


@pytest.mark.parametrize("flags", [["-k", "1"], ["-k", "7", "--threads", "1"], ["-k", "7", "--threads", "3"], []])
def test_reduce(pomona, results, tmp_path, flags):
    pomona("reduce", results / "features", tmp_path / "out", *flags, "-q")
    y = vectors(tmp_path / "out", "components")
    assert_components(y, vectors(results / "features"), y.shape[1])
    if flags:
        assert y.shape[1] == int(flags[1])
    assert (tmp_path / "out" / "_pca.bin").exists()


def test_without_centering(pomona, results, tmp_path):
    pomona("reduce", results / "features", tmp_path / "out", "-k", "5", "--no-center", "-q")
    x = vectors(results / "features")
    _, w = sklearn_pca(x, 5)
    expected = x @ w.T
    assert np.abs(vectors(tmp_path / "out", "components") - expected).max() < 1e-5 * np.abs(expected).max()


def test_applied_to_new_photos(pomona, results, network, tmp_path):
    new = make_photos(tmp_path / "new", 20, first=5000)
    pomona("run", new, tmp_path / "out", *small(network), "--pca", results / "pca" / "pca.bin")
    assert_components(vectors(tmp_path / "out" / "reduced", "components"), vectors(tmp_path / "out" / "features"),
                      vectors(results / "reduced", "components").shape[1], fitted_on=vectors(results / "features"))
    # And once more on the dataset, by reduce.
    pomona("reduce", tmp_path / "out" / "features", tmp_path / "again", "--pca", results / "pca" / "pca.bin", "-q")
    assert (vectors(tmp_path / "again", "components") == vectors(tmp_path / "out" / "reduced", "components")).all()


def test_a_pca_of_other_features_is_refused(pomona, results, photos, tmp_path):
    for name, network, words in (
            ("width", make_network(tmp_path / "narrow.onnx", d=32), ["64", "32"]),
            ("network", make_network(tmp_path / "other.onnx", d=64, seed=11), ["network_sha256"])):
        done = pomona("run", photos, tmp_path / name, *small(network), "--limit", "20", "--pca",
                      results / "pca" / "pca.bin", code=1)
        assert all(word in done.stderr.decode() for word in words), done.stderr
        assert not (tmp_path / name / "reduced" / "_SUCCESS").exists()


def test_damaged_and_missing_pca_files(pomona, results, tmp_path):
    whole = (results / "pca" / "pca.bin").read_bytes()
    for name, data in {"cut": whole[:len(whole) // 2], "flipped": whole[:500] + bytes([whole[500] ^ 1]) + whole[501:],
                       "empty": b"", "text": b"no PCA at all"}.items():
        (tmp_path / name).write_bytes(data)
        done = pomona("reduce", results / "features", tmp_path / "out", "--pca", tmp_path / name, "-q", code=1)
        assert done.stderr.startswith(b"pomona: ") and b"internal" not in done.stderr
    pomona("reduce", results / "features", tmp_path / "out", "--pca", tmp_path / "nowhere", "-q", code=1)
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_too_many_components(pomona, results, photos, network, tmp_path):
    done = pomona("reduce", results / "features", tmp_path / "out", "-k", "65", "-q", code=2)
    assert b"64" in done.stderr
    done = pomona("run", photos, tmp_path / "few", *small(network), "--limit", "5", "-k", "6", code=2)
    assert b"5" in done.stderr
    # What was featurized is not lost.
    pomona("run", photos, tmp_path / "few", *small(network), "--limit", "5", "-k", "3", "--resume")
    assert record(tmp_path / "few" / "features")["counts"]["computed"] == 0


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """As wide as VGG16 without pooling: 7 x 7 x 512 = 25,088."""
    return make_network(tmp_path_factory.mktemp("wide") / "wide.onnx", d=512, pooled=False, side=56)


def test_wide_vectors(pomona, wide, photos, tmp_path):
    flags = ["--model", wide, "--preprocess", "tf", "--pool", "none", "--layer", "r2", "--precision", "f32", "-q"]
    pomona("run", photos, tmp_path / "out", *flags, "--limit", "60", "-k", "10")
    x, y = vectors(tmp_path / "out" / "features"), vectors(tmp_path / "out" / "reduced", "components")
    assert x.shape == (60, 25088) and y.shape == (60, 10)
    # scikit-learn by SVD: a 25,088 x 25,088 matrix is not for tests.
    centered = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    _, _, w = np.linalg.svd(centered, full_matrices=False)
    w = w[:10]
    w *= np.sign(w[np.arange(10), np.abs(w).argmax(1)])[:, None]
    expected = centered @ w.T
    assert np.abs(y - expected).max() < 1e-4 * np.abs(expected).max()
    pomona("run", photos, tmp_path / "pooled", *flags[:4], "--pool", "avg", *flags[6:], "--limit", "60", "-k", "10")
    assert vectors(tmp_path / "pooled" / "features").shape == (60, 512)


def test_wide_and_many_names_the_way_out(pomona, wide, tmp_path):
    """More vectors than numbers in each, or more than memory takes: said at once, before days of work."""
    # Past the widest moment matrix (d = 8,192), with more vectors than the other way takes.
    import pyarrow as pa
    import pyarrow.parquet as pq
    d, n = 8200, 8300
    (tmp_path / "wide").mkdir()
    schema = pa.schema([("path", pa.string()), ("features", pa.list_(pa.float32(), d))])
    with pq.ParquetWriter(tmp_path / "wide" / "part.parquet", schema) as writer:
        for first in range(0, n, 1660):
            rows = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(1660 * d, np.float32)), d)
            writer.write_table(pa.table([pa.array([str(first + i) for i in range(1660)]), rows], schema=schema))
    done = pomona("reduce", tmp_path / "wide", tmp_path / "out", "-k", "10", "-q", code=2, timeout=60)
    assert b"--pool avg" in done.stderr
    shutil.rmtree(tmp_path / "wide")


def test_features_are_not_replaced_by_their_components(pomona, results, tmp_path):
    """--overwrite would remove what is read."""
    features = tmp_path / "features"
    shutil.copytree(results / "features", features)
    os.symlink(features, tmp_path / "link")
    part = next(features.glob("part-*"))
    before = {p: p.read_bytes() for p in features.rglob("*") if p.is_file()}
    for source in (features, tmp_path / "link", part):
        done = pomona("reduce", source, features, "-k", "3", "--overwrite", code=2)
        assert b"where the vectors are read from" in done.stderr and b"another folder" in done.stderr
    assert {p: p.read_bytes() for p in features.rglob("*") if p.is_file()} == before
    done = pomona("reduce", features, results / "reduced", "-k", "3", code=1)
    assert b"--overwrite" in done.stderr and b"--resume" not in done.stderr, "reduce has no --resume"
