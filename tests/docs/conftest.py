# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the pages."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from surroundings import environment  # noqa: E402


@pytest.fixture(scope="session")
def reader_env(pomona, tmp_path_factory):
    return environment(pomona.path, tmp_path_factory.mktemp("reader"))
