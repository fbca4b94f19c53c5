# SPDX-License-Identifier: Apache-2.0
"""The page of `pomona serve`, as a visitor with a phone, a keyboard or a screen reader uses it."""
import base64
import io
import json
import os
import pathlib
import urllib.error
import urllib.request

import pytest
from PIL import Image

from page_support import Visitor, violations


@pytest.fixture
def visit(browser, server):
    """Opens the page; what this visitor sent before is forgotten."""
    opened = []

    def open_page(**options):
        visitor = Visitor(browser, server.url, **options)
        visitor.run("localStorage.clear()")
        opened.append(visitor)
        return visitor

    yield open_page
    for visitor in opened:
        visitor.close()


@pytest.fixture
def shots(tmp_path):
    """Where pictures of the page go: POMONA_SHOTS keeps them."""
    folder = pathlib.Path(os.environ.get("POMONA_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_sure_answer_names_the_fruit_and_tells_about_it(visit, photos, shots, axe):
    visitor = visit()
    visitor.screenshot(shots / "home.png")
    visitor.choose(photos["sure"])
    assert visitor.text("#answer-name") == "Banana"
    assert visitor.focused() == "answer-name"
    said = visitor.text(".sure")
    assert said.startswith(("Very sure", "Sure")) and "% likely" in said
    assert visitor.run("document.querySelectorAll('.answer .candidates li').length") == 2
    assert visitor.text(".further dt") == "Fruit" and visitor.text(".further dd").startswith("Banana 9")
    facts = visitor.text(".facts")
    assert "Musa" in facts and "89 kcal" in facts and "all year" in facts
    sources = visitor.run("[...document.querySelectorAll('.facts details a')].map(a => a.href)")
    assert "https://fdc.nal.usda.gov/food-details/173944/nutrients" in sources
    visitor.wait("document.querySelectorAll('.similar img').length === 6")
    visitor.wait("[...document.querySelectorAll('.similar img')].every(i => i.naturalWidth > 0)")
    assert "Banana" in visitor.text(".similar")
    assert visitor.fits()
    assert violations(visitor, axe) == []
    visitor.screenshot(shots / "sure.png")
    assert visitor.complaints() == []


def test_an_unsure_answer_asks_and_what_was_given_can_be_taken_back(visit, photos, server, shots, axe):
    visitor = visit()
    visitor.choose(photos["unsure"])
    assert visitor.text("#answer-name") == "I am not sure"
    assert visitor.run("document.querySelectorAll('.answer .candidates li').length") == 3
    assert violations(visitor, axe) == []
    visitor.screenshot(shots / "unsure.png")

    # Nothing is sent without a name and consent.
    visitor.click(".ask button[type=submit]")
    assert visitor.text("#form-error") == "Say what it is first." and visitor.focused() == "own-label"
    visitor.type("kiwifruit")
    visitor.click(".ask button[type=submit]")
    assert "consent" in visitor.text("#form-error") and visitor.focused() == "consent"
    assert "14 days" in visitor.text(".ask .tick")
    visitor.click("#consent")
    visitor.click(".ask button[type=submit]")
    visitor.wait("document.querySelector('.ask .code')")
    code = visitor.text(".ask .code")
    assert len(code) >= 20
    visitor.screenshot(shots / "given.png")
    stored = json.loads(visitor.run("localStorage.getItem('pomona.contributions')"))
    assert [(one["code"], one["label"]) for one in stored] == [(code, "Kiwi 1")]

    visitor.page.open(server.url)  # a later visit
    visitor.wait("document.getElementById('mine')")
    assert visitor.text("#mine") == "My contributions (1)"
    visitor.click("#mine")
    assert "Kiwifruit" in visitor.text("dialog") and code in visitor.text("dialog")
    visitor.wait("document.documentElement.dataset.ready === 'true'")
    assert violations(visitor, axe) == []
    visitor.screenshot(shots / "mine.png")
    visitor.click("dialog li button")
    visitor.wait("document.querySelector('dialog .done')")
    assert visitor.text("dialog .done").startswith("The photo of Kiwifruit is deleted.")
    assert visitor.text("#mine") == "My contributions"
    request = urllib.request.Request(f"{server.url}v1/contributions/{code}", method="DELETE")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)


def test_an_unknown_photo_is_called_so(visit, photos, shots, axe):
    visitor = visit()
    visitor.choose(photos["unknown"])
    assert visitor.text("#answer-name") == "I do not know this"
    assert not visitor.run("Boolean(document.querySelector('.facts'))")
    assert "Do you know what it is?" in visitor.text(".ask")
    assert violations(visitor, axe) == []
    visitor.screenshot(shots / "unknown.png")


def test_a_file_that_is_no_photo_gets_a_sentence(visit, tmp_path, shots):
    (tmp_path / "text.jpg").write_text("not a photo")
    visitor = visit()
    visitor.choose(tmp_path / "text.jpg")
    assert "not a photo I can read" in visitor.text("main")
    visitor.screenshot(shots / "failed.png")


def test_french_where_the_browser_asks_and_by_choice(visit, photos, shots):
    visitor = visit(language="fr-FR,fr;q=0.9")
    assert visitor.text("h1") == "Quel est ce fruit ?"
    assert visitor.run("document.documentElement.lang") == "fr"
    visitor.choose(photos["sure"])
    assert visitor.text("#answer-name") == "Banane"
    assert "Très sûr" in visitor.text(".answer") or "Sûr" in visitor.text(".answer")
    assert "toute l’année" in visitor.text(".facts") and "22,8 g" in visitor.text(".facts")
    visitor.screenshot(shots / "french.png")
    visitor.run("(s => { s.value = 'en'; s.dispatchEvent(new Event('change')); })(document.querySelector('#top select'))")
    assert visitor.text("#answer-name") == "Banana"


def test_keyboard_only(visit, photos):
    visitor = visit(desk=True)
    visitor.tab()
    assert visitor.run("document.activeElement.className") == "skip"
    # The button opens the file dialog; a dialog cannot be driven, so the test sees that it was asked for.
    visitor.run("document.querySelector('input[data-picker=file]').addEventListener('click', e => { e.preventDefault(); window.asked = true; })")
    visitor.tab_to("e.closest('.pickers')")
    visitor.enter()
    assert visitor.run("window.asked") is True
    visitor.choose(photos["unsure"])
    assert visitor.focused() == "answer-name"
    visitor.tab_to("e.id === 'own-label'")
    visitor.type("Mango")
    visitor.tab()
    assert visitor.focused() == "consent"
    visitor.key(" ", 32, " ")
    assert visitor.run("document.getElementById('consent').checked") is True
    visitor.tab_to("e.type === 'submit'")
    visitor.enter()
    visitor.wait("document.querySelector('.ask .code')")
    visitor.tab_to("e.id === 'mine'")
    visitor.enter()
    visitor.wait("document.querySelector('dialog[open]')")
    visitor.tab_to("e.closest('dialog li')")
    visitor.enter()
    visitor.wait("document.querySelector('dialog .done')")
    visitor.key("Escape", 27)
    visitor.wait("!document.querySelector('dialog')")


def test_the_notice_tells_purpose_place_time_and_rights(visit, shots, axe):
    visitor = visit()
    visitor.click("#privacy")
    text = visitor.text("dialog")
    for word in ["What for", "Where", "How long", "14 days", "Your rights", "127.0.0.1"]:
        assert word in text
    assert violations(visitor, axe) == []
    visitor.page.screenshot(shots / "privacy.png")


@pytest.mark.parametrize("desk", [False, True])
@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_wide_and_narrow(visit, photos, shots, axe, desk, dark):
    visitor = visit(desk=desk, dark=dark)
    assert visitor.fits() and violations(visitor, axe) == []
    visitor.choose(photos["sure"])
    assert visitor.fits() and violations(visitor, axe) == []
    shade = visitor.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0)")
    assert (shade < 150) == dark
    visitor.screenshot(shots / f"{'desk' if desk else 'phone'}-{'dark' if dark else 'light'}.png")


def sent_bytes(visitor, file):
    """The photo as the page would send it."""
    visitor.run("window.sent = null; window.plain = window.plain ?? window.fetch; window.fetch = (url, init) => {"
                "if (String(url).includes('classify')) window.sent = init.body; return plain(url, init); }; 0")
    visitor.choose(file)
    text = visitor.run("window.sent.arrayBuffer().then(b => btoa([...new Uint8Array(b)].map(c => String.fromCharCode(c)).join('')))")
    return base64.b64decode(text)


def test_a_photo_leaves_without_place_time_and_camera_but_upright(visit, photos, tmp_path):
    plain = Image.open(photos["unsure"])
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 24.0)
    plain.save(tmp_path / "photo.jpg", exif=exif, quality=95, comment=b"a secret comment")
    visitor = visit()
    sent = sent_bytes(visitor, tmp_path / "photo.jpg")
    assert b"Secret" in (tmp_path / "photo.jpg").read_bytes() and b"ecret" not in sent
    found = Image.open(io.BytesIO(sent))
    assert dict(found.getexif()) == {0x0112: 6}
    assert found.tobytes() == Image.open(tmp_path / "photo.jpg").tobytes()

    # A large one is made smaller on the device.
    plain.resize((3000, 2000)).save(tmp_path / "large.jpg", exif=exif)
    small = Image.open(io.BytesIO(sent_bytes(visitor, tmp_path / "large.jpg")))
    assert small.size == (1067, 1600) and dict(small.getexif()) == {}


def test_the_page_can_be_installed(visit, server):
    visitor = visit()
    visitor.wait("navigator.serviceWorker.controller")
    errors = visitor.page.call("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [e["errorId"] for e in errors if e["errorId"] != "in-incognito"] == []
    visitor.page.call("Network.emulateNetworkConditions", {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0})
    visitor.page.open(server.url)
    assert "The server cannot be reached" in visitor.text("main") or "What fruit is this?" in visitor.text("main")
