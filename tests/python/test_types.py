# SPDX-License-Identifier: Apache-2.0
"""What a type checker makes of the package and its stubs, as a wheel brings them: mypy, on the package and on a user."""
import os
import re
import shutil
import subprocess
import sys

import pytest
from places import PACKAGE, ROOT

pytestmark = pytest.mark.slow  # mypy reads NumPy's stubs, too

USER = '''
import numpy
import pomona

reveal_type(pomona.Featurizer("lite").featurize(["a.jpg", b"bytes"]))
reveal_type(pomona.PCA(3).fit(numpy.zeros((4, 4))))
reveal_type(pomona.Moments(4).n)
reveal_type(pomona.load_model("model.onnx").predict(["a.jpg"])[0])
reveal_type(pomona.__version__)
try:
    pomona.read_dataset("results/features")
except pomona.Error as error:
    reveal_type(error.code)
pomona.Featurizer("lite", input_size="224")
pomona.Featurizer("lite", fit="stretch")
pomona.Moments("four")
pomona.featurise
'''


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """What mypy says, by file and line."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE / "pomona", site / "pomona", ignore=shutil.ignore_patterns("__pycache__", "_core.*", "_libs"))
    env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    subprocess.run([sys.executable, "-m", "nanobind.stubgen", "-q", "-r", "-m", "pomona._core", "-p",
                    ROOT / "python" / "stubs.txt", "-O", site / "pomona"], check=True, env=env)
    (site / "user.py").write_text(USER)
    done = subprocess.run([sys.executable, "-m", "mypy", "--no-incremental", "--ignore-missing-imports", "user.py", "pomona"],
                          cwd=site, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode in (0, 1), done.stdout
    return re.findall(r"^([\w/.]+):(\d+): (error|note): (.*)$", done.stdout, re.M)


def test_the_package_and_its_stubs_are_well_typed(checked):
    wrong = [one for one in checked if one[0] != "user.py" and one[2] == "error"]
    assert not wrong, "\n".join(map(str, wrong))


def test_a_user_sees_the_types(checked):
    shown = {int(line): text for file, line, kind, text in checked if file == "user.py" and kind == "note"}
    names = [re.search(r'Revealed type is "(.*)"', text)[1].rpartition(".")[2] for _, text in sorted(shown.items())
             if text.startswith("Revealed")]
    assert names == ["Features", "PCA", "int", "Prediction", "str", "str"]


def test_a_users_mistakes_are_found(checked):
    lines = USER.splitlines()
    wrong = [lines[int(line) - 1] for file, line, kind, _ in checked if file == "user.py" and kind == "error"]
    assert wrong == lines[-4:]
