# SPDX-License-Identifier: Apache-2.0
"""wheel_notices.py LOG WHEEL OUT: WHEEL with the notices of the libraries it carries: Debian's, which auditwheel put into it,
and Intel's.

LOG is auditwheel's, which names them. A library that belongs to no package is one of our own build. WHEEL is not
changed; OUT appears whole.
"""
import os
import pathlib
import re
import subprocess
import sys

from auditwheel.wheeltools import InWheelCtx

DEFAULT_NETWORK = "pomona/models/efficientnet-lite0.onnx"


def package_of(library):
    """The Debian package that ships a library; None where none does. /usr/lib and /lib are one folder."""
    for path in (library, os.path.realpath(library), os.path.realpath(library).removeprefix("/usr")):
        found = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    return None


def add_intel(folder):
    """The terms of oneDAL and oneTBB, of which the wheel carries copies, and those of what is in them."""
    environment = pathlib.Path(sys.prefix)
    folder.mkdir()
    for package in ("daal", "tbb"):
        [licence] = environment.glob(f"lib/python3*/site-packages/{package}-[0-9]*.dist-info/LICENSE.txt")
        (folder / f"{package}.txt").write_bytes(licence.read_bytes())
    for more in sorted((environment / "share" / "doc").glob("*/licensing/third-party-programs.txt")):
        (folder / f"{more.parts[-3]}-third-party-programs.txt").write_bytes(more.read_bytes())


def main(log, wheel, out):
    grafted = sorted(set(re.findall(r"Grafting: (\S+) ->", pathlib.Path(log).read_text())))
    packages = sorted({p for p in map(package_of, grafted) if p})
    if not packages:
        sys.exit(f"{log} names no library of Debian's: auditwheel's log reads differently than it did")
    partial = pathlib.Path(out + ".partial.whl")
    with InWheelCtx(pathlib.Path(wheel), partial) as context:
        root = pathlib.Path(context.path)
        if not (root / DEFAULT_NETWORK).is_file():
            sys.exit(f"{wheel} lacks {DEFAULT_NETWORK}")
        notices = next(root.glob("*.dist-info")) / "licenses" / "debian"
        notices.mkdir(parents=True)
        for package in packages:
            text = pathlib.Path("/usr/share/doc", package, "copyright").read_bytes()
            (notices / f"{package}.txt").write_bytes(text)
        add_intel(notices.parent / "intel")
    partial.replace(out)
    print(f"{len(grafted)} libraries of {len(packages)} Debian packages")


if __name__ == "__main__":
    main(*sys.argv[1:])
