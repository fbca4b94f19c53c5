# SPDX-License-Identifier: Apache-2.0
"""Runs a command and says what it and all that came of it took: seconds, processor seconds, memory."""
import ctypes
import dataclasses
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time

CHILD_SUBREAPER = 36  # prctl(2)
EVERY = 0.25          # seconds between two looks at the processes
MEMORY_EVERY = 2      # looks between two sums of memory, which costs the kernel more
TICK = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Usage:
    seconds: float = 0.0
    processor_seconds: float = 0.0  # user + system, of the whole tree
    peak_mib: float = 0.0           # sum of the tree's proportional set sizes: what is shared is counted once
    code: int | None = None         # None: it took longer than it may
    out: str = ""
    err: str = ""


def _descendants():
    """{process: user + system ticks} of all that descends from this one. Orphans count: they are given to us."""
    parents, ticks = {}, {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(name)], ticks[int(name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    found, me = {}, os.getpid()
    for process in parents:
        above = process
        while above in parents and above != me:
            above = parents[above]
        if above == me and process != me:
            found[process] = ticks[process]
    return found


def _memory(processes):
    total = 0
    for process in processes:
        try:
            with open(f"/proc/{process}/smaps_rollup") as file:
                total += next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return total / 1024


def _end(processes, how):
    for process in processes:
        try:
            os.kill(process, how)
        except ProcessLookupError:
            pass


def _reap(patience):
    """Waits for what the command left behind; what has not ended by then is ended. Only descendants of ours are touched."""
    until, asked = time.monotonic() + patience, signal.SIGTERM
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        if time.monotonic() > until:
            _end(_descendants(), asked)
            until, asked = time.monotonic() + 5, signal.SIGKILL
        time.sleep(0.05)


def measure(words, env=None, timeout=None):
    """Runs `words` to its end, or for `timeout` seconds. Whatever descends from this process is taken to be the
    command's: not for two threads at once, and the caller has no other children."""
    ctypes.CDLL(None, use_errno=True).prctl(CHILD_SUBREAPER, 1, 0, 0, 0)
    usage, seen, ended = Usage(), {}, threading.Event()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    def watch():
        looks = 0
        while not ended.wait(EVERY):
            now = _descendants()
            seen.update(now)
            if looks % MEMORY_EVERY == 0:
                usage.peak_mib = max(usage.peak_mib, _memory(now))
            looks += 1

    watcher = threading.Thread(target=watch)
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        began = time.monotonic()
        process = subprocess.Popen([str(word) for word in words], env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        watcher.start()
        try:
            usage.code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            usage.seconds = time.monotonic() - began
            ended.set()
            watcher.join()
            if usage.code is None:
                _end(_descendants(), signal.SIGKILL)
                process.wait()
            _reap(10)
        out.seek(0)
        err.seek(0)
        usage.out, usage.err = out.read(), err.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited_for = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # A parent that does not wait for its children (Ray's) keeps their time from us: then what was seen is more.
    usage.processor_seconds = max(waited_for, sum(seen.values()) / TICK)
    return usage
