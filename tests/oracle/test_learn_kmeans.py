# SPDX-License-Identifier: Apache-2.0
"""Pomona's k-means, silhouette and purity against scikit-learn's."""
import numpy as np
import pytest
from learn_tool import TOOL, run
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.metrics.cluster import contingency_matrix
from threadpoolctl import threadpool_limits

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built")


def ours(x, labels=None, **job):
    arrays = {"x": x.astype(np.float32)}
    if labels is not None:
        arrays["labels"] = labels.astype(np.int32)
    result = run("kmeans", arrays, d=x.shape[1], **job)
    result["centres"] = result["centres"].reshape(result["k"], x.shape[1])
    return result


def theirs(x, k, seed=0):
    with threadpool_limits(1):  # waiting threads take long where the cores are busy
        return KMeans(k, n_init=10, random_state=seed).fit(x.astype(np.float32).astype(np.float64))


def inertia(x, result):
    x = x.astype(np.float32).astype(np.float64)
    return ((x - result["centres"][result["assignments"]].astype(np.float64)) ** 2).sum()


def blobs(n=1500, d=20, k=12, spread=1.0, seed=0):
    return make_blobs(n, d, centers=k, cluster_std=spread, random_state=seed)


@pytest.mark.parametrize("k", [2, 5, 8, 12, 30])
@pytest.mark.parametrize("spread", [1.0, 6.0])
def test_inertia_on_blobs_is_that_of_scikit_learn(k, spread):
    """Where k is not the number of blobs, both find one of many optima, by luck: means over some seeds."""
    x, _ = blobs(spread=spread)
    results = [ours(x, k=k, seed=seed, threads=2) for seed in range(4)]
    for result in results:
        assert result["converged"]
        assert result["inertia"] == pytest.approx(inertia(x, result), rel=1e-9)
    mean = np.mean([result["inertia"] for result in results])
    assert mean <= 1.01 * np.mean([theirs(x, k, seed).inertia_ for seed in range(4)])


@pytest.mark.parametrize("k", [3, 10, 25, 64])
def test_inertia_on_digits_is_that_of_scikit_learn(k):
    x, labels = load_digits(return_X_y=True)
    result = ours(x, labels, k=k, threads=2)
    reference = theirs(x, k)
    assert result["converged"]
    assert result["inertia"] == pytest.approx(inertia(x, result), rel=1e-9)
    assert result["inertia"] <= 1.01 * reference.inertia_
    matrix = contingency_matrix(labels, result["assignments"])
    assert result["purity"] == pytest.approx(matrix.max(axis=0).sum() / len(labels), abs=1e-12)
    print(f"k {k}: inertia {result['inertia'] / reference.inertia_:.4f} of scikit-learn's, purity "
          f"{result['purity']:.3f}, {result['seconds']:.3f} s")


def test_separate_blobs_are_found_as_scikit_learn_finds_them():
    x, labels = blobs()
    result = ours(x, labels, k=12)
    assert adjusted_rand_score(result["assignments"], theirs(x, 12).labels_) == 1
    assert result["purity"] == 1
    assert result["inertia"] == pytest.approx(theirs(x, 12).inertia_, rel=1e-9)


def test_silhouette_is_that_of_scikit_learn():
    for x in (blobs(800, spread=5.0)[0], load_digits().data[:700]):
        x = x.astype(np.float32).astype(np.float64)
        result = ours(x, k=9, threads=2)
        assert result["silhouette"] == pytest.approx(silhouette_score(x, result["assignments"]), abs=1e-9)


@pytest.mark.parametrize("k", [3, 7, 12])
def test_the_number_of_blobs_is_found(k):
    x, _ = blobs(2500, k=k, seed=k)
    result = ours(x, k_max=16, restarts=4, threads=2)
    assert result["k"] == k
    assert sorted(map(int, result["trials"])) == list(range(2, 17))
    assert max(result["trials"], key=result["trials"].get) == str(k)


def test_the_number_chosen_for_digits_is_the_one_scikit_learns_silhouettes_choose():
    x = load_digits().data  # fewer rows than the samples: nothing is drawn
    result = ours(x, k_max=14, threads=2)
    reference = {k: silhouette_score(x, theirs(x, k).labels_) for k in range(2, 15)}
    assert reference[result["k"]] >= max(reference.values()) - 0.003
    for k, value in reference.items():
        assert result["trials"][str(k)] == pytest.approx(value, abs=0.02)


def test_wrong_use_is_refused():
    with pytest.raises(RuntimeError, match="only 2 different rows"):
        ours(np.repeat([[1.0, 2.0], [3.0, 4.0]], 10, axis=0), k=3)
    with pytest.raises(RuntimeError, match="Row 1 .*NaN"):
        ours(np.array([[1.0], [np.nan], [3.0]]), k=2)
