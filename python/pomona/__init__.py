# SPDX-License-Identifier: Apache-2.0
"""Photos to feature vectors, a reduced table and answers: the C++ engine of the command `pomona`, from Python."""

from . import _libs

_libs.preload()

# ruff: noqa: E402 -- the libraries must be there first
from ._core import ArrowColumn, Error, __version__
from ._dataset import Dataset, read_dataset
from ._featurizer import Featurizer
from ._model import Answer, Model, Prediction, Target, load_model
from ._pca import PCA, Moments, NotFittedError
from ._photos import Features, Photo, PhotoError

__all__ = [
    "Answer",
    "ArrowColumn",
    "Dataset",
    "Error",
    "Features",
    "Featurizer",
    "Model",
    "Moments",
    "NotFittedError",
    "PCA",
    "Photo",
    "PhotoError",
    "Prediction",
    "Target",
    "__version__",
    "load_model",
    "read_dataset",
]
