# SPDX-License-Identifier: Apache-2.0
"""The wheel, as setup/wheel.sh builds it: what it needs of a system, and that it works where Pomona was never built."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from engine_support import make_photos
from places import BUILD, ROOT

pytestmark = [pytest.mark.release, pytest.mark.timeout(3600)]

# Amazon Linux 2023: glibc 2.34 and the C++ runtime of gcc 11.
MOST = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (7, 0, 0)}
# Of the system: what manylinux_2_34 promises (PEP 600). Of the pinned packages: openvino's and pyarrow's.
OF_THE_SYSTEM = re.compile(r"(ld-linux-x86-64|lib(c|m|dl|rt|pthread|resolv|stdc\+\+|gcc_s|z))\.so\.\d+$")
OF_PACKAGES = re.compile(r"lib(openvino|arrow|arrow_s3|parquet)\.so\.\d+$")
MIRROR = os.environ.get("POMONA_DEBIAN_MIRROR", "http://deb.debian.org/debian")
USER = pathlib.Path(__file__).with_name("wheel_user.py")


def run(*words, **options):
    done = subprocess.run([os.fspath(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    run(ROOT / "setup" / "wheel.sh", out,
        env={**os.environ, "POMONA_WHEEL_BUILD": os.environ.get("POMONA_WHEEL_BUILD", str(BUILD / "wheel"))})
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"), 20)


def clean_environment(home):
    """Nothing of this user's, but for how pip reaches its index."""
    kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower().endswith("_proxy")
            or k in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
    return {**kept, "PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}


def test_needs_no_more_of_a_system_than_its_name_says(wheel, tmp_path):
    assert wheel.name.endswith("-manylinux_2_34_x86_64.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    programs = [p for p in tmp_path.rglob("*") if p.is_file() and open(p, "rb").read(4) == b"\x7fELF"]
    names = {p.name for p in programs}
    assert {"pomona", "libpomona_onedal.so.4"} < names and any(n.startswith("_core.") for n in names)
    wrong = []
    for program in programs:
        head = run("objdump", "-p", program)
        for needed in re.findall(r"NEEDED\s+(\S+)", head):
            # The command finds oneDAL by the folders that its launcher names, under the names it was given.
            if not (needed in names or OF_THE_SYSTEM.match(needed) or OF_PACKAGES.match(needed)):
                wrong.append(f"{program.name} needs {needed}")
        for line in head.partition("Version References:")[2].splitlines():
            for kind, version in re.findall(r"\b(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)$", line):
                if tuple(map(int, version.split("."))) > MOST[kind]:
                    wrong.append(f"{program.name} needs {kind}_{version}")
    assert not wrong, "\n".join(wrong)


def test_brings_network_and_notices(wheel):
    with zipfile.ZipFile(wheel) as packed:
        assert packed.testzip() is None
        sizes = {item.filename: item.file_size for item in packed.infolist()}
        notices = [n for n in sizes if "/licenses/debian/" in n]
        assert any(n.endswith("/libheif1.txt") for n in notices) and any(n.endswith("/libssl3.txt") for n in notices)
        # The encoder is GPL: what stands there is ours, and next to nothing.
        assert all(size < 50_000 for name, size in sizes.items() if "libx265" in name)
    assert sizes["pomona/models/efficientnet-lite0.onnx"] > 10_000_000
    assert sizes["pomona/_core/__init__.pyi"] > 1_000 and "pomona/py.typed" in sizes


def use(python, command, user, photos, model, **options):
    """Trains and predicts by the command; featurizes, reduces and predicts from Python."""
    run(*command, "train", photos, "-o", model, "-q", **options)
    lines = run(*command, "predict", model, photos, "--top", "1", **options).splitlines()
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(answers) == 20
    assert sum(pathlib.Path(a["path"]).parent.name == a["label"] for a in answers) >= 18
    assert run(*python, user, photos, model, **options).endswith("all well\n")


def test_works_in_a_fresh_environment(wheel, labelled, tmp_path):
    venv, home = tmp_path / "venv", tmp_path / "home"
    home.mkdir()
    run(sys.executable, "-m", "venv", venv)
    run(venv / "bin" / "pip", "install", "-q", wheel, env=clean_environment(home))
    use([venv / "bin" / "python"], [venv / "bin" / "pomona"], USER, labelled, tmp_path / "model.onnx",
        env=clean_environment(home), cwd=home)


@pytest.fixture(scope="module")
def bare_root():
    """The smallest Debian 12 with a Python, made once per user."""
    if os.geteuid() != 0:
        pytest.skip("a root of its own for the wheel needs the rights of root")
    if not shutil.which("debootstrap"):
        pytest.skip("debootstrap is not there (setup/apt-packages-test.txt)")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine allows no mount namespace (unshare --mount)")
    cache = pathlib.Path.home() / ".cache" / "pomona" / "bare"
    root = cache / "root"
    if not root.is_dir():
        half = cache / f"root.{os.getpid()}"
        half.mkdir(parents=True)
        made = subprocess.run(["debootstrap", "--variant=minbase", "--include=python3,python3-venv", "bookworm", half,
                               MIRROR], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode != 0:
            shutil.rmtree(half, ignore_errors=True)
            pytest.skip(f"debootstrap made no root from {MIRROR}: {made.stdout[-300:]}")
        half.rename(root)
    return root


def test_works_on_a_system_without_our_packages(wheel, labelled, bare_root, tmp_path):
    assert not list(bare_root.glob("usr/lib/x86_64-linux-gnu/lib*jpeg*")), "this root is not bare"
    # The root has no way to the package index; its pip gets what the machine's pip resolved.
    run(sys.executable, "-m", "pip", "download", "-q", "-d", tmp_path / "wheels", wheel)
    inside = pathlib.Path("/tmp") / f"pomona-wheel-{os.getpid()}"
    work = bare_root / inside.relative_to("/")
    try:
        shutil.copytree(tmp_path / "wheels", work / "wheels")
        shutil.copytree(labelled, work / "photos")
        shutil.copy(USER, work)
        # The loader finds a program's own folder by /proc; the mount is gone with the program.
        chroot = ["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', bare_root,
                  "env", "-i", "PATH=/usr/bin:/bin", f"HOME={inside}", "LANG=C.UTF-8"]
        run(*chroot, "python3", "-m", "venv", inside / "venv")
        run(*chroot, inside / "venv/bin/pip", "install", "-q", "--no-index", "--find-links", inside / "wheels", "pomona")
        use([*chroot, inside / "venv/bin/python"], [*chroot, inside / "venv/bin/pomona"], inside / USER.name,
            inside / "photos", inside / "model.onnx")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def test_pip_builds_it_from_the_sources_alone(labelled, tmp_path):
    """Debian's packages and an index are enough: no .venv, no network made before."""
    home = tmp_path / "home"
    home.mkdir()
    run("git", "clone", "-q", ROOT, tmp_path / "clone")
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(tmp_path / "venv" / "bin" / "pip", "install", "-q", tmp_path / "clone", env=clean_environment(home))
    shutil.rmtree(tmp_path / "clone")
    use([tmp_path / "venv" / "bin" / "python"], [tmp_path / "venv" / "bin" / "pomona"], USER, labelled,
        tmp_path / "model.onnx", env=clean_environment(home), cwd=home)


def test_build_without_its_libraries_says_what_to_do(tmp_path):
    run("git", "clone", "-q", ROOT, tmp_path / "clone")
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "scikit-build-core", "nanobind")
    done = subprocess.run([python, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path,
                           tmp_path / "clone"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode != 0 and not list(tmp_path.glob("*.whl"))
    assert "No Python environment at" in done.stdout and "make build" in done.stdout, done.stdout[-2000:]
