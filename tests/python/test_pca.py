# SPDX-License-Identifier: Apache-2.0
"""pomona.PCA against scikit-learn's; mergeable moments; files and pickles."""
import os
import pathlib
import pickle
import subprocess

import numpy as np
import pytest
from engine_support import small, vectors
from places import BUILD
from sklearn.base import clone
from sklearn.decomposition import PCA as Oracle
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import pomona


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return rng.standard_normal((500, 20)) @ rng.standard_normal((20, 20)) + 3


def test_equals_scikit_learn(x):
    for n_components in (5, 0.9, None):
        ours = pomona.PCA(n_components).fit(x)
        oracle = Oracle(n_components, svd_solver="covariance_eigh" if n_components != 0.9 else "full").fit(x)
        assert ours.n_components_ == oracle.n_components_
        sign = np.sign((ours.components_ * oracle.components_).sum(axis=1))
        assert np.abs(ours.components_ * sign[:, None] - oracle.components_).max() < 1e-5
        for name in ("mean_", "explained_variance_", "explained_variance_ratio_", "singular_values_"):
            # Ours sees float32: an error is relative to the largest value, not to each.
            expected = getattr(oracle, name)
            np.testing.assert_allclose(getattr(ours, name), expected, atol=1e-6 * np.abs(expected).max())
        np.testing.assert_allclose(ours.transform(x) * sign, oracle.transform(x), atol=1e-4)
        np.testing.assert_allclose(ours.inverse_transform(ours.transform(x)),
                                   oracle.inverse_transform(oracle.transform(x)), atol=1e-4)
        # Largest loading positive, whatever the sign elsewhere.
        assert (ours.components_[np.arange(len(sign)), np.abs(ours.components_).argmax(axis=1)] > 0).all()


def test_layouts_and_types(x):
    expected = pomona.PCA(4).fit(x.astype(np.float32)).components_
    for same in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        assert np.array_equal(pomona.PCA(4).fit(same).components_, expected)


def test_partial_fit_and_merged_moments_equal_one_pass(x):
    whole = pomona.PCA(6).fit(x)
    parts = pomona.PCA(6).partial_fit(x[:200]).partial_fit(x[200:])
    merged = pomona.Moments(20).add(x[:100]).merge(pickle.loads(pickle.dumps(pomona.Moments(20).add(x[100:]))))
    assert (merged.n, merged.d) == (500, 20)
    np.testing.assert_allclose(merged.gram, x.T @ x, rtol=1e-5, atol=1e-2)
    np.testing.assert_allclose(merged.sum, x.sum(axis=0), rtol=1e-5)
    for other in (parts, pomona.PCA(6).fit_moments(merged)):
        np.testing.assert_allclose(other.components_, whole.components_, atol=1e-5)
        np.testing.assert_allclose(other.explained_variance_, whole.explained_variance_, rtol=1e-6)


def test_an_estimator_among_others(x):
    assert clone(pomona.PCA(3, center=False)).get_params() == {"n_components": 3, "center": False, "n_jobs": None}
    with pytest.raises(ValueError, match="no parameter"):
        pomona.PCA().set_params(k=3)
    pipeline = make_pipeline(pomona.PCA(0.99), LogisticRegression(max_iter=1000)).fit(x, x[:, 0] > 3)
    assert pipeline.score(x, x[:, 0] > 3) > 0.95
    assert not hasattr(pomona.PCA(), "components_")


def test_files_and_pickles(x, tmp_path):
    fitted = pomona.PCA(5).fit(x)
    fitted.save(tmp_path / "pca.bin")
    for again in (pomona.PCA.load(tmp_path / "pca.bin"), pickle.loads(pickle.dumps(fitted))):
        assert again.transform(x).tobytes() == fitted.transform(x).tobytes()
    damaged = bytearray(fitted.serialize())
    damaged[-1] ^= 1
    with pytest.raises(pomona.Error) as caught:
        pomona.PCA.deserialize(bytes(damaged))
    assert caught.value.code == "format"


def test_the_command_applies_what_python_fitted(photos, small_network, tmp_path):
    command = os.environ.get("POMONA_BIN", BUILD / "bin" / "pomona")
    folder = pathlib.Path(photos[0]).parents[1]
    subprocess.run([command, "featurize", folder, tmp_path / "features", *small(small_network)], check=True)
    features = vectors(tmp_path / "features")
    fitted = pomona.PCA(4).fit(features)
    fitted.save(tmp_path / "pca.bin")
    subprocess.run([command, "reduce", tmp_path / "features", tmp_path / "reduced", "--pca", tmp_path / "pca.bin", "-q"],
                   check=True)
    assert vectors(tmp_path / "reduced", "components").tobytes() == fitted.transform(features).tobytes()


@pytest.mark.parametrize("n_components, bad, says", [
    (3, lambda x: x[0], "shape"), (3, lambda x: x[:1], "at least 2"), (21, lambda x: x, "between 1 and"),
    (3, lambda x: np.where(x > 9, np.nan, x), "NaN"), (1.5, lambda x: x, "share"), (3, lambda x: x.astype(str), "numbers"),
])
def test_wrong_input_is_a_value_error(x, n_components, bad, says):
    with pytest.raises(ValueError, match=says):
        pomona.PCA(n_components).fit(bad(x))


def test_transform_checks_its_input(x):
    fitted = pomona.PCA(3).fit(x)
    with pytest.raises(ValueError, match="20 are expected"):
        fitted.transform(x[:, :4])
    with pytest.raises(pomona.NotFittedError):
        pomona.PCA(3).transform(x)
