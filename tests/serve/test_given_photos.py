# SPDX-License-Identifier: Apache-2.0
"""Contributions when something is against them: the log, another program, a hostile label, a store that fails."""
import csv
import json
import sqlite3

import pytest

from multipart_body import multipart


class Giving:
    def __init__(self, serve, folder, photo):
        self.store = folder / "given"
        self.log = folder / "access.log"
        self.server = serve("--contributions", self.store, "--access-log", self.log, "--cors", "https://example.org")
        self.photo = photo.read_bytes()

    def form(self, label="Apple", **more):
        fields = {"label": label, "consent": "true", **more}
        return multipart([("photo", "x.jpg", self.photo), *((name, None, text.encode()) for name, text in fields.items())])

    def give(self, label="Apple", **more):
        kind, body = self.form(label, **more)
        return self.server.json("/v1/contributions", body, status=201, headers={"Content-Type": kind})["code"]


@pytest.fixture(scope="module")
def giving(serve, photos, tmp_path_factory):
    return Giving(serve, tmp_path_factory.mktemp("giving"), photos[0])


def test_no_deletion_code_is_logged_however_it_is_asked(giving):
    code = giving.give()
    server = giving.server
    origin = {"Origin": "https://example.org", "Access-Control-Request-Method": "DELETE"}
    assert server.ask(f"/v1/contributions/{code}", method="OPTIONS", headers=origin)[0] == 204
    assert server.ask(f"/v1/contributions/{code}")[0] == 405
    assert server.ask(f"/v1/contributions/{code}/", method="DELETE")[0] == 404
    assert server.ask(f"/fruit/v1/contributions/{code}", method="DELETE")[0] == 404
    assert server.ask(f"/v1/contributions/{code}", method="DELETE")[0] == 200
    text = giving.log.read_text()
    paths = [json.loads(line)["path"] for line in text.splitlines()]
    assert code not in text and paths.count("/v1/contributions/{code}") >= 3, text


def test_a_label_longer_than_a_files_name_stops_no_export(giving, pomona, tmp_path):
    codes = [giving.give(label) for label in ("/" * 150, "é" * 100, "Lemon")]
    pomona("contributions", "export", "--folder", giving.store, tmp_path / "out")
    with open(tmp_path / "out" / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = {row[column] for row in rows for column in row if column != "path"}
    assert {"/" * 150, "é" * 100, "Lemon"} <= labels
    assert all((tmp_path / "out" / row["path"]).is_file() for row in rows)
    for code in codes:
        giving.server.json(f"/v1/contributions/{code}", method="DELETE")


def test_who_wants_to_be_counted_is(giving, pomona):
    words = ["contributions", "--folder", giving.store]
    name = pomona(*words, "pseudonym").stdout.decode().strip()
    code = giving.give(pseudonym=name)
    people = json.loads(pomona(*words, "list", "--json").stdout)["contributors"]
    assert [(one["pseudonym"], one["count"]) for one in people] == [(name, 1)]
    kind, body = giving.form(pseudonym="Jane Doe")
    assert giving.server.ask("/v1/contributions", body, headers={"Content-Type": kind})[0] == 400, "names are not chosen"
    giving.server.json(f"/v1/contributions/{code}", method="DELETE")
    pomona(*words, "forget", name)


def test_a_store_that_another_program_holds_is_busy_not_full(giving):
    code = giving.give()
    with sqlite3.connect(giving.store / "contributions.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        status, headers, body = giving.server.ask(f"/v1/contributions/{code}", method="DELETE")
        other.execute("ROLLBACK")
    other.close()
    assert status == 503 and json.loads(body)["error"]["code"] == "busy", body
    assert int(headers["Retry-After"]) < 60
    assert giving.server.json(f"/v1/contributions/{code}", method="DELETE")["removed"] is True


def test_what_the_log_is_said_to_hold_is_in_it(giving):
    code = giving.give()
    with sqlite3.connect(giving.store / "contributions.db") as other:
        other.execute("ALTER TABLE used RENAME TO lost")
    other.close()
    status, _, body = giving.server.ask(f"/v1/contributions/{code}", method="DELETE")
    assert status == 500 and b"see the server's log" in body
    assert str(giving.store) not in body.decode()
    assert "contributions.db" in giving.server.said(), giving.server.said()


def test_a_full_disk_is_said_to_be_full(serve, photos, mount_disk):
    small_disk = mount_disk("400k", busy=True)
    giving = Giving(serve, small_disk, photos[0])
    code = giving.give()
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    kind, form = multipart([("photo", "x.jpg", giving.photo), ("label", None, b"Apple"), ("consent", None, b"true")])
    for _ in range(20):  # what is left of pages already there
        status, _, body = giving.server.ask("/v1/contributions", form, headers={"Content-Type": kind})
        if status != 201:
            break
    assert status == 507, body
    error = json.loads(body)["error"]
    assert error["code"] == "disk_full" and "no space left" in error["message"]
    assert "No space left on device" in giving.server.said() and str(small_disk) not in body.decode()
    assert giving.server.json("/v1/classify", giving.photo)
    ballast.unlink()
    giving.give()
    assert giving.server.json(f"/v1/contributions/{code}", method="DELETE")["removed"] is True
