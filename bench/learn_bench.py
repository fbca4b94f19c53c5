# SPDX-License-Identifier: Apache-2.0
"""Training against scikit-learn, on the same arrays and threads, in turns; the best of three of each.

Prints lines `BENCH name value unit`. Run as `OMP_NUM_THREADS=2 python bench/learn_bench.py`.
"""
import os
import pathlib
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")
THREADS = int(os.environ["OMP_NUM_THREADS"])
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "oracle"))

import numpy as np
from learn_tool import run
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

ROUNDS = 3


def in_turns(theirs, ours):
    """(their seconds, our seconds): the least of each, taken by turns so that both meet the same load."""
    their_seconds, our_seconds = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        theirs()
        their_seconds.append(time.perf_counter() - start)
        our_seconds.append(ours())
    return min(their_seconds), min(our_seconds)


def report(name, theirs, ours):
    print(f"# {name}: scikit-learn {theirs:.3f} s, pomona {ours:.3f} s", flush=True)
    print(f"BENCH {name} {theirs / ours:.2f} x", flush=True)


def pca():
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((20000, 1280), dtype=np.float32), 0)
    report("pca_over_sklearn", *in_turns(
        lambda: PCA(n_components=100, svd_solver="covariance_eigh").fit(x),
        lambda: run("pca", {"x": x}, n=len(x), d=x.shape[1], k=100, threads=THREADS)["seconds"]))


def features(n, d, classes, seed):
    """Like a network's features of photos: not negative, correlated, of falling variance, classes apart."""
    mix = np.random.default_rng(0).standard_normal((200, d)) * np.geomspace(1, 0.05, 200)[:, None]
    centres = np.random.default_rng(1).standard_normal((classes, 200))
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n).astype(np.int32)
    x = np.maximum((centres[y] + 0.7 * rng.standard_normal((n, 200))) @ mix / 3, 0)
    return x.astype(np.float32), y


def trained(kind, x, y, **job):
    return run("train", {"x": x, "y": y, "test": x[:1]}, kind=kind, n=len(x), d=x.shape[1],
               classes=int(y.max()) + 1, threads=THREADS, **job)["seconds"]


def logistic():
    x, y = features(5606, 1280, 36, 2)
    report("logistic_over_sklearn", *in_turns(lambda: LogisticRegression(max_iter=200).fit(x, y),
                                              lambda: trained("logistic", x, y)))


def forest():
    x, y = features(5606, 1280, 36, 2)
    x = PCA(n_components=100, svd_solver="covariance_eigh").fit_transform(x)
    report("forest_over_sklearn", *in_turns(
        lambda: RandomForestClassifier(100, n_jobs=THREADS, random_state=0).fit(x, y),
        lambda: trained("forest", x, y)))


if __name__ == "__main__":
    pca()
    logistic()
    forest()
