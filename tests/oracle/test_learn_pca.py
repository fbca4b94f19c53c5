# SPDX-License-Identifier: Apache-2.0
"""Pomona's PCA against scikit-learn's and numpy's float64."""
import numpy as np
import pytest
from learn_tool import TOOL, run
from sklearn.decomposition import PCA

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built")


def features(n, d, seed=0, mean=0.3):
    """Like what a network gives: not negative, correlated, of falling variance."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((min(d, 80), d)) * np.geomspace(2, 0.1, min(d, 80))[:, None]
    x = rng.standard_normal((n, min(d, 80))) @ mix + 0.1 * rng.standard_normal((n, d)) + mean
    return np.maximum(x, 0).astype(np.float32)


def ours(x, **job):
    n, d = x.shape
    result = run("pca", {"x": x}, n=n, d=d, **job)
    result["components"] = result["components"].reshape(result["k"], d)
    result["y"] = result["y"].reshape(n, result["k"])
    return result


def signs(rows):
    """+-1 for each row, by its largest absolute value."""
    return np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])


def assert_equal_to_sklearn(x, result):
    k = result["k"]
    theirs = PCA(n_components=k, svd_solver="full").fit(x.astype(np.float64))
    turn = signs(theirs.components_) * signs(result["components"])
    assert np.all(signs(result["components"]) > 0)
    assert np.allclose(result["mean"], theirs.mean_, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(result["spectrum"][:k], theirs.explained_variance_, rtol=2e-6)
    assert abs(result["explained"] - theirs.explained_variance_ratio_.sum()) < 1e-6
    # A component is known as well as its eigenvalue stands apart from its neighbours'.
    values = result["spectrum"]
    gaps = np.array([min([abs(values[i] - values[j]) for j in (i - 1, i + 1) if 0 <= j < len(values)])
                     for i in range(k)])
    error = np.abs(result["components"] - theirs.components_ * turn[:, None]).max(axis=1)
    assert np.all(error < 2e-7 + 5e-8 * values[0] / gaps)
    apart = gaps > 1e-3 * values[0]
    assert apart.sum() >= 3
    np.testing.assert_allclose(result["y"][:, apart], (theirs.transform(x) * turn)[:, apart],
                               atol=2e-4 * np.sqrt(values[0]))


@pytest.mark.parametrize("n,d,k", [(300, 40, 10), (1000, 257, 100), (90, 200, 20), (3000, 128, 64)])
def test_equals_scikit_learn(n, d, k):
    x = features(n, d)
    assert_equal_to_sklearn(x, ours(x, k=k, threads=2))


def test_equals_scikit_learns_covariance_solver_and_sign():
    x = features(2000, 96)
    result = ours(x, k=12, blocks=256)
    theirs = PCA(n_components=12, svd_solver="covariance_eigh").fit(x.astype(np.float64))
    turn = signs(theirs.components_)
    np.testing.assert_allclose(result["components"], theirs.components_ * turn[:, None], atol=3e-6)


def test_a_large_mean_costs_no_digits():
    x = (features(1500, 60, mean=0) + 300).astype(np.float32)
    assert_equal_to_sklearn(x, ours(x, k=8, blocks=100))


def test_the_whole_spectrum_is_as_good_as_float64():
    x = features(2500, 150)
    result = ours(x, k=5)
    exact = np.linalg.eigvalsh(np.cov(x.astype(np.float64).T))[::-1]
    assert np.abs(result["spectrum"] - exact).max() < 1e-7 * exact[0]


@pytest.mark.parametrize("n,d", [(60, 500), (200, 3000)])
def test_wide_rows(n, d):
    x = features(n, d)
    result = ours(x, k=20, wide=True, threads=2)
    assert len(result["spectrum"]) == n
    assert_equal_to_sklearn(x, result)


def test_share_of_the_variance():
    x = features(800, 64)
    for share in (0.7, 0.92, 0.95):
        theirs = PCA(n_components=share, svd_solver="full").fit(x.astype(np.float64))
        assert ours(x, variance=share)["k"] == theirs.n_components_


def test_center_off_is_a_projection_without_the_mean():
    """As Spark MLlib does: components of the centred covariance, applied to the row as it is."""
    x = features(500, 30)
    result = ours(x, k=4, center=False)
    np.testing.assert_allclose(result["y"], x @ result["components"].T, atol=1e-4)
    values, vectors = np.linalg.eigh(np.cov(x.astype(np.float64).T))
    np.testing.assert_allclose(np.abs(result["components"]), np.abs(vectors[:, :-5:-1].T), atol=2e-6)


def test_bits_do_not_depend_on_threads():
    x = features(900, 300)
    one = ours(x, k=40, threads=1)
    for threads in (2, 5):
        many = ours(x, k=40, threads=threads)
        for name in ("components", "spectrum", "mean", "y"):
            assert np.array_equal(one[name], many[name]), name


def test_a_wrong_k_is_refused():
    with pytest.raises(RuntimeError, match="50 components asked for"):
        ours(features(20, 60), k=50)
