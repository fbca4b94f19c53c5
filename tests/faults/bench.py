# SPDX-License-Identifier: Apache-2.0
"""What every injected run needs: photos, a small network, the undisturbed results, and the command under the shim."""
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import time

import numpy as np
from PIL import Image

import engine_support
from places import BUILD

HERE = pathlib.Path(__file__).resolve().parent
COLOURS = {"Apple": (200, 30, 40), "Lemon": (240, 220, 40), "Plum": (90, 30, 120), "Pear": (120, 190, 60)}
PATIENCE = 180  # seconds after which a command hangs; those in which it waits for a core are not counted
AT_MOST = 10    # times as long on a machine that is busy with other things


class Violation(Exception):
    """Something that must hold under faults does not."""


class Unavailable(Exception):
    """This machine cannot inject the fault; the text says why."""


def require(true, what):
    if not true:
        raise Violation(what)


def descendants(pid):
    """The process and all below it, itself last."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = pathlib.Path("/proc", entry, "stat").read_text()
            except OSError:  # it has ended
                continue
            children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.insert(0, one)
        todo += children.get(one, [])
    return found


def waited_for_cores():
    """Seconds that threads of all we started have been ready to run, and did not. Those of a hanging program sleep."""
    nanoseconds = 0
    for pid in descendants(os.getpid()):
        for file in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                nanoseconds += int(file.read_text().split()[1])
            except (OSError, IndexError):  # it has ended; or this kernel does not count
                continue
    return nanoseconds / 1e9


def wait(process, patience):
    """Waits until a child of ours ends. The seconds it took, those left out in which only cores were waited for: a busy
    machine is no fault. Raises subprocess.TimeoutExpired after `patience` of them, and ends the child."""
    begin, spent = time.monotonic(), 0.0
    try:
        while True:
            before, since = waited_for_cores(), time.monotonic()
            try:
                process.wait(1)
                return spent + time.monotonic() - since
            except subprocess.TimeoutExpired:
                spent += max(time.monotonic() - since - max(waited_for_cores() - before, 0), 0)
                if spent > patience or time.monotonic() - begin > patience * AT_MOST:
                    raise
    except BaseException:
        process.kill()
        process.wait()
        raise


class Ended:
    """How a command ended. `seconds`: as wait() counts them. `operations`: those the shim counted; `hit`: those it broke."""

    def __init__(self, words, code, said, out, seconds, operations=0, hit=0):
        self.words, self.code, self.said, self.out, self.seconds = words, code, said, out, seconds
        self.operations, self.hit = operations, hit

    def __str__(self):
        return f"`pomona {' '.join(self.words)}` ended with {self.code} after {self.seconds:.1f} s and said:\n{self.said}"


class Bench:
    """Work for one series of runs, all in one folder. Its `place` is emptied before every run; paths in it stay the
    same, as they are written into results. `fast`: a folder in memory, so that fsync costs nothing."""

    def __init__(self, pomona=None, folder=None):
        self.pomona = pathlib.Path(pomona or os.environ.get("POMONA_BIN", BUILD / "bin" / "pomona"))
        if not self.pomona.exists():
            raise Unavailable(f"{self.pomona} is not there: run `make build` first")
        memory = pathlib.Path("/dev/shm")
        parent = folder or (memory if memory.is_dir() and os.access(memory, os.W_OK) else None)
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pomona-faults-", dir=parent)).resolve()
        self.place, self.kept = self.root / "place", self.root / "kept"
        self.kept.mkdir()
        self.network = engine_support.make_network(self.root / "net.onnx", d=24)
        self.shim = self._compile_shim()
        self._known = {}

    def close(self):
        for ending in reversed([v for v in self._known.values() if hasattr(v, "close")]):
            ending.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def once(self, key, make):
        """make(), the first time; then what it gave."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _compile_shim(self):
        library = self.root / "shim.so"
        compiler = next((c for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and shutil.which(c)), None)
        if compiler is None:
            raise Unavailable("no C compiler for the shim that injects faults")
        subprocess.run([compiler, "-O1", "-fPIC", "-shared", "-o", library, HERE / "shim.c", "-ldl"], check=True)
        return library

    # Photos ----------------------------------------------------------------------------------------------------

    def photos(self):
        """120 photos of three fruits, a quarter of them in Test/, one file that is none, in `place`/photos."""
        return self.once("photos", lambda: fruit(self.root / "photos", ("Apple", "Lemon", "Plum"), 40, bad=1))

    def more_photos(self):
        """The same and 24 more of a class that sorts before the last: photos that came later."""
        def make():
            folder = shutil.copytree(self.photos(), self.root / "more")
            return fruit(folder, ("Pear",), 24, first=100)
        return self.once("more", make)

    # Commands --------------------------------------------------------------------------------------------------

    def small(self):
        return [*engine_support.small(self.network), "--rows-per-file", "16"]

    def environment(self, faults=None, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FAULT_", "AWS_", "LD_PRELOAD"))}
        env.update({k: str(v) for k, v in more.items() if v is not None})
        if faults:
            env["LD_PRELOAD"] = str(self.shim)
            env.update({f"FAULT_{k.upper()}": str(v) for k, v in faults.items()})
        return env

    def start(self, *words, faults=None, env=None):
        """The command, started; state of the shim in its `state`."""
        state = self.root / f"state-{time.monotonic_ns()}"
        state.write_bytes(bytes(16))
        faults = dict(faults, state=state) if faults else None
        words = [str(w) for w in words]
        out, said = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        process = subprocess.Popen([self.pomona, *words], env=self.environment(faults, **(env or {})), cwd=self.root,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=said)
        process.words, process.state, process.files = words, state, (out, said)
        return process

    def ended(self, process, patience=PATIENCE):
        """Waits for a started command. A hang is a violation."""
        try:
            seconds = wait(process, patience)
        except subprocess.TimeoutExpired:
            raise Violation(f"`pomona {' '.join(process.words)}` hangs: not over after {patience} s, and more while it "
                            "waited for a core") from None
        texts = []
        for file in process.files:
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.close()
        operations, hit = struct.unpack("qq", process.state.read_bytes())
        process.state.unlink()
        return Ended(process.words, process.returncode, texts[1], texts[0], seconds, operations, hit)

    def run(self, *words, faults=None, env=None, code=None, patience=PATIENCE):
        """The command to its end. `code`: the exit code (or codes) that are right."""
        done = self.ended(self.start(*words, faults=faults, env=env), patience)
        if code is not None:
            require(done.code in (code if isinstance(code, (tuple, list)) else (code,)), f"{done}\nexpected: {code}")
        require(not re.search("internal error|terminate called|Assertion|std::", done.said), f"an internal error: {done}")
        return done

    def clear(self):
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()

    def keep(self, name):
        """What `place` holds, kept as `name`."""
        target = self.kept / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.place, target)
        return target

    def bring(self, name):
        """Adds what was kept as `name` to `place`."""
        shutil.copytree(self.kept / name, self.place, dirs_exist_ok=True)


def fruit(folder, names, count, first=0, bad=0):
    """`count` photos per name below Training/ and Test/ (every fourth), and `bad` files that are no photo."""
    for name in names:
        for i in range(first, first + count):
            path = folder / ("Test" if i % 4 == 3 else "Training") / name / f"{i:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            random = np.random.default_rng([i, len(name), ord(name[0])])
            y, x = np.mgrid[0:40, 0:40]
            disc = (x - 20 - random.integers(-4, 5)) ** 2 + (y - 20) ** 2 < random.integers(9, 16) ** 2
            pixels = np.full((40, 40, 3), 255, np.int16)
            pixels[disc] = np.array(COLOURS[name]) + random.integers(-25, 26, 3)
            pixels += random.integers(-4, 5, pixels.shape, np.int16)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=90)
    for i in range(bad):
        (folder / "Training" / names[0] / f"{i:04d}-bad.jpg").write_bytes(b"nothing")
    return folder


