# SPDX-License-Identifier: Apache-2.0
"""Servers a test starts: each in a session of its own, so that it ends with everything it started, whatever happens."""
import atexit
import os
import pathlib
import shutil
import signal
import subprocess
import time


def running():
    """(pid, parent, session, command line) of every process this user can see; a process that ends meanwhile is left out."""
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name, in brackets, may hold anything: what follows the last bracket is split.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if fields[0] != "Z":
            yield int(entry.name), int(fields[1]), int(fields[3]), command


def tail(name, log, lines=40):
    """The end of a log, under a line that names it; what is very long, as Java's command lines are, is cut."""
    text = pathlib.Path(log).read_text(errors="replace").splitlines() if pathlib.Path(log).exists() else []
    return "\n".join([f"--- {name}: {log}", *(line[:400] for line in text[-lines:])])


class Server:
    """A process and all it starts; its output goes to `log`. Ends by stop(), when this Python ends, or is killed."""

    def __init__(self, name, command, log, env=None, cwd=None, stdin=subprocess.DEVNULL):
        self.name, self.log = name, pathlib.Path(log)
        # The kernel kills it when the test's process dies without a word. exec keeps that mark, fork does not.
        with_parent = [shutil.which("setpriv") or "/usr/bin/setpriv", "--pdeathsig", "KILL", "--"]
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([*with_parent, *map(str, command)], stdin=stdin, stdout=out,
                                            stderr=subprocess.STDOUT, env=env, cwd=cwd, start_new_session=True)
        self.pid = self.process.pid
        atexit.register(self.stop)

    def alive(self):
        return self.process.poll() is None

    def members(self):
        """(pid, parent, command) of it and all it started, except what made itself a session of its own."""
        return [(pid, parent, command) for pid, parent, session, command in running() if session == self.pid]

    def tail(self, lines=40):
        return tail(self.name, self.log, lines)

    def stop(self, patience=5.0):
        """Asks it to end, then kills what is left of its session. May be called again."""
        atexit.unregister(self.stop)
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        end = time.monotonic() + patience
        while members := self.members():
            for pid, _, _ in members:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        self.process.wait()


def wait_for(condition, what, seconds, servers=()):
    """Waits until condition() is true and returns what it gave; raises with the servers' logs when it does not come."""
    end = time.monotonic() + seconds
    while True:
        if got := condition():
            return got
        dead = [server for server in servers if not server.alive()]
        if dead or time.monotonic() > end:
            why = f"{dead[0].name} ended with {dead[0].process.returncode}" if dead else f"not within {seconds:.0f} s"
            raise RuntimeError("\n".join([f"{what}: {why}", *(server.tail() for server in servers)]))
        time.sleep(0.05)
