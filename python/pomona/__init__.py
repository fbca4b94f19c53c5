# SPDX-License-Identifier: Apache-2.0
"""Photos to feature vectors, a reduced table and answers: the C++ engine of the command `pomona`, from Python."""

from ._core import Error, __version__

__all__ = ["Error", "__version__"]
