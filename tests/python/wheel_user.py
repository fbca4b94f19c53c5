# SPDX-License-Identifier: Apache-2.0
"""Run with the wheel's interpreter: wheel_user.py PHOTOS MODEL. What a person does with the package, in one go."""
import pathlib
import sys

import numpy
import pomona

photos = sorted(pathlib.Path(sys.argv[1]).rglob("*.jpg"))
x = pomona.Featurizer("efficientnet-lite0").featurize(photos)
assert x.shape == (len(photos), 1280) and x.dtype == numpy.float32, (x.shape, x.dtype)
assert numpy.isfinite(x).all() and x.std(axis=0).max() > 0.01
pca = pomona.PCA(5).fit(x)
centred = x.astype(numpy.float64) - x.mean(axis=0, dtype=numpy.float64)
largest = numpy.linalg.svd(centred, compute_uv=False)[:5] ** 2 / (len(x) - 1)
numpy.testing.assert_allclose(pca.explained_variance_, largest, rtol=1e-4)
answers = pomona.load_model(sys.argv[2]).predict(photos)
right = sum(answer.label == photo.parent.name for answer, photo in zip(answers, photos))
assert right >= 0.9 * len(photos), f"{right} of {len(photos)} photos of the training set are named rightly"
print("all well")
