# SPDX-License-Identifier: Apache-2.0
"""`pomona package`: what brings Pomona onto a Spark cluster, made of what is installed here.

For EMR, Dataproc and clusters of your own: a relocatable environment, for `--archives FILE#environment`. It holds the
package, what it needs (the very files that are installed here, so nothing is fetched and executors compute with what you
tried) and pandas, which PySpark asks for; not PySpark, which a cluster brings. Its `bin/python` is a link to the
cluster's Python of the same version, as in any virtual environment. For Databricks: the wheel and the init script.

venv-pack would have to be fed a whole virtual environment without PySpark in it, and has had no release since 2018.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import gzip
import hashlib
import importlib.metadata
import io
import os
import pathlib
import re
import sys
import sysconfig
import tarfile
import tempfile
import time
import zipfile

VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
SITE = f"lib/{VERSION}/site-packages"
# What no executor opens: tests, what compilers read, and OpenVINO's parts for devices that the engine does not use.
UNUSED = re.compile(r"^(numpy|pandas|pyarrow)/(.*/)?tests?/|^(numpy|pyarrow|openvino)/(.*/)?include/|^pyarrow/src/|\.(a|pxd|pyx)$|"
                    r"^openvino/libs/(libopenvino_intel_[gn]pu_plugin\.so|cache\.json)$")
STAMP = 315532800  # 1980-01-01, the earliest a zip can say: the same content gives the same bytes


class Refused(Exception):
    """Nothing was made; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Where it goes: the cluster's Python (None: where this machine has it), its glibc, and how a job is started."""

    output: str
    python: str | None
    version: str | None
    glibc: tuple[int, int] | None
    use: str


# The driver's Python is that of the unpacked archive: in client mode nothing is unpacked for the driver.
_SUBMIT = ("  any other job: spark-submit --master {master} --archives {file}#environment "
           "--conf spark.pyspark.python=./environment/bin/python --conf spark.pyspark.driver.python=/opt/pomona/bin/python "
           "job.py")
TARGETS = {
    "emr": Target("pomona-env.tar.gz", "/usr/bin/python3.11", "python3.11", (2, 34), (
        "  up:            deploy/aws/emr.sh up STACK Vpc=.. Subnet=.. PhotosBucket=.. ResultsBucket=.. ArtifactsBucket=..\n"
        "  run:           deploy/aws/emr.sh run STACK s3://photos s3://results\n" + _SUBMIT)),
    "dataproc": Target("pomona-env.tar.gz", "/usr/bin/python3.11", "python3.11", (2, 36), (
        "  up:            deploy/gcp/dataproc.sh up CLUSTER REGION gs://artifacts SERVICE_ACCOUNT\n"
        "  run:           deploy/gcp/dataproc.sh run CLUSTER REGION gs://photos gs://results\n" + _SUBMIT)),
    "archive": Target("pomona-env.tar.gz", None, None, None, (
        "  driver:        mkdir -p /opt/pomona && tar -xzf {file} -C /opt/pomona\n"
        "  run:           /opt/pomona/bin/pomona run s3://photos s3://results --engine spark --master {master} "
        "--archives {file}#environment\n"
        + _SUBMIT)),
    "databricks": Target("pomona-databricks.zip", None, "python3.11", (2, 35), (
        "  unpack it into the volume /Volumes/main/pomona (init/init.sh, wheels/*.whl); in the cluster:\n"
        "  POMONA_WHEEL=/Volumes/main/pomona/wheels/{wheel}\n"
        "  deploy/databricks/cluster-aws.json and cluster-azure.json name both")),
}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class Installed:
    """A distribution as it is installed here."""

    def __init__(self, name: str) -> None:
        self.distribution = importlib.metadata.distribution(name)
        self.name, self.version = self.distribution.metadata["Name"], self.distribution.version
        self.needs = self.distribution.requires or []
        self.wheel_info = self.distribution.read_text("WHEEL") or ""
        if not self.wheel_info or self.distribution.files is None:
            raise Refused(f"{self.name} {self.version} here was not installed from a wheel (by the system's package manager, "
                          "or in place), so it cannot be taken along. Install pomona into a virtual environment of its own.")
        if "/direct_url.json" in "".join(map(str, self.distribution.files)) and '"editable"' in (
                self.distribution.read_text("direct_url.json") or ""):
            raise Refused(f"{self.name} is installed in place (pip install -e); install its wheel")

    def files(self):
        """(path below site-packages, size, a function that reads it, executable)."""
        for file in sorted(self.distribution.files, key=str):
            path = file.as_posix()
            # Scripts outside hold this machine's paths; INSTALLER and the like describe this installation.
            if path.startswith(("..", "/")) or path.endswith((".pyc", "/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json")):
                continue
            where = pathlib.Path(os.fspath(file.locate()))
            try:
                status = where.stat()
            except OSError as error:
                raise Refused(f"{self.name} {self.version} is damaged: {error}. pip install --force-reinstall it.") from error
            yield path, status.st_size, where.read_bytes, bool(status.st_mode & 0o111)


class WheelFile:
    """A distribution as a wheel file."""

    def __init__(self, file: pathlib.Path) -> None:
        self.file = file
        try:
            self.archive = zipfile.ZipFile(file)
            info = next(name for name in self.archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            self.wheel_info = self.archive.read(info.replace("METADATA", "WHEEL")).decode()
            metadata = importlib.metadata.PathDistribution(zipfile.Path(self.archive, info.rsplit("/", 1)[0] + "/"))
        except (OSError, zipfile.BadZipFile, StopIteration, KeyError) as error:
            raise Refused(f"{file} is not a wheel: {error or 'no METADATA'}") from error
        self.name, self.version, self.needs = metadata.metadata["Name"], metadata.version, metadata.requires or []
        if _plain(self.name) != "pomona":
            raise Refused(f"{file} is a wheel of {self.name}, not of pomona")

    def files(self):
        for info in sorted(self.archive.infolist(), key=lambda one: one.filename):
            if info.is_dir() or info.filename.endswith("/RECORD"):
                continue
            if ".data/" in info.filename:
                raise Refused(f"{self.file.name} holds {info.filename}, which only an installer can place: install it, and run "
                              "the command from there")
            yield (info.filename, info.file_size, lambda name=info.filename: self.archive.read(name),
                   bool(info.external_attr >> 16 & 0o111))


def glibc_of(part) -> tuple[int, int] | None:
    """The oldest glibc it runs with: (0, 0) for pure Python, None where it was built for one kind of machine."""
    found = []
    for tag in re.findall(r"^Tag: (\S+)", part.wheel_info, re.MULTILINE):
        platform = tag.rsplit("-", 1)[-1]
        platform = {"manylinux1_x86_64": "manylinux_2_5_x86_64", "manylinux2010_x86_64": "manylinux_2_12_x86_64",
                    "manylinux2014_x86_64": "manylinux_2_17_x86_64"}.get(platform, platform)
        if platform == "any":
            found.append((0, 0))
        elif match := re.fullmatch(r"manylinux_(\d+)_(\d+)_x86_64", platform):
            found.append((int(match[1]), int(match[2])))
    return min(found, default=None)


def own_package(wheel: str | None) -> Installed | WheelFile:
    """The package itself: the wheel that was named, what is installed, or in a source tree what setup/wheel.sh built."""
    if wheel:
        return WheelFile(pathlib.Path(wheel))
    try:
        return Installed("pomona")
    except importlib.metadata.PackageNotFoundError:
        pass
    built = pathlib.Path(__file__).resolve().parents[2] / "dist"
    wheels = sorted(built.glob(f"pomona-*-cp{sys.version_info[0]}{sys.version_info[1]}-*.whl"),
                    key=lambda file: ("manylinux" in file.name, file.stat().st_mtime))
    if not wheels:
        raise Refused("this pomona runs from a build folder, and there is no wheel of it: setup/wheel.sh builds one into "
                      f"{built}, --wheel FILE names another")
    return WheelFile(wheels[-1])


def closure(package) -> list:
    """The package, pandas, and everything they need, as installed here. Raises Refused that names what is missing."""
    parts, wanted = {"pomona": package}, [(need, package.name) for need in package.needs] + [("pandas<3", "PySpark")]
    missing = []
    while wanted:
        need, by = wanted.pop()
        requirement, _, marker = need.partition(";")
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if "extra ==" in marker:
            continue
        if _plain(name) not in parts:
            try:
                part = Installed(name)
            except importlib.metadata.PackageNotFoundError:
                if not marker:  # with a marker, it is for another Python or system
                    missing.append((requirement.strip(), by))
                continue
            parts[_plain(name)] = part
            wanted += [(one, part.name) for one in part.needs]
        pinned = re.search(r"==\s*([0-9][^\s,*)]*)\s*$", requirement.strip())
        if pinned and parts[_plain(name)].version != pinned[1]:
            missing.append((requirement.strip(), by))
        if _plain(name) == "pandas" and int(parts["pandas"].version.split(".")[0]) >= 3:
            missing.append(("pandas<3", by))
    if missing:
        listed = ", ".join(f"{need} (for {by})" for need, by in dict(missing).items())
        words = " ".join(f"'{need}'" for need in dict(missing))
        raise Refused(f"{sys.executable} does not have {listed}. Type:\n        {sys.executable} -m pip install {words}")
    return [parts[name] for name in sorted(parts, key=lambda name: (name != "pomona", name))]


def check(target: str, parts: list) -> str | None:
    """Raises Refused where the target could not run it; says what to know otherwise."""
    limits = TARGETS[target]
    if limits.version and limits.version != VERSION:
        raise Refused(f"{target} runs {limits.version}, this is {VERSION}: use the wheel for {limits.version}, installed "
                      "into an environment of that version (POMONA_PYTHON names its python)")
    for part in parts:
        needs = glibc_of(part)
        if needs is None:
            if limits.glibc is None:
                return (f"{part.name} {part.version} was built for machines with this one's libraries: it runs on those only. "
                        "A manylinux wheel runs on all.")
            raise Refused(f"{part.name} {part.version} was built for machines with this one's libraries, which those of "
                          f"{target} do not have: a manylinux wheel is needed (setup/wheel.sh builds one; --wheel FILE names it)")
        if limits.glibc and needs > limits.glibc:
            raise Refused(f"{part.name} {part.version} needs glibc {needs[0]}.{needs[1]}, {target} has "
                          f"{limits.glibc[0]}.{limits.glibc[1]}")
    return None


ACTIVATE = """\
# `source bin/activate`, wherever the environment was unpacked; `deactivate` undoes it.
deactivate() {
    PATH="$_POMONA_OLD_PATH"
    export PATH
    unset VIRTUAL_ENV _POMONA_OLD_PATH
    unset -f deactivate
}
VIRTUAL_ENV="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"
_POMONA_OLD_PATH="$PATH"
PATH="$VIRTUAL_ENV/bin:$PATH"
export VIRTUAL_ENV PATH
"""
COMMAND = """\
#!/bin/sh
# The command, wherever the environment was unpacked.
here=$(dirname "$(readlink -f "$0")")
exec "$here/python" -P -c 'from pomona._command import main; main()' "$@"
"""


def _tar_entry(name: str, mode: int, size: int = 0, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size, entry.mtime = mode, size, STAMP
    if link:
        entry.type, entry.linkname = tarfile.SYMTYPE, link
    return entry


def write_environment(out, parts: list, python: str) -> None:
    """The environment, as tar.gz. In order, so that the same parts give the same bytes."""
    # A low level: half a gigabyte of libraries should not take minutes.
    with (gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=out, mtime=0) as packed,
          tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar):
        for name, mode, text in (
                ("pyvenv.cfg", 0o644, f"home = {os.path.dirname(python)}\ninclude-system-site-packages = false\n"
                                      f"version = {sys.version_info[0]}.{sys.version_info[1]}\n"),
                ("bin/activate", 0o644, ACTIVATE), ("bin/pomona", 0o755, COMMAND)):
            tar.addfile(_tar_entry(name, mode, len(text)), io.BytesIO(text.encode()))
        tar.addfile(_tar_entry("bin/python", 0o777, link=python))
        for name in ("bin/python3", f"bin/{VERSION}"):
            tar.addfile(_tar_entry(name, 0o777, link="python"))
        for part in parts:
            for path, size, read, executable in part.files():
                if UNUSED.search(path):
                    continue
                data = read()
                if len(data) != size:
                    raise Refused(f"{part.name}: {path} changed while it was read")
                tar.addfile(_tar_entry(f"{SITE}/{path}", 0o755 if executable else 0o644, size), io.BytesIO(data))


def wheel_name(package) -> str:
    if isinstance(package, WheelFile):
        return package.file.name
    tag = re.findall(r"^Tag: (\S+)", package.wheel_info, re.MULTILINE)
    python, abi, _ = tag[0].split("-")
    return f"pomona-{package.version}-{python}-{abi}-{'.'.join(sorted(one.rsplit('-', 1)[-1] for one in tag))}.whl"


def write_wheel(out, package) -> None:
    """A wheel again, of what one installed."""
    record = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        def add(path, data, executable=False):
            info = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            info.external_attr = (0o100755 if executable else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)

        for path, _, read, executable in package.files():
            data = read()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}")
            add(path, data, executable)
        own = f"pomona-{package.version}.dist-info/RECORD"
        add(own, "\n".join([*record, f"{own},,"]) + "\n")


def init_script() -> bytes:
    """deploy/databricks/init.sh: inside the wheel, or in the source tree."""
    for file in (pathlib.Path(__file__).absolute().parent / "deploy" / "init.sh",
                 pathlib.Path(__file__).resolve().parents[2] / "deploy" / "databricks" / "init.sh"):
        if file.is_file():
            return file.read_bytes()
    raise Refused("deploy/databricks/init.sh is missing in this installation; pip install --force-reinstall pomona")


def write_databricks(out, package) -> None:
    """A zip of init/init.sh and wheels/NAME.whl, as deploy/databricks names them below the volume."""
    script = init_script()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        info = zipfile.ZipInfo("init/init.sh", (1980, 1, 1, 0, 0, 0))
        info.external_attr = 0o100755 << 16
        archive.writestr(info, script)
        with tempfile.TemporaryFile() as wheel:
            if isinstance(package, WheelFile):
                wheel.write(package.file.read_bytes())
            else:
                write_wheel(wheel, package)
            wheel.seek(0)
            archive.writestr(zipfile.ZipInfo(f"wheels/{wheel_name(package)}", (1980, 1, 1, 0, 0, 0)), wheel.read())


def write_whole(destination: pathlib.Path, write) -> int:
    """Calls write(file); the file takes its name only when it is complete. Returns its size."""
    with tempfile.NamedTemporaryFile(dir=destination.parent, prefix=f".{destination.name}.", delete=False) as out:
        try:
            write(out)
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
            os.fchmod(out.fileno(), 0o644)
            os.replace(out.name, destination)
        except BaseException:
            os.unlink(out.name)
            raise
    return size


def this_python() -> str:
    """The interpreter that this environment stands on; the system's where this one is in somebody's home."""
    found = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    return found if found.startswith("/usr/") else f"/usr/bin/{VERSION}"


def package(target: str, output: str | None = None, wheel: str | None = None, python: str | None = None,
            dry_run: bool = False, say=print) -> pathlib.Path:
    """Makes it, and says what went in and how to use it. `python`: the interpreter of the cluster's machines (absolute).
    Raises Refused; a file of that name is replaced only by a complete one."""
    limits = TARGETS[target]
    destination = pathlib.Path(output or limits.output)
    if not dry_run and not destination.absolute().parent.is_dir():
        raise Refused(f"{destination.absolute().parent} is not a folder")
    if destination.is_dir():
        raise Refused(f"{destination} is a folder: -o takes the file to write")
    own = own_package(wheel)
    parts = [own] if target == "databricks" else closure(own)
    note = check(target, parts)
    python = python or limits.python or this_python()
    if not os.path.isabs(python):
        raise Refused(f"--python takes an absolute path on the cluster's machines, not '{python}'")

    for part in parts:
        size = sum(size for path, size, _, _ in part.files() if target == "databricks" or not UNUSED.search(path))
        say(f"{part.name:<20} {part.version:<12} {size / 1e6:8.1f} MB")
    if target == "databricks":
        say("init/init.sh")
    else:
        say(f"bin/python           -> {python}")
    if note:
        print(f"warning: {note}", file=sys.stderr)
    if not dry_run:
        begin = time.monotonic()
        size = write_whole(destination, lambda out: write_databricks(out, own) if target == "databricks"
                           else write_environment(out, parts, python))
        say(f"{destination}: {size / 1e6:.1f} MB, in {time.monotonic() - begin:.0f} s")
    say(limits.use.format(file=destination, wheel=wheel_name(own),
                          master="spark://host:7077" if target == "archive" else "yarn"))
    return destination


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="pomona package")
    parser.add_argument("--target", choices=sorted(TARGETS), required=True)
    parser.add_argument("-o", "--output")
    parser.add_argument("--wheel")
    parser.add_argument("--python")
    parser.add_argument("--dry-run", action="store_true")
    flags = parser.parse_args(words)
    try:
        if sysconfig.get_platform() != "linux-x86_64":
            raise Refused(f"packages are for Linux on x86-64, this is {sysconfig.get_platform()}")
        package(flags.target, flags.output, flags.wheel, flags.python, flags.dry_run)
        return 0
    except (Refused, OSError) as error:
        print(f"pomona: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("pomona: stopped; nothing was written", file=sys.stderr)
        return 130


def _stopped(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGTERM, _stopped)
    sys.exit(main())
