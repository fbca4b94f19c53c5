# SPDX-License-Identifier: Apache-2.0
"""Network namespaces for the workers: each a host of its own, with its own address and its own loopback."""
import os
import pathlib
import shutil
import subprocess


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=10)


class Loopback:
    """All on 127.0.0.1: what is left where namespaces are not allowed."""

    isolated = False
    address = "127.0.0.1"

    def __init__(self, reason):
        self.reason = reason

    def host(self, number):
        return "127.0.0.1"

    def inside(self, number):
        return []

    def close(self):
        pass


class Namespaces:
    """A bridge with this machine at .1 and host i, in a namespace, at .i+2; nothing leads out of it."""

    isolated = True
    reason = ""

    def __init__(self, hosts):
        taken = subprocess.run(["ip", "-4", "-o", "addr"], check=True, capture_output=True, text=True).stdout
        octet = next(n for n in range(os.getpid() % 200, 256) if f" 10.231.{n}." not in taken)
        self._net = f"10.231.{octet}"
        self.address = f"{self._net}.1"
        self._bridge = f"pomona{octet}"
        self._names = [f"pomona{octet}w{i}" for i in range(hosts)]
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
            _ip("addr", "add", f"{self.address}/24", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            for i, name in enumerate(self._names):
                _ip("netns", "add", name)
                _ip("link", "add", f"{name}o", "type", "veth", "peer", "name", f"{name}i")
                _ip("link", "set", f"{name}i", "netns", name)
                _ip("link", "set", f"{name}o", "master", self._bridge, "up")
                _ip("-n", name, "addr", "add", f"{self.host(i)}/24", "dev", f"{name}i")
                _ip("-n", name, "link", "set", f"{name}i", "up")
                _ip("-n", name, "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    def host(self, number):
        return f"{self._net}.{number + 2}"

    def inside(self, number):
        """Words before a command that run it in host `number`."""
        return ["ip", "netns", "exec", self._names[number]]

    def close(self):
        for name in self._names:
            if pathlib.Path("/run/netns", name).exists():
                subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=10)
        subprocess.run(["ip", "link", "del", self._bridge], capture_output=True, timeout=10)


def network(hosts):
    """Namespaces where this process may make them, else loopback with the reason."""
    if os.environ.get("POMONA_NO_NETNS"):
        return Loopback("POMONA_NO_NETNS is set")
    if os.geteuid() != 0:
        return Loopback("network namespaces need root")
    if not shutil.which("ip"):
        return Loopback("the command ip (package iproute2) is missing")
    try:
        return Namespaces(hosts)
    except (OSError, subprocess.SubprocessError) as error:
        detail = (getattr(error, "stderr", b"") or b"").decode().strip()
        return Loopback(f"network namespaces are not allowed here: {detail or error}")
