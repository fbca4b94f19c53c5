# SPDX-License-Identifier: Apache-2.0
"""The inventory of licences (docs/licences.md, `make sbom`): nothing is linked or shipped that is not in it, nothing with a
licence that does not fit, and it says what the lock files say."""
import copy
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from places import BUILD, PACKAGE, ROOT

sys.path.insert(0, str(ROOT / "setup"))
import sbom  # noqa: E402

BINARY = pathlib.Path(os.environ.get("POMONA_BIN", BUILD / "bin" / "pomona"))


@pytest.fixture(scope="module")
def known():
    return json.loads(sbom.KNOWN.read_text())


@pytest.fixture(scope="module")
def everything(known):
    return sbom.inventory(known)


def test_the_page_says_what_the_locks_say():
    done = subprocess.run([sys.executable, ROOT / "setup" / "sbom.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_linked_or_shipped_may_go_out_under_apache_2(everything):
    assert sbom.objections(everything) == []
    names = {e["name"] for e in everything if e["use"] in ("linked", "shipped")}
    assert {"openvino", "pyarrow", "libheif1", "libx265-199", "onnxruntime-web", "efficientnet-lite0", "numpy"} <= names
    page = sbom.PAGE.read_text().split(sbom.MARK)[0]
    for name in sbom.EXPLAINED:  # an exception without words is none
        assert re.search({"libx265-199": "x265", "daal": "oneDAL", "tbb": "oneTBB"}[name], page)


def test_a_licence_that_does_not_fit_is_named(everything):
    more = copy.deepcopy(everything)
    one = next(e for e in more if e["name"] == "zlib1g")
    one["licence"] = "GPL-3.0-only"
    assert sbom.objections(more) == ["Debian 12 zlib1g 1.2.13: GPL-3.0-only"]
    for fits in ("MIT OR GPL-3.0-only", "BSD-3-Clause AND MIT", "GPL-3.0-or-later WITH GCC-exception-3.1"):
        assert sbom.allowed(fits), fits
    for not_fit in ("MIT AND GPL-3.0-only", "AGPL-3.0-only", "GPL-3.0-or-later", "SSPL-1.0", "CC-BY-NC-4.0", "NOASSERTION", ""):
        assert not sbom.allowed(not_fit), not_fit


@pytest.mark.parametrize("kind, name", [("pypi", "openvino 2026.4.1"), ("debian", "libheif-dev"), ("go", "github.com/versity/versitygw"),
                                        ("weights", "vgg16"), ("datasets", "fruits-360"), ("crates", "hdfs-sys"),
                                        ("maven", "delta-storage")])
def test_a_name_without_a_licence_is_refused(known, kind, name):
    """As when a lock file gets a new package, or a package a new version."""
    less = copy.deepcopy(known)
    del less[kind][name]
    with pytest.raises(sbom.Unknown, match=re.escape(name)):
        sbom.inventory(less)


def owners(libraries):
    """The Debian packages that ship these files; what none ships comes back too. /usr/lib and /lib are one folder."""
    asked = {}
    for library in libraries:
        real = os.path.realpath(library)
        for path in (library, real, real.removeprefix("/usr"), "/usr" + library):
            asked[path] = library
    told = subprocess.run(["dpkg", "-S", *asked], capture_output=True, text=True).stdout
    packages, found = set(), set()
    for line in told.splitlines():
        package, _, path = line.partition(": ")
        if path in asked:
            packages.add(package.split(":")[0])
            found.add(asked[path])
    return packages, set(libraries) - found


def loaded(*programs):
    found = set()
    for program in programs:
        own = {**os.environ, "LD_LIBRARY_PATH": str(PACKAGE / "pomona" / "_libs")}  # the module opens these by path
        said = subprocess.run(["ldd", program], capture_output=True, text=True, env=own).stdout
        assert "not found" not in said, said
        found |= set(re.findall(r"(?:=> |^\s)(/\S+)", said, re.M))
    return found


@pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")
def test_every_library_that_is_loaded_is_in_the_inventory(everything):
    programs = [BINARY, *PACKAGE.glob("pomona/_core*.so")]
    packages, others = owners(loaded(*programs))
    linked = {e["name"]: e for e in everything if e["use"] == "linked"}
    assert packages <= linked.keys(), "a library of Debian's that is not in setup/licences.json"
    for library in others:  # those of PyPI's packages, and our own copies of them
        name = pathlib.Path(library).name
        assert re.match(r"lib(arrow|parquet|openvino|onedal|tbb|pomona_(onedal|tbb))", name), library
    stale = {name for name, e in linked.items() if e["kind"] == "Debian 12" and not name.endswith("-dev")} - packages
    assert stale == set(), "in the inventory as linked, but loaded by nothing"


def test_the_wheel_carries_what_its_libraries_ask_for(tmp_path):
    pytest.importorskip("auditwheel")
    import wheel_notices

    wheel_notices.add_intel(tmp_path / "intel")
    names = {file.name for file in (tmp_path / "intel").iterdir()}
    assert {"daal.txt", "tbb.txt", "tbb-third-party-programs.txt"} <= names
    assert "Intel Simplified Software License" in (tmp_path / "intel" / "tbb.txt").read_text()
    notice = (ROOT / "NOTICE").read_text()
    for words in ("EfficientNet-Lite0", "Intel", "Debian", "ONNX Runtime Web", "MIT License"):
        assert words in notice
    assert re.search(r'license-files = \[.*"NOTICE"', (ROOT / "pyproject.toml").read_text())


def test_bills_of_materials_hold_everything_once(everything):
    made = sbom.cyclonedx(everything)
    refs = [c["bom-ref"] for c in made["components"]]
    assert len(refs) == len(set(refs)) == len(everything)
    assert set(made["dependencies"][0]["dependsOn"]) == {c["bom-ref"] for c in made["components"] if c["scope"] == "required"}
    assert made == sbom.cyclonedx(sbom.inventory(json.loads(sbom.KNOWN.read_text()))), "the same every time"
    other = sbom.spdx(everything)
    assert len(other["packages"]) == len(everything) + 1
    references = {info["licenseId"] for info in other["hasExtractedLicensingInfos"]}
    assert {word for e in everything for word in re.findall(r"LicenseRef-[\w-]+", e["licence"])} == references


@pytest.mark.slow
def test_bills_of_materials_are_valid(everything, tmp_path):
    python = ROOT / ".venv-sbom" / "bin" / "python"
    if not python.exists():
        pytest.skip("what validates them is not installed: make sbom")
    for name, made in (("a.cdx.json", sbom.cyclonedx(everything)), ("a.spdx.json", sbom.spdx(everything))):
        (tmp_path / name).write_text(json.dumps(made))
    words = [python, ROOT / "setup" / "sbom_validate.py"]
    done = subprocess.run([*words, tmp_path / "a.cdx.json", tmp_path / "a.spdx.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    broken = json.loads((tmp_path / "a.cdx.json").read_text())
    broken["components"][0]["type"] = "thing"
    (tmp_path / "b.cdx.json").write_text(json.dumps(broken))
    done = subprocess.run([*words, tmp_path / "b.cdx.json", tmp_path / "a.spdx.json"], capture_output=True, text=True)
    assert done.returncode == 1 and "is no CycloneDX" in done.stderr
