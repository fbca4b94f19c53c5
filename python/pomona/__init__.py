# SPDX-License-Identifier: Apache-2.0
"""Photos to feature vectors, a reduced table and answers: the C++ engine of the command `pomona`, from Python."""

from ._core import ArrowColumn, Error, __version__
from ._featurizer import Featurizer
from ._photos import Features, PhotoError

__all__ = ["ArrowColumn", "Error", "Features", "Featurizer", "PhotoError", "__version__"]
