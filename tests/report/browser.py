# SPDX-License-Identifier: Apache-2.0
"""A small driver of headless Chromium over its debugging pipe: no driver program, no library.

`Browser` starts Chromium with --remote-debugging-pipe (messages are JSON, ended by NUL, on file descriptors
3 and 4). `Page` is one tab that records console messages, exceptions and every network request.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def find_chromium():
    """The path of a Chromium, or None."""
    names = [os.environ.get("POMONA_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    for name in names:
        if name and shutil.which(name):
            return shutil.which(name)
    return None


class Browser:
    def __init__(self, webgl=True):
        self.profile = tempfile.mkdtemp(prefix="pomona-chromium-")
        self_read, child_write = os.pipe()
        child_read, self_write = os.pipe()
        gl = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        if not webgl:
            gl = ["--disable-gpu", "--disable-3d-apis"]
        command = [find_chromium(), "--headless", "--no-sandbox", "--remote-debugging-pipe", "--hide-scrollbars",
                   "--no-first-run", "--disable-background-networking", "--disable-component-update",
                   f"--user-data-dir={self.profile}", *gl, "about:blank"]

        def place_pipes():
            # Out of the way first: any of the two may itself be 3 or 4.
            read, write = os.dup(child_read), os.dup(child_write)
            while read in (3, 4):
                read = os.dup(read)
            while write in (3, 4):
                write = os.dup(write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(command, preexec_fn=place_pipes, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(child_read)
        os.close(child_write)
        self.read_fd, self.write_fd = self_read, self_write
        self.buffer = b""
        self.next_id = 0
        self.events = []

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(timeout=10)
        except Exception:
            self.process.kill()
            self.process.wait()
        os.close(self.read_fd)
        os.close(self.write_fd)
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def call(self, method, params=None, session=None, timeout=60):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        wanted = self.next_id
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            answer = self._receive(end - time.monotonic())
            if answer is None:
                continue
            if answer.get("id") == wanted:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)
        raise TimeoutError(method)

    def pump(self, seconds):
        """Collects events for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            event = self._receive(end - time.monotonic())
            if event is not None:
                self.events.append(event)

    def _receive(self, seconds):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_fd], [], [], max(0.0, min(seconds, 1.0)))
            if not ready:
                return None
            piece = os.read(self.read_fd, 1 << 20)
            if not piece:
                raise RuntimeError("Chromium ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)


class Page:
    def __init__(self, browser, width=1400, height=900, dark=False, phone=False):
        self.browser = browser
        target = browser.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self.session = browser.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height, phone)
        self.call("Emulation.setEmulatedMedia",
                  {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def call(self, method, params=None):
        return self.browser.call(method, params, self.session)

    def resize(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone})

    def open(self, url, settle=0.3):
        """Loads `url`, waits for the load event and a little longer. Returns the seconds until load."""
        self.browser.events.clear()
        begin = time.monotonic()
        self.call("Page.navigate", {"url": url})
        for _ in range(600):
            if self.run("document.readyState") == "complete" and self.run("location.href") != "about:blank":
                break
            time.sleep(0.05)
        seconds = time.monotonic() - begin
        self.browser.pump(settle)
        return seconds

    def run(self, expression):
        """The value of a JavaScript expression (a promise is awaited)."""
        answer = self.call("Runtime.evaluate",
                           {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "exception"))
        return answer["result"].get("value")

    def move_mouse(self, x, y):
        self.call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
        self.browser.pump(0.1)

    def screenshot(self, file, full=False):
        params = {"format": "png"}
        if full:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            params["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            params["captureBeyondViewport"] = True
        with open(file, "wb") as out:
            out.write(base64.b64decode(self.call("Page.captureScreenshot", params)["data"]))

    def _events(self, method):
        return [e["params"] for e in self.browser.events
                if e.get("method") == method and e.get("sessionId") == self.session]

    def complaints(self):
        """Console errors and warnings, uncaught exceptions, and what the browser itself logs."""
        found = [str(e["exceptionDetails"]) for e in self._events("Runtime.exceptionThrown")]
        found += [str(e["args"]) for e in self._events("Runtime.consoleAPICalled") if e["type"] in ("error", "warning")]
        found += [e["entry"]["text"] for e in self._events("Log.entryAdded") if e["entry"]["level"] in ("error", "warning")]
        return found

    def requests(self):
        """Addresses asked for since open(), except data: and blob: (which never leave the page)."""
        urls = [e["request"]["url"] for e in self._events("Network.requestWillBeSent")]
        return [u for u in urls if not u.startswith(("data:", "blob:"))]
