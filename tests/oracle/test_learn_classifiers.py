# SPDX-License-Identifier: Apache-2.0
"""Pomona's heads against scikit-learn's, and its forest against ONNX Runtime."""
import os

import numpy as np
import onnx
import onnxruntime
import pytest
from learn_tool import TOOL, run
from onnx import TensorProto, helper
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built")

CLASSES = 7


def clouds(n, d, seed, spread=1.0):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, d)) * 1.2 + 1
    scale = np.geomspace(1.5, 0.2, d)
    rng = np.random.default_rng(seed)
    y = rng.choice(CLASSES, n, p=np.arange(1, CLASSES + 1) / (CLASSES * (CLASSES + 1) / 2))
    y[:CLASSES] = np.arange(CLASSES)
    x = (centres[y] * scale + spread * scale * rng.standard_normal((n, d))).astype(np.float32)
    return x, y.astype(np.int32)


X, Y = clouds(900, 20, 1)
TEST, TRUTH = clouds(600, 20, 2)


def ours(kind, x=X, y=Y, test=TEST, **job):
    result = run("train", {"x": x, "y": y, "test": test}, kind=kind, n=len(x), d=x.shape[1], classes=CLASSES, **job)
    result["p"] = result["p"].reshape(len(test), CLASSES)
    return result


@pytest.mark.parametrize("c", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("balanced", [False, True])
def test_logistic_finds_scikit_learns_optimum(c, balanced):
    theirs = LogisticRegression(C=c, tol=1e-8, max_iter=5000, class_weight="balanced" if balanced else None)
    theirs.fit(X.astype(np.float64), Y)
    result = ours("logistic", c=c, balanced=balanced, tolerance=1e-7, threads=2)
    assert result["record"]["converged"]
    scale = np.abs(theirs.coef_).max()
    np.testing.assert_allclose(result["weights"].reshape(CLASSES, -1), theirs.coef_, atol=3e-3 * scale)
    np.testing.assert_allclose(result["p"], theirs.predict_proba(TEST), atol=1e-3)


def test_logistic_converges_with_its_own_tolerance():
    result = ours("logistic")
    theirs = LogisticRegression(tol=1e-8, max_iter=5000).fit(X.astype(np.float64), Y)
    assert result["record"]["converged"]
    np.testing.assert_allclose(result["p"], theirs.predict_proba(TEST), atol=5e-3)


@pytest.mark.parametrize("scale", [1e5, 1e6, 1e8])
def test_logistic_learns_from_features_of_any_scale(scale):
    """Networks without normalization give such numbers; a first step too long ended with a head that knew nothing."""
    result = ours("logistic", X * np.float32(scale), test=TEST * np.float32(scale))
    theirs = LogisticRegression().fit(X.astype(np.float64), Y)
    assert (result["p"].argmax(1) == TRUTH).mean() > (theirs.predict(TEST) == TRUTH).mean() - 0.05


@pytest.mark.parametrize("scale", [1e-3, 1e-5, 1e-20])
@pytest.mark.parametrize("mean", [0, 3])
def test_logistic_takes_very_small_features_for_what_they_tell(scale, mean):
    """The penalty and the tolerance are for features of about 1: below, nothing was learned."""
    size = np.sqrt(X.astype(np.float64).var(axis=0).mean())
    theirs = LogisticRegression(tol=1e-8, max_iter=5000).fit((X + mean) / size, Y)
    small = [((x + mean) * scale).astype(np.float32) for x in (X, TEST)]
    result = ours("logistic", small[0], test=small[1])
    assert result["record"]["converged"]
    np.testing.assert_allclose(result["p"], theirs.predict_proba((TEST + mean) / size), atol=5e-3)


def test_logistic_with_two_classes_and_a_large_mean():
    x, y = X[Y < 2] + 50, Y[Y < 2]
    result = run("train", {"x": x, "y": y, "test": x}, kind="logistic", n=len(x), d=20, classes=2)
    # Two rows of weights, each penalized, are as one row w with half the penalty: |w/2|^2 + |w/2|^2 = |w|^2 / 2.
    theirs = LogisticRegression(C=2.0, tol=1e-8, max_iter=5000).fit(x.astype(np.float64) - 50, y)
    np.testing.assert_allclose(result["p"].reshape(-1, 2), theirs.predict_proba(x - 50), atol=5e-3)


@pytest.mark.parametrize("shrinkage", [0.0, 0.1, 0.7])
def test_lda_equals_scikit_learns_without_and_with_shrinkage(shrinkage):
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=None)
    theirs.fit(X.astype(np.float64), Y)
    counts = np.bincount(Y)
    within = sum(counts[c] * np.cov(X[Y == c].astype(np.float64).T, bias=True) for c in range(CLASSES)) / len(X)
    shrunk = (1 - shrinkage) * within + shrinkage * np.trace(within) / 20 * np.eye(20)
    logits = TEST @ np.linalg.solve(shrunk, theirs.means_.T) + (
        np.log(counts / len(X)) - 0.5 * np.sum(theirs.means_ * np.linalg.solve(shrunk, theirs.means_.T).T, axis=1))
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    result = ours("lda", shrinkage=shrinkage, threads=2)
    np.testing.assert_allclose(result["p"], expected, atol=1e-4)
    if shrinkage == 0:
        np.testing.assert_allclose(result["p"], theirs.predict_proba(TEST), atol=1e-3)


def test_lda_shrinks_by_itself_where_rows_are_few():
    x, y = clouds(60, 200, 3)
    test, truth = clouds(400, 200, 4)
    result = ours("lda", x, y, test)
    assert 0.02 < result["record"]["shrinkage"] <= 1
    plain = ours("lda", x, y, test, shrinkage=0.0)
    score = lambda p: np.mean(p.argmax(axis=1) == truth)
    assert score(result["p"]) > score(plain["p"])


def test_forest_is_as_good_as_scikit_learns():
    x, y = clouds(2000, 20, 5, 1.5)
    test, truth = clouds(2000, 20, 6, 1.5)
    theirs = RandomForestClassifier(100, random_state=0, n_jobs=2).fit(x, y).score(test, truth)
    result = ours("forest", x, y, test, threads=2)
    assert np.mean(result["p"].argmax(axis=1) == truth) > theirs - 0.02
    np.testing.assert_allclose(result["p"].sum(axis=1), 1, atol=1e-5)
    leaves = result["leaves"].reshape(-1, CLASSES)
    np.testing.assert_allclose(leaves.sum(axis=1), 1, atol=1e-5)


def test_forest_has_the_same_bits_on_one_core_as_on_all():
    everywhere = ours("forest", trees=40)
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})  # the tool inherits it
        alone = ours("forest", trees=40)
    finally:
        os.sched_setaffinity(0, allowed)
    for name in ("roots", "feature", "threshold", "left", "right", "leaves", "p"):
        assert np.array_equal(everywhere[name], alone[name]), name


def tree_ensemble(result, d):
    """The forest's arrays as an ONNX TreeEnsembleClassifier."""
    roots, feature = result["roots"], result["feature"]
    leaves = result["leaves"].reshape(-1, CLASSES)
    tree = np.zeros(len(feature), np.int64)
    tree[roots[1:]] = 1
    tree = np.cumsum(tree)
    index = np.arange(len(feature)) - roots[tree]
    split = feature >= 0
    left = np.where(split, result["left"] - roots[tree], 0)
    right = np.where(split, result["right"] - roots[tree], 0)
    at, of = np.nonzero(leaves[result["left"][~split]])
    node = np.flatnonzero(~split)[at]
    weight = leaves[result["left"][node], of] / len(roots)
    attributes = dict(
        nodes_treeids=tree.tolist(), nodes_nodeids=index.tolist(),
        nodes_featureids=np.maximum(feature, 0).tolist(), nodes_values=result["threshold"].tolist(),
        nodes_modes=np.where(split, "BRANCH_LEQ", "LEAF").tolist(),
        nodes_truenodeids=left.tolist(), nodes_falsenodeids=right.tolist(),
        class_treeids=tree[node].tolist(), class_nodeids=index[node].tolist(),
        class_ids=of.tolist(), class_weights=weight.tolist(),
        classlabels_int64s=list(range(CLASSES)), post_transform="NONE")
    made = helper.make_node("TreeEnsembleClassifier", ["x"], ["label", "p"], domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph([made], "forest", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, d])],
                              [helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, CLASSES])])
    return helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])


def test_forest_predicts_as_onnx_runtime_does():
    # Values on a grid fall on thresholds: the side they go to must agree too.
    grid = lambda a: np.round(a * 4).astype(np.float32) / 4
    result = ours("forest", grid(X), Y, grid(TEST), trees=30)
    model = tree_ensemble(result, 20)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(result["p"], session.run(["p"], {"x": grid(TEST)})[0], atol=2e-6)
