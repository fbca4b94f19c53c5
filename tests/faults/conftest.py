# SPDX-License-Identifier: Apache-2.0
"""One bench for all injected runs of a session."""
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "faults"), str(TESTS), str(TESTS / "stores"), str(TESTS / "serve")]

from bench import Bench, Unavailable  # noqa: E402


@pytest.fixture(scope="session")
def bench(pomona):
    try:
        made = Bench(pomona.path)
    except Unavailable as why:
        pytest.skip(str(why))
    yield made
    made.close()
