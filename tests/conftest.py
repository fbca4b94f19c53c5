# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the whole-program tests: the command, and real photos where they are."""
import fcntl
import hashlib
import os
import pathlib
import subprocess
import tarfile
import time

import pytest
from places import BUILD, SHARED


FRUITS360 = {
    "Training.tar": "2ab77bbfacd3d3bbdedd0aeb2151477ea289ade37931f41132aa177ad8453a61",
    "Test.tar": "1c85a349a7a59b366b7819e9e302d9ce207503dbcc1f49bbaf8a437523ab9251",
}


class Pomona:
    """Runs the command; what it printed and how it ended come back."""

    def __init__(self, path):
        self.path = str(path)

    def __call__(self, *words, code=0, **options):
        options.setdefault("timeout", 300)
        options.setdefault("capture_output", True)
        if "input" not in options and "stdin" not in options:
            options["stdin"] = subprocess.DEVNULL
        done = subprocess.run([self.path, *map(os.fspath, words)], **options)
        shown = (done.stdout or b"") + (done.stderr or b"")
        if code is not None:
            assert done.returncode == code, f"exit {done.returncode}, expected {code}:\n{shown.decode(errors='replace')}"
        return done

    def start(self, *words, **options):
        return subprocess.Popen([self.path, *map(os.fspath, words)], **options)


def pytest_runtest_setup(item):
    """CI has an hour: tests that would begin after POMONA_TEST_DEADLINE (seconds since 1970) are skipped and say so."""
    deadline = os.environ.get("POMONA_TEST_DEADLINE")
    if deadline and time.time() > float(deadline):
        pytest.skip("the time for this run of the tests is over (POMONA_TEST_DEADLINE)")


@pytest.fixture(scope="session")
def pomona():
    path = pathlib.Path(os.environ.get("POMONA_BIN", BUILD / "bin" / "pomona"))
    if not path.exists():
        pytest.fail(f"{path} is not there: run `make build` first")
    return Pomona(path)


@pytest.fixture
def mount_disk(tmp_path):
    """mount_disk(size): a disk of so many bytes ("300k"). `busy`: programs may still use it when the test ends."""
    mounted = []

    def mount(size, busy=False):
        place = tmp_path / f"disk-{len(mounted)}"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "pomona-test", place], capture_output=True)
        if done.returncode != 0:
            pytest.skip("a small disk cannot be mounted here (needs root): " + done.stderr.decode().strip())
        mounted.append(["umount", *(["-l"] if busy else []), place])
        return place

    yield mount
    for words in mounted:
        subprocess.run(words, check=True)


@pytest.fixture(scope="session")
def shared_data():
    if not SHARED.is_dir():
        pytest.skip(f"real photos are not at {SHARED} (POMONA_SHARED names another place)")
    return SHARED


@pytest.fixture(scope="session")
def fruits360(shared_data):
    """The folder with Training/ and Test/ of fruits360-subset, unpacked once per build folder."""
    folder = BUILD / "test-data" / "fruits360-subset"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".whole").exists():
            for name, sha256 in FRUITS360.items():
                archive = shared_data / "fruits360-subset" / name
                assert hashlib.sha256(archive.read_bytes()).hexdigest() == sha256, f"{archive} is damaged"
                with tarfile.open(archive) as tar:
                    # Debian 12's Python has no filters yet; the archive is known by its hash.
                    tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
            (folder / ".whole").touch()
    return folder
