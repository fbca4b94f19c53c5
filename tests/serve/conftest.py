# SPDX-License-Identifier: Apache-2.0
"""A real server process per module, with a model trained on real photos where they are."""
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))


class Server:
    def __init__(self, pomona, *words, folder, tls=False, wait=60):
        self.log = open(folder / f"server-{time.monotonic_ns()}.log", "w+b")
        self.process = pomona.start("serve", *words, "--port", "0", stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"listening (https?)://127\.0\.0\.1:(\d+)\n", line)
        assert found, f"{line!r}; {self.said()}"
        self.port = int(found[2])
        self.base = f"{found[1]}://127.0.0.1:{self.port}"

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def ask(self, path, data=None, method=None, headers=None, context=None, timeout=30):
        """(status, headers, body)"""
        request = urllib.request.Request(self.base + path, data=data, headers=headers or {}, method=method)
        if data is not None and "Content-type" not in request.headers:
            request.add_header("Content-Type", "application/octet-stream")
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def json(self, path, data=None, status=200, **more):
        got, _, body = self.ask(path, data, **more)
        assert got == status, (got, body[:500])
        return json.loads(body)

    def error(self, path, data=None, **more):
        """(status, code) of a refusal, which must have a code and a sentence."""
        status, _, body = self.ask(path, data, **more)
        error = json.loads(body)["error"]
        assert status >= 400 and len(error["message"]) > 10
        return status, error["code"]

    def kserve_error(self, path, data=None, **more):
        """Status of a refusal in the form of KServe's protocol."""
        status, _, body = self.ask(path, data, **more)
        told = json.loads(body)
        assert status >= 400 and list(told) == ["error"] and isinstance(told["error"], str) and len(told["error"]) > 10
        return status

    def raw(self, sent, timeout=10, half_close=False):
        """What comes back for bytes as they are, until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as wire:
            try:
                wire.sendall(sent)
                if half_close:
                    wire.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            got = b""
            try:
                while piece := wire.recv(65536):
                    got += piece
            except ConnectionResetError:
                pass
            return got

    def rss(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0

    def hangup(self):
        before = self.said().count("pomona: reloaded")
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while self.said().count("pomona: reloaded") == before:
            assert time.monotonic() < deadline and self.process.poll() is None, self.said()
            time.sleep(0.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the server did not end: " + self.said())
        self.process.stdout.close()
        return self.process.returncode


@pytest.fixture(scope="session")
def trained(pomona, fruits360, tmp_path_factory):
    """Folder with model.onnx, made from 6 classes, and features/ of their photos."""
    folder = tmp_path_factory.mktemp("trained")
    photos = folder / "photos"
    for name in ["Apple 10", "Banana 1", "Kiwi 1", "Lemon 1", "Cocos 1", "Strawberry 1"]:
        source = fruits360 / "Training" / name
        if not source.is_dir():
            continue
        (photos / name).mkdir(parents=True)
        for photo in sorted(source.iterdir())[:24]:
            shutil.copy(photo, photos / name / photo.name)
    pomona("run", photos, folder / "out", "-k", "16", timeout=280)
    return folder / "out"


@pytest.fixture(scope="session")
def model(trained):
    return trained / "model.onnx"


@pytest.fixture(scope="session")
def photos(fruits360):
    """32 photos from Test, of several classes."""
    found = []
    for name in ["Apple 10", "Banana 1", "Kiwi 1", "Lemon 1", "Strawberry 1"]:
        if (fruits360 / "Test" / name).is_dir():
            found += sorted((fruits360 / "Test" / name).iterdir())[:8]
    return found[:32]


@pytest.fixture(scope="module")
def serve(pomona, model, tmp_path_factory):
    """serve(*options) starts a server; all of a module's are stopped at its end."""
    started = []

    def start(*words, own_model=None):
        server = Server(pomona, own_model or f"fruit={model}", *words, folder=tmp_path_factory.mktemp("server"))
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def server(serve):
    """One with short time limits, shared by the tests of a module."""
    return serve("--header-timeout", "1", "--body-timeout", "1.5", "--idle-timeout", "2", "--max-body", "4MiB",
                 "--max-connections-per-client", "40", "--max-photos", "8", "--max-pixels", "20000000")
