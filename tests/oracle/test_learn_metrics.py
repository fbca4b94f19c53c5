# SPDX-License-Identifier: Apache-2.0
"""Pomona's metrics against scikit-learn's."""
import numpy as np
import pytest
from learn_tool import TOOL, run
from sklearn import metrics

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built")


@pytest.mark.parametrize("classes,photos,seed", [(3, 50, 0), (7, 400, 1), (36, 2000, 2)])
def test_equal_scikit_learns(classes, photos, seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes - 1, photos).astype(np.int32)  # the last class never occurs
    logits = rng.standard_normal((photos, classes)) + 2 * np.eye(classes)[truth]
    p = np.exp(logits)
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    said = p.argmax(axis=1)
    ours = run("measure", {"truth": truth, "p": p}, classes=classes)
    labels = np.arange(classes)
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert ours["top3"] == pytest.approx(metrics.top_k_accuracy_score(truth, p, k=3, labels=labels))
    with pytest.warns() if set(said) - set(truth) else np.errstate():
        assert ours["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, said))
    assert ours["macro_f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro", zero_division=0))
    assert ours["log_loss"] == pytest.approx(metrics.log_loss(truth, p.astype(np.float64), labels=labels), rel=1e-5)
    assert np.array_equal(ours["confusion"], metrics.confusion_matrix(truth, said, labels=labels))
    each = metrics.precision_recall_fscore_support(truth, said, labels=labels, zero_division=0)
    np.testing.assert_allclose(np.array(ours["classes"]).T, each, atol=1e-12)
