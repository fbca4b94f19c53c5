# SPDX-License-Identifier: Apache-2.0
"""In what surroundings the commands of the pages are run, and what pages need besides the command."""
import os
import pathlib
import shlex
import shutil
import sys

import storage_server
from places import PACKAGE, ROOT


def models_home():
    if os.environ.get("POMONA_HOME"):
        return pathlib.Path(os.environ["POMONA_HOME"]) / "models"
    data = os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local" / "share"
    return pathlib.Path(data) / "pomona" / "models"


def environment(pomona, folder):
    """A reader's: `pomona` and `python` on the path, a home of their own, nobody's credentials."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, line in (("pomona", f'exec {shlex.quote(os.path.abspath(pomona))} "$@"'),
                       ("python", f'PYTHONPATH={shlex.quote(str(PACKAGE))} exec {shlex.quote(sys.executable)} "$@"')):
        program = bin_folder / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    gateway = storage_server.find_versitygw()
    if gateway:
        (bin_folder / "versitygw").symlink_to(gateway)
    kept = ("PATH", "LANG", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env["PATH"] = f"{bin_folder}:{env['PATH']}"
    (folder / "home").mkdir()
    env["HOME"] = str(folder / "home")
    # The networks, and what was compiled of them, are this machine's.
    env["POMONA_BUNDLED_MODELS"] = str(models_home())
    env["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME", str(pathlib.Path.home() / ".cache"))
    env["AWS_EC2_METADATA_DISABLED"] = "true"
    env["POMONA_SOURCE"] = str(ROOT)  # for what a page does in a clone
    return env


def missing(need):
    """What this machine lacks of what a page needs, as a sentence; else None."""
    if need == "versitygw":
        return None if storage_server.find_versitygw() else "versitygw is missing: setup/versitygw.sh builds it where there is Go"
    if need == "python":
        return None if (PACKAGE / "pomona").is_dir() else f"the package `pomona` is not in {PACKAGE}"
    return None if shutil.which(need) else f"{need} is missing"
