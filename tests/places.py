# SPDX-License-Identifier: Apache-2.0
"""Where things are, for tests and their fixtures. (Several folders have a conftest of their own: none is importable.)"""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("POMONA_BUILD", ROOT / "build"))
PACKAGE = BUILD / "python"  # holds the package `pomona`
SHARED = pathlib.Path(os.environ.get("POMONA_SHARED", ROOT.parent / "shared" / "data"))
