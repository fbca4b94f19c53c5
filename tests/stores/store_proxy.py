# SPDX-License-Identifier: Apache-2.0
"""A proxy before an object store, for tests and benchmarks: adds latency to every request, breaks some, counts all.

As a program (its own process, so that it does not share a core with whoever measures):
    python store_proxy.py HOST:PORT [ADDRESS]
listens at ADDRESS (127.0.0.1), prints its own port, then reads one JSON object a line from standard input and answers each with one:
    {"latency": 0.05}            seconds added to every request before it is passed on
    {"faults": [FAULT, ...]}     see below; replaces those before
    {"reset": true}              forgets what was counted
    {}                           only what was counted
FAULT: {"kind": "status" | "reset" | "truncate" | "stall" | "lost" | "cut", "match": regular expression on "METHOD target",
        "times": how often a request of one target is broken (none = always), "every": only every n-th that matches,
        "status": 503, "code": "SlowDown", "seconds": 60}
lost: the store does what was asked, its answer never comes; cut: the store gets half the request's body, then both
connections end.
A request in absolute form ("GET http://host/key") is passed on to its host, as by a proxy of the environment.
"""
import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading

LIMIT = 1 << 20


class Broken(Exception):
    """The connection to the client must end here."""


class Proxy:
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.latency, self.faults = 0.0, []
        self.forget()

    def forget(self):
        self.counts, self.requests, self.headers = {}, [], {}
        self.active = self.most = self.broken = self.bytes = 0

    def configure(self, change):
        self.latency = change.get("latency", self.latency)
        if "faults" in change:
            self.faults = [dict(f, seen={}, number=0, re=re.compile(f.get("match", ""))) for f in change["faults"]]
        if change.get("reset"):
            self.forget()
        return {"counts": self.counts, "requests": self.requests, "headers": self.headers, "most": self.most,
                "broken": self.broken, "bytes": self.bytes}

    def fault_of(self, line):
        for fault in self.faults:
            if not fault["re"].search(line):
                continue
            fault["number"] += 1
            if fault["number"] % fault.get("every", 1):
                continue
            times = fault["seen"].get(line, 0)
            if "times" in fault and times >= fault["times"]:
                continue
            fault["seen"][line] = times + 1
            self.broken += 1
            return fault
        return None

    async def serve(self, reader, writer):
        store = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.active += 1
                self.most = max(self.most, self.active)
                try:
                    store = await self.pass_on(head, reader, writer, store)
                finally:
                    self.active -= 1
                if store is None:
                    return
        except (Broken, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, store[1] if store else None):
                if end is not None:
                    end.close()

    async def pass_on(self, head, reader, writer, store):
        """One request and its answer. The connection to the store, or None where it is used up."""
        first, _, rest = head.partition(b"\r\n")
        method, target, version = first.split(b" ", 2)
        headers = parse(rest)
        shown = target.decode("latin-1")
        host, port = self.host, self.port
        if target.startswith(b"http://"):
            place, _, path = target[7:].partition(b"/")
            host, _, port = place.decode().partition(":")
            port = int(port or 80)
            head = method + b" /" + path + b" " + version + b"\r\n" + rest
        line = f"{method.decode()} {shown}"
        kind = f"{method.decode()} {'list' if 'list-type' in shown else 'one'}"
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if len(self.requests) < 50_000:
            self.requests.append(line)
        self.headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in headers.items()}
        if b"expect" in headers:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", head)
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            body = await chunked(reader)
        else:
            body = await reader.readexactly(int(headers.get(b"content-length", 0)))
        if self.latency:
            await asyncio.sleep(self.latency)
        fault = self.fault_of(line)
        if fault and fault["kind"] == "reset":
            writer.transport.abort()
            raise Broken
        if fault and fault["kind"] == "status":
            code = fault.get("code", "InternalError")
            text = b"" if method == b"HEAD" else (
                f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>as the test asks"
                f"</Message></Error>").encode()
            writer.write(f"HTTP/1.1 {fault.get('status', 500)} {code}\r\nContent-Type: application/xml\r\n"
                         f"Content-Length: {len(text)}\r\n\r\n".encode() + text)
            await writer.drain()
            return store or await asyncio.open_connection(host, port, limit=LIMIT)
        if store is None:
            store = await asyncio.open_connection(host, port, limit=LIMIT)
        if fault and fault["kind"] == "cut":
            store[1].write(head + body[:len(body) // 2])
            await store[1].drain()
            store[1].close()
            writer.transport.abort()
            raise Broken
        store[1].write(head + body)
        return await self.answer(method, store, writer, fault)

    async def answer(self, method, store, writer, fault):
        head = await store[0].readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            writer.write(head)
            head = await store[0].readuntil(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        headers = parse(rest)
        status = int(first.split(b" ", 2)[1])
        has_body = method != b"HEAD" and status not in (204, 304)
        if has_body and b"chunked" in headers.get(b"transfer-encoding", b""):
            writer.write(head)
            while True:
                size = await store[0].readuntil(b"\r\n")
                chunk = await store[0].readexactly(int(size, 16) + 2)
                writer.write(size + chunk)
                if int(size, 16) == 0:
                    break
            await writer.drain()
            return store
        length = int(headers.get(b"content-length", 0)) if has_body else 0
        body = await store[0].readexactly(length)
        self.bytes += length
        if fault and fault["kind"] == "lost":
            writer.transport.abort()
            raise Broken
        if fault and fault["kind"] in ("truncate", "stall"):
            writer.write(head + body[:length // 2])
            await writer.drain()
            if fault["kind"] == "stall":
                await asyncio.sleep(fault.get("seconds", 60))
            raise Broken
        writer.write(head + body)
        await writer.drain()
        if headers.get(b"connection", b"").lower() == b"close":
            raise Broken
        return store


async def chunked(reader):
    """A body in chunks, as it came, to the end of its trailer."""
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        body += size
        length = int(size.split(b";")[0], 16)
        if length:
            body += await reader.readexactly(length + 2)
            continue
        while True:
            line = await reader.readuntil(b"\r\n")
            body += line
            if line == b"\r\n":
                return body


def parse(block):
    headers = {}
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers


async def main(host, port, address="127.0.0.1"):
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.serve, address, 0, limit=LIMIT, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def control():
        for line in sys.stdin:
            done = threading.Event()

            def change(line=line, done=done):
                print(json.dumps(proxy.configure(json.loads(line))), flush=True)
                done.set()

            loop.call_soon_threadsafe(change)
            done.wait()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=control, daemon=True).start()
    await ended.wait()
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class ProxyProcess:
    """The program above, for who imports this file."""

    def __init__(self, process, host):
        self.process = process
        self.port = int(process.stdout.readline())
        self.address = f"{host}:{self.port}"
        self.url = f"http://{self.address}"

    def tell(self, **change):
        self.process.stdin.write(json.dumps(change) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)


def cpu_seconds(pid):
    """User and system time of a process so far."""
    import os
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def proxy_before(address, host="127.0.0.1"):
    """A proxy in a process of its own before "host:port" or "http://host:port". `host`: the address it listens at."""
    process = subprocess.Popen([sys.executable, __file__, address.removeprefix("http://"), host], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield ProxyProcess(process, host)
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    place, _, number = sys.argv[1].rpartition(":")
    asyncio.run(main(place, int(number), *sys.argv[2:]))
