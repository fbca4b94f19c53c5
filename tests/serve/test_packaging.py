# SPDX-License-Identifier: Apache-2.0
"""deploy/serve: the systemd unit and the container recipe fit the program as it is built."""
import pathlib
import re
import shutil
import subprocess

import pytest
from places import ROOT

SERVE = ROOT / "deploy" / "serve"


def run(*words, **options):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60, **options)


def verify(unit):
    return run("systemd-analyze", "verify", "--man=no", unit)


@pytest.fixture
def unit(pomona, tmp_path):
    """The unit, with the command where this build has it."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    text = (SERVE / "pomona.service").read_text()
    assert "ExecStart=/opt/pomona/build/bin/pomona serve" in text
    path = tmp_path / "pomona.service"
    path.write_text(text.replace("/opt/pomona/build/bin/pomona", pomona.path))
    return path


def test_systemd_takes_the_unit(unit):
    done = verify(unit)
    assert (done.returncode, done.stderr) == (0, "")
    # What it has to say of a mistake, so that silence means something.
    unit.write_text(unit.read_text().replace("RestartSec=2", "RestartSec=soon").replace("NoNewPrivileges", "NoPrivileges"))
    said = verify(unit).stderr
    assert "Failed to parse" in said and "NoPrivileges" in said


def test_the_unit_is_locked_in(unit):
    """systemd's own score of how exposed a service is: 0 best, 10 worst."""
    done = run("systemd-analyze", "security", "--offline=yes", unit)
    score = float(re.search(r"exposure level for pomona.service: ([\d.]+)", done.stdout)[1])
    print(f"exposure {score}")
    assert score <= 2.5, done.stdout


def closure(packages):
    """Packages with all that they depend on, as this machine has them."""
    table = {}
    for line in run("dpkg-query", "-W", "-f", "${Package}\t${Pre-Depends}, ${Depends}\n").stdout.splitlines():
        name, depends = line.split("\t")
        table[name] = re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]*)", depends)
    found, next_ones = set(), list(packages)
    while next_ones:
        name = next_ones.pop()
        if name not in found and name in table:
            found.add(name)
            next_ones += table[name]
    return found


def test_the_container_has_the_libraries_of_the_command(pomona):
    if not shutil.which("dpkg-query"):
        pytest.skip("no Debian packages here")
    recipe = (SERVE / "Containerfile").read_text().split("bookworm-slim")[1].replace("\\\n", " ")
    listed = set(re.search(r"--no-install-recommends ([^&]+)", recipe)[1].split()) - {"ca-certificates"}
    loaded = run("ldd", pomona.path).stdout
    assert "not found" not in loaded
    paths = [pathlib.Path(path) for path in re.findall(r"=> (/\S+)", loaded)]
    system = [path for path in paths if path.is_relative_to("/lib") or path.is_relative_to("/usr/lib")]
    # The rest comes along with the environment, which the recipe copies.
    assert {path.is_relative_to(ROOT / ".venv") for path in set(paths) - set(system)} <= {True}
    # A library is known by the path that its package has, which a merged /usr or a link may hide.
    places = {place: path.name for path in system
              for place in (str(path), str(pathlib.Path("/usr", *path.parts[1:])), str(path.resolve()))}
    told = (line.split(": ") for line in run("dpkg-query", "-S", *places).stdout.splitlines())
    owner = {places[place]: packages.split(":")[0] for packages, place in told if place in places}
    assert set(owner) == {path.name for path in system}
    base = {name for name, priority in (line.split("\t") for line in run(
        "dpkg-query", "-W", "-f", "${Package}\t${Priority}\n").stdout.splitlines()) if priority == "required"}
    have = closure(listed | base)
    assert {name: package for name, package in owner.items() if package not in have} == {}
    assert listed - set(owner.values()) == set(), "listed, but the command does not load it"


def test_the_container_takes_no_build_of_another_folder():
    """CMake refuses a build folder that was made elsewhere: what set-up made on this machine is not copied."""
    assert "COPY . ." in (SERVE / "Containerfile").read_text()
    made = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/")]
    assert "build" in made and ".venv" in made
    assert set(made) <= set((ROOT / ".dockerignore").read_text().splitlines())
