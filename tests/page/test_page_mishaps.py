# SPDX-License-Identifier: Apache-2.0
"""The page when something is not as usual: another language halfway, a wrong code, a host with ways of its own."""
import re
import shutil
import urllib.error
import urllib.request

import pytest

from page_support import Page, StaticServer, Visitor, multipart
from test_page import shots, visit  # noqa: F401


def speak(visitor, language):
    visitor.run("(choice => { choice.value = %r; choice.dispatchEvent(new Event('change')); })"
                "(document.querySelector('#top select'))" % language)


def test_a_change_of_language_changes_all_and_takes_nothing_away(visit, photos, tmp_path):  # noqa: F811
    visitor = visit()
    visitor.choose(photos["sure"])
    visitor.wait("document.querySelectorAll('.similar img').length === 6")
    speak(visitor, "fr")
    assert visitor.run("document.querySelectorAll('.similar img').length") == 6
    assert "Photos" in visitor.text(".similar") and visitor.fits()
    text = tmp_path / "notes.txt"
    text.write_text("no photo")
    visitor.choose(text)
    french = visitor.text("main")
    speak(visitor, "en")
    assert visitor.text("main h1") == "That did not work" and visitor.text("main") != french
    assert visitor.run("document.activeElement.tagName") == "SELECT"


def test_a_mistyped_code_is_not_said_to_be_deleted(visit):  # noqa: F811
    visitor = visit()
    visitor.click("#mine")
    visitor.run("document.querySelector('#own-code').focus()")
    visitor.type("7Q2M-X0AB")
    visitor.click("dialog form button")
    visitor.wait("document.querySelector('dialog .error').textContent")
    assert visitor.text("dialog .error").startswith("No photo here has this code")
    assert "deleted." not in visitor.text("dialog") and visitor.run("document.querySelector('#own-code').value") == "7Q2M-X0AB"


def test_a_label_that_no_server_takes_is_not_blamed_on_the_photo(visit, photos):  # noqa: F811
    visitor = visit()
    visitor.choose(photos["unsure"])
    visitor.run("document.querySelector('#consent').checked = true; document.querySelector('#own-label').focus()")
    visitor.type("果" * 90)
    visitor.click(".ask button[type=submit]")
    visitor.wait("document.querySelector('#form-error').textContent")
    assert visitor.text("#form-error").startswith("That is too long") and visitor.focused() == "own-label"
    colours = visitor.run("['#form-error', '#own-hint'].map(one => getComputedStyle(document.querySelector(one)).color)")
    assert colours[0] != colours[1], "an error looks like one"


FULL = {"en": "The server has no room left, so nothing was saved or deleted. Try again another day.",
        "fr": "Le serveur n’a plus de place : rien n’a été gardé ni effacé. Réessayez un autre jour."}


def test_a_server_without_room_says_so(browser, start_server, model, photos, mount_disk, shots):  # noqa: F811
    disk = mount_disk("400k", busy=True)
    server = start_server([model, "--contributions", disk / "given"])
    kind, form = multipart([("photo", "x.jpg", photos["sure"].read_bytes()), ("label", None, b"Kiwi"), ("consent", None, b"true")])

    def status():
        request = urllib.request.Request(server.url + "v1/contributions", form, {"Content-Type": kind})
        try:
            return urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            return error.code

    assert status() == 201
    with open(disk / "ballast", "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    assert 507 in (status() for _ in range(20))  # pages that are there already take some
    for language, sentence in FULL.items():
        visitor = Visitor(browser, server.url, language=language)
        visitor.choose(photos["unsure"])
        visitor.run("document.querySelector('#consent').checked = true; document.querySelector('#own-label').focus()")
        visitor.type("kiwi")
        visitor.click(".ask button[type=submit]")
        visitor.wait("document.querySelector('#form-error').textContent")
        assert visitor.text("#form-error") == sentence and visitor.fits()
        visitor.screenshot(shots / f"full-{language}.png")
        visitor.close()
    server.close()


def test_an_answer_without_facts_fills_the_page(browser, start_server, model, photos, tmp_path):
    (tmp_path / "none.json").write_text('{"classes": {}}')
    server = start_server([model, "--catalogue", tmp_path / "none.json", "--contributions", tmp_path / "given"])
    visitor = Visitor(browser, server.url, desk=True)
    visitor.choose(photos["sure"])
    left, right = visitor.run("['.said', '.side > .plain'].map(one => document.querySelector(one).getBoundingClientRect().left)")
    assert abs(left - right) < 2 and visitor.fits()
    visitor.close()
    server.close()


class OtherHost(StaticServer):
    """A static host that leads /index.html to /, and may answer what is not there with a page."""

    def __init__(self, folder, config=None):
        super().__init__(folder)
        usual = self.server.RequestHandlerClass

        class Handler(usual):
            def answer(self, body):
                name = self.path.split("?")[0]
                if name == "/index.html":
                    self.wfile.write(b"HTTP/1.1 308 Permanent Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
                elif name == "/config.json" and config is not None:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(config) + config)
                else:
                    super().answer(body)

        self.server.RequestHandlerClass = Handler


@pytest.fixture(scope="module")
def site(pomona, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("other") / "site"
    pomona("export", model, "--web", folder, "--no-webgpu")
    return folder


def test_a_host_that_redirects_the_page_to_its_folder(browser, site, photos):
    host = OtherHost(site)
    visitor = Visitor(browser, host.url)
    visitor.wait("navigator.serviceWorker.controller")
    visitor.page.open(host.url, settle=0)
    visitor.wait("document.documentElement.dataset.ready === 'true'", 60)
    visitor.choose(photos["sure"])
    assert visitor.text("#answer-name") == "Banana"
    visitor.close()
    host.close()


def test_two_pages_on_one_host_leave_each_other_alone(browser, site, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(site, tmp_path / name)
        for packed in ("sw.js.br", "sw.js.gz"):
            (tmp_path / name / packed).unlink(missing_ok=True)
    script = tmp_path / "two" / "sw.js"
    script.write_text(re.sub(r"[0-9a-f]{16}", "0" * 16, script.read_text()))  # made by another version
    host = StaticServer(tmp_path)
    for name in ("one", "two"):
        visitor = Visitor(browser, f"{host.url}{name}/")
        visitor.wait("navigator.serviceWorker.controller")
        visitor.wait("caches.keys().then(names => names.length >= %d)" % (2 if name == "one" else 3))
        visitor.close()
    host.close()  # the server is gone for good
    for name in ("one", "two"):
        visitor = Visitor(browser, f"{host.url}{name}/")
        assert "never leave this device" in visitor.text("main")
        visitor.close()


def test_a_host_without_config_says_something(browser, site):
    host = OtherHost(site, config=b"<!doctype html><p>Nothing here</p>")
    page = Page(browser, 360, 740, phone=True)
    page.open(host.url, settle=0)
    for _ in range(100):
        if page.run("document.querySelector('main h1')?.innerText"):
            break
        browser.pump(0.1)
    assert page.run("document.querySelector('main h1').innerText") == "That did not work"
    assert page.run("document.querySelectorAll('main button').length") == 1
    page.call("Page.close")
    host.close()
