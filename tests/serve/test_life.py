# SPDX-License-Identifier: Apache-2.0
"""Reload and shutdown lose no request."""
import http.client
import json
import shutil
import signal
import threading
import time

import pytest


class Load(threading.Thread):
    """Asks over one connection at a time, until told to stop; keeps what went wrong."""

    def __init__(self, server, photo):
        super().__init__(daemon=True)
        self.server, self.photo, self.over = server, photo, threading.Event()
        self.answers, self.wrong, self.models = 0, [], set()

    def run(self):
        line = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        while not self.over.is_set():
            try:
                line.request("POST", "/v1/classify", self.photo)
                answer = line.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                if not self.over.is_set():
                    self.wrong.append(repr(error))
                return
            if answer.status != 200:
                self.wrong.append(body)
            self.answers += 1
            self.models.add(json.loads(body)["model"]["sha256"])
        line.close()


def test_reload_under_load_loses_no_request(pomona, serve, model, trained, photos, tmp_path):
    own_model = tmp_path / "fruit.onnx"
    shutil.copy(model, own_model)
    server = serve(own_model=f"fruit={own_model}")
    load = [Load(server, photos[i].read_bytes()) for i in range(8)]
    for one in load:
        one.start()
    time.sleep(0.3)
    other = tmp_path / "other.onnx"
    pomona("train", trained / "features", "-o", other, "--classifier", "lda", timeout=120)
    other.replace(own_model)
    server.hangup()
    after = server.json("/v1/models")["models"][0]["sha256"]
    # What is no model is warned about; the one in use stays.
    own_model.write_bytes(b"not a model")
    server.hangup()
    assert "models stay as they were" in server.said()
    time.sleep(0.2)
    for one in load:
        one.over.set()
    for one in load:
        one.join(30)
        assert one.wrong == [] and one.answers > 2
    assert all(after in one.models and len(one.models) == 2 for one in load)


def test_shutdown_answers_what_is_in_flight(serve, photos):
    server = serve()
    photo = photos[0].read_bytes()
    lines = []
    for _ in range(16):
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        line.request("POST", "/v1/classify", photo)
        lines.append(line)
    time.sleep(0.01)
    idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    idle.connect()
    server.process.send_signal(signal.SIGTERM)
    for line in lines:
        try:
            assert line.getresponse().status == 200
        except (ConnectionResetError, http.client.RemoteDisconnected):
            pytest.fail("a request that was sent before SIGTERM was not answered")
    begin = time.monotonic()
    assert server.process.wait(20) == 0
    assert time.monotonic() - begin < 5, "an idle connection does not hold it"


def test_shutdown_lets_in_who_came_before_it(serve, photos):
    # Stopped, the server accepts nobody, but its port does: all of these are there before SIGTERM is seen.
    for _ in range(5):
        server = serve()
        server.process.send_signal(signal.SIGSTOP)
        lines = []
        for photo in photos[:4]:
            line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            line.request("POST", "/v1/classify", photo.read_bytes())
            lines.append(line)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        assert [line.getresponse().status for line in lines] == [200] * len(lines)
        assert server.process.wait(20) == 0


def test_many_models(serve, model, photos):
    server = serve(f"second={model}")
    told = server.json("/v1/models")
    assert told["default"] == "fruit" and [one["name"] for one in told["models"]] == ["fruit", "second"]
    assert server.json("/v1/classify?model=second", photos[0].read_bytes())["model"]["name"] == "second"
