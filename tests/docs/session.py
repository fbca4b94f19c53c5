# SPDX-License-Identifier: Apache-2.0
"""One shell in which the commands of a page are run, as a reader would: its folder, variables and jobs go on."""
import os
import re
import select
import signal
import socket
import subprocess
import time

import pages


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Session:
    def __init__(self, folder, env, ports=(), timeout=600):
        self.work = folder / "work"  # where the reader is
        self.notes = folder / "notes"
        self.work.mkdir()
        self.notes.mkdir()
        self.timeout = timeout
        self.ports = {port: str(free_port()) for port in ports}
        self.number = 0
        self.code = 0
        self.shell = subprocess.Popen(["bash", "--noprofile", "--norc"], cwd=self.work, env=env, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.shell.pid, signal.SIGTERM)
            self.shell.wait(timeout=20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        finally:
            try:
                os.killpg(self.shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.shell.wait()
            self.shell.stdin.close()
            self.shell.stdout.close()

    def here(self, text):
        for port, own in self.ports.items():
            text = re.sub(rf"\b{port}\b", own, text)
        return text

    def as_written(self, text):
        for port, own in self.ports.items():
            text = re.sub(rf"\b{own}\b", port, text)
        return text

    def run(self, command):
        """(exit code, (standard output, standard error)). Of a command in the background: 0, and what it said until
        that is what is shown."""
        self.number += 1
        out, err = (self.notes / f"{self.number}.{end}" for end in ("out", "err"))
        file = self.notes / f"{self.number}.sh"
        file.write_text(self.here(command.text) + "\n")
        end = f"end-of-command-{self.number}"
        # Nothing may read the shell's own input; $? is that of the command before.
        self.shell.stdin.write(f"( exit {self.code} )\n. {file} </dev/null >{out} 2>{err}\necho {end} $?\n".encode())
        self.shell.stdin.flush()
        self._wait_for(end, command, err)
        last = time.monotonic() + 60
        while True:
            said = [self.as_written(part.read_text(errors="replace")) for part in (out, err)]
            behind = command.text.rstrip().endswith("&") and command.shown
            if not behind or pages.shows(command.shown + ["..."], said[0]) or time.monotonic() > last:
                return self.code, said
            time.sleep(0.05)

    def _wait_for(self, end, command, err):
        data, last = b"", time.monotonic() + self.timeout
        while True:
            found = re.search(rf"{end} (\d+)\n".encode(), data)
            if found:
                self.code = int(found[1])
                return
            left = last - time.monotonic()
            if left <= 0 or not select.select([self.shell.stdout], [], [], left)[0]:
                raise AssertionError(f"after {self.timeout} s there is no end of:\n{command.text}\n{err.read_text()[-2000:]}")
            piece = os.read(self.shell.stdout.fileno(), 1 << 16)
            if not piece:
                raise AssertionError(f"the shell ended in:\n{command.text}")
            data += piece
