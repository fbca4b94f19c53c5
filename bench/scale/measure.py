# SPDX-License-Identifier: Apache-2.0
"""What a process takes while it runs, and where the figures go."""
import contextlib
import dataclasses
import fcntl
import json
import os
import platform
import signal
import subprocess
import time


@dataclasses.dataclass
class Measured:
    seconds: float
    peak_mib: float  # VmHWM, read twenty times a second until the process ends
    samples: list    # [(seconds, MiB resident)], every half second
    code: int
    output: str


def memory(pid):
    """MiB resident now, and at the most so far; none once the process is gone."""
    with contextlib.suppress(OSError, ValueError):
        fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
        if "VmRSS" in fields:
            return int(fields["VmRSS"].split()[0]) / 1024, int(fields["VmHWM"].split()[0]) / 1024
    return None


def watch(words, env=None, stop_when=None):
    """Runs a command to its end, or until `stop_when(seconds, pid)` says that enough was seen: then it is interrupted
    as by Ctrl-C. Raises where it fails by itself."""
    begin = time.monotonic()
    process = subprocess.Popen([str(w) for w in words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    peak, samples, interrupted = 0.0, [], False
    os.set_blocking(process.stdout.fileno(), False)
    output = ""

    def drain():
        nonlocal output
        with contextlib.suppress(TypeError):
            output = (output + (process.stdout.read() or ""))[-20_000:]

    try:
        while process.poll() is None:
            now = memory(process.pid)
            elapsed = time.monotonic() - begin
            if now:
                peak = max(peak, now[1])
                if not samples or elapsed - samples[-1][0] >= 0.5:
                    samples.append((round(elapsed, 2), round(now[0], 1)))
            drain()
            if stop_when and not interrupted and stop_when(elapsed, process.pid):
                interrupted = True
                process.send_signal(signal.SIGINT)
            time.sleep(0.05)
    except BaseException:
        process.kill()
        process.wait()
        raise
    drain()
    seconds = time.monotonic() - begin
    if process.returncode and not interrupted:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {process.returncode}:\n{output}")
    return Measured(seconds, peak, samples, process.returncode, output)


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"cpu": cpu, "threads": len(os.sched_getaffinity(0)), "platform": platform.platform(),
            "load_1min": round(os.getloadavg()[0], 1)}


class Results:
    """A JSON list that grows by one record a measurement, each whole or not at all."""

    def __init__(self, path):
        self.path = path

    def records(self):
        return json.loads(self.path.read_text()) if self.path.exists() else []

    def add(self, part, **figures):
        record = {"part": part, "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine(), **figures}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fresh = self.path.with_suffix(".new")
            fresh.write_text(json.dumps([*self.records(), record], indent=1) + "\n")
            fresh.replace(self.path)
        return record


def bench(name, value, unit, digits=3):
    print(f"BENCH {name} {value:.{digits}f} {unit}", flush=True)


def say(text):
    print(f"# {time.strftime('%H:%M:%S')} {text}", flush=True)


def done_at(rate, count):
    """When `count` photos were done, by the samples [[seconds, done], ...] of a `_run.json`."""
    before = (0.0, 0)
    for seconds, done in rate:
        if done >= count:
            share = (count - before[1]) / max(done - before[1], 1)
            return before[0] + share * (seconds - before[0])
        before = (seconds, done)
    return before[0]


def steady_rates(run, window):
    """Photos a second from the first vector on: of all, of the first `window` photos and of the last."""
    written, rate = run["counts"]["written"], run["rate"]
    # The last sample is up to half a second old when the last photo is done.
    end = next(span["end"] for span in run["timeline"] if span["stage"] == "featurize")
    rate = [*rate, [end, written]]
    begin = run["first_vector_seconds"]
    window = min(window, written // 2)
    first = window / (done_at(rate, window) - begin)
    last = window / (end - done_at(rate, written - window))
    return {"all": written / (end - begin), "first": first, "last": last, "window": window}
