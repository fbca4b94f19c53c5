# SPDX-License-Identifier: Apache-2.0
"""What the tests of the page share: a static web server that counts bytes, and a visitor with a phone."""
import http.server
import os
import pathlib
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "report"))
sys.path.insert(0, str(ROOT / "tests" / "serve"))
from browser import Browser, Page, find_chromium  # noqa: E402, F401
from multipart_body import multipart  # noqa: E402, F401


class StaticServer:
    """Hosts a folder as nginx with `brotli_static` (or, with brotli off, as a plain file server) would. `bytes`
    counts what went over the wire, headers included; `asked` lists the paths."""

    def __init__(self, folder, brotli=True):
        outer = self
        self.bytes = 0
        self.asked = []
        self.gone = False

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, body):
                if outer.gone:  # connections that are open already end too
                    self.close_connection = True
                    return
                path = self.path.split("?")[0]
                outer.asked.append(f"{self.command} {path}")
                file = pathlib.Path(folder) / path.lstrip("/")
                if file.is_dir():
                    file /= "index.html"
                packed = file.with_name(file.name + ".br")
                status, headers, content = 404, [], b""
                if file.is_file():
                    status, content = 200, file.read_bytes()
                    tag = f'"{len(content):x}-{file.stat().st_mtime_ns:x}"'
                    headers = [("Content-Type", TYPES.get(file.suffix, "application/octet-stream")), ("ETag", tag)]
                    if brotli and packed.exists() and "br" in self.headers.get("Accept-Encoding", ""):
                        content = packed.read_bytes()
                        headers.append(("Content-Encoding", "br"))
                    if self.headers.get("If-None-Match") == tag:
                        status, content = 304, b""
                head = f"HTTP/1.1 {status} x\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers)
                head += f"Content-Length: {len(content)}\r\n\r\n"
                out = head.encode() + (content if body else b"")
                outer.bytes += len(out)
                self.wfile.write(out)

            def do_GET(self):
                self.answer(True)

            def do_HEAD(self):
                self.answer(False)

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A browser that goes away closes its connections."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.gone = True
        self.server.shutdown()
        self.server.server_close()


TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".json": "application/json",
         ".svg": "image/svg+xml", ".png": "image/png", ".wasm": "application/wasm",
         ".webmanifest": "application/manifest+json"}


class Visitor:
    """One tab, of a phone unless `desk`. The language is what the browser asks for."""

    def __init__(self, browser, url, desk=False, dark=False, language="en"):
        self.page = page = Page(browser, 1200 if desk else 360, 800 if desk else 740, dark=dark, phone=not desk)
        if not desk:
            page.call("Emulation.setTouchEmulationEnabled", {"enabled": True})
        page.call("Emulation.setUserAgentOverride", {"userAgent": page.run("navigator.userAgent"), "acceptLanguage": language})
        self.url = url
        page.open(url, settle=0)
        self.wait("document.documentElement.dataset.ready === 'true'", 60)

    def run(self, expression):
        return self.page.run(expression)

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never: {condition}\n{self.text()}\n{self.page.complaints()}"
            self.page.browser.pump(0.03)

    def choose(self, photo, picker="file"):
        """Picks a photo as the file dialog would; returns when something is said about it."""
        self.run("document.querySelector('.answer, .failed h1')?.remove()")
        root = self.page.call("DOM.getDocument")["root"]["nodeId"]
        node = self.page.call("DOM.querySelector", {"nodeId": root, "selector": f"input[data-picker={picker}]"})["nodeId"]
        self.page.call("DOM.setFileInputFiles", {"nodeId": node, "files": [os.fspath(photo)]})
        self.wait("document.querySelector('.answer, .failed h1')")

    def text(self, selector="body"):
        found = self.run(f"document.querySelector({selector!r})?.innerText ?? ''")
        return found.replace("\u00a0", " ").replace("\u202f", " ")

    def click(self, selector):
        self.run(f"document.querySelector({selector!r}).click()")

    def key(self, name, code, text=None):
        keys = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.page.call("Input.dispatchKeyEvent", {"type": "keyDown", **keys, **({"text": text} if text else {})})
        self.page.call("Input.dispatchKeyEvent", {"type": "keyUp", **keys})

    def tab(self):
        self.key("Tab", 9)

    def enter(self):
        self.key("Enter", 13, "\r")

    def type(self, text):
        self.page.call("Input.insertText", {"text": text})

    def focused(self):
        return self.run("(e => e.id || e.className || e.tagName)(document.activeElement)")

    def tab_to(self, condition, most=30):
        """Presses Tab until the focused element `e` fulfils `condition`."""
        for _ in range(most):
            self.tab()
            if self.run(f"(e => Boolean({condition}))(document.activeElement)"):
                return
        raise AssertionError(f"Tab never reaches {condition}")

    def screenshot(self, file):
        self.page.screenshot(file, full=True)

    def fits(self):
        """Nothing is wider than the screen."""
        return self.run("document.documentElement.scrollWidth <= innerWidth")

    def complaints(self):
        return self.page.complaints()

    def close(self):
        self.page.call("Page.close")


def axe_script(folder):
    """axe-core's text, installed into `folder` once, as package-lock.json names it."""
    script = pathlib.Path(folder) / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        os.makedirs(folder, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            (pathlib.Path(folder) / name).write_bytes((pathlib.Path(__file__).parent / name).read_bytes())
        node = subprocess.run([ROOT / "setup" / "node.sh"], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run([f"{node}/npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder,
                       check=True, env={**os.environ, "PATH": f"{node}:{os.environ['PATH']}"}, timeout=120)
    return script.read_text()


def violations(visitor, script):
    """What axe-core finds wrong by WCAG 2.2 A and AA and its best practices: rule, element, sentence."""
    visitor.run(f"{script}; 0")
    return visitor.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.flatMap(v => "
                       "v.nodes.map(n => `${v.id}: ${n.target} ${n.failureSummary}`)))")
