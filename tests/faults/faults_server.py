# SPDX-License-Identifier: Apache-2.0
"""The server: killed while photos are uploaded, its disk full, asked to end under load, its clock jumping."""
import http.client
import io
import json
import re
import signal
import sqlite3
import struct
import subprocess
import threading
import time

from PIL import Image

import jobs
from bench import Ended, require, wait
from faults_local import fault, tells
from multipart_body import multipart


class Server:
    """`pomona serve` with contributions kept below `place`."""

    def __init__(self, bench, faults=None, *more):
        self.folder = bench.place / "given"
        self.state = bench.root / "server-state"
        self.state.write_bytes(bytes(16))
        self.log = open(bench.root / "server.log", "w+b")
        env = bench.environment(dict(faults, state=self.state) if faults else None)
        self.process = subprocess.Popen(
            [bench.pomona, "serve", f"fruit={bench.kept / 'results' / 'results' / 'model.onnx'}", "--port", "0",
             "--contributions", self.folder, *more],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"listening http://127\.0\.0\.1:(\d+)\n", line)
        self.port = int(found[1]) if found else 0

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def ask(self, method, path, body=None, headers=None, timeout=180):
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            line.request(method, path, body, headers or {})
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()

    def give(self, photo, label="Apple"):
        kind, body = multipart([("photo", "x.jpg", photo), ("label", None, label.encode()), ("consent", None, b"true")])
        return self.ask("POST", "/v1/contributions", body, {"Content-Type": kind})

    def end(self, number=signal.SIGTERM, patience=20):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.seconds = wait(self.process, patience)
            return self.process.returncode
        except subprocess.TimeoutExpired:
            require(False, f"the server did not end within {patience} s: {self.said()}")
        finally:
            self.process.stdout.close()
            self.log.close()


def photos_of(bench):
    """Photos and the hash of their pixels: what is stored must show the same."""
    return [(p.read_bytes(), p.parent.name) for p in sorted(bench.photos().rglob("[0-9][0-9][0-9][0-9].jpg"))[:40]]


def upload(server, photos, codes, refused, stop):
    for photo, label in photos:
        if stop.is_set():
            return
        try:
            status, body = server.give(photo, label)
        except (OSError, http.client.HTTPException):
            return  # nobody is there any more; nothing was promised for this photo
        if status == 201:
            codes.append((json.loads(body)["code"], photo))
        else:
            refused.append((status, body))


def check_store(server_folder, promised):
    """By SQLite itself: the file is sound, every row has its photo, every photo its row, what was promised is there."""
    database = sqlite3.connect(server_folder / "contributions.db")
    try:
        require(database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "the database is damaged")
        require(not database.execute("PRAGMA foreign_key_check").fetchall(), "rows point to nothing")
        rows = {r[0] for r in database.execute("SELECT id FROM contributions WHERE gone IS NULL")}
        blobs = dict(database.execute("SELECT contribution, jpeg FROM photos"))
        require(rows == set(blobs), f"rows without photo: {rows - set(blobs)}, photos without row: {set(blobs) - rows}")
        labelled = {r[0] for r in database.execute("SELECT contribution FROM labels")}
        require(labelled >= rows, "a photo lost its label")
        stored = [Image.open(io.BytesIO(b)).convert("RGB").tobytes() for b in blobs.values()]
        for photo in promised:
            pixels = Image.open(io.BytesIO(photo)).convert("RGB").tobytes()
            require(pixels in stored, "a photo that was answered with 201 is not there")
        return len(rows)
    finally:
        database.close()


def loaded(bench, server, threads=3):
    codes, refused, stop = [], [], threading.Event()
    photos = photos_of(bench)
    load = [threading.Thread(target=upload, args=(server, photos[i::threads], codes, refused, stop), daemon=True)
            for i in range(threads)]
    for one in load:
        one.start()
    return codes, refused, stop, load


def begin(bench):
    """Makes a model and an empty place. How many operations that change something the server's start takes."""
    jobs.job(bench, "overwrite")  # makes the state `results`, with a model

    def count():
        bench.clear()
        server = Server(bench, {"under": bench.place / "given", "ops": "w"})
        require(server.port, f"the server did not start: {server.said()}")
        operations, _ = struct.unpack("qq", server.state.read_bytes())
        require(server.end() == 0, "the server did not end well")
        return operations
    operations = bench.once("server's start", count)
    bench.clear()
    return operations


def refused_start(bench, server, code, cause=""):
    """A server that a fault kept from starting: the exit code, the reason, and that it starts when the fault is over."""
    wait(server.process, 20)
    said = server.said()
    ended = server.end()
    require(ended == code, f"ended with {ended} when it could not start, expected {code}: {said}")
    if cause:
        tells(Ended(["serve"], ended, said, "", 0), cause, re.escape(str(server.folder)))
    again = Server(bench)
    require(again.port, f"the server does not start again: {again.said()}")
    status, body = again.give(photos_of(bench)[0][0])
    require(status == 201, f"no upload after the restart: {status} {body}")
    require(again.end() == 0, "the server did not end well")
    require(check_store(bench.place / "given", []) == 1, "the store holds something else than the one photo")


@fault("server.kill_uploads", 3)
def kill_uploads(bench, random):
    """SIGKILL at some write of the store of contributions: while it is made, or with three people uploading."""
    start = begin(bench)
    at, how = random.randint(1, start + 300), random.choice(["kill", "after", "torn"])
    server = Server(bench, {"under": bench.place / "given", "ops": "w", "at": at, "do": how})
    if not server.port:
        require(at <= start, f"the server did not start: {server.said()}")
        refused_start(bench, server, -signal.SIGKILL)
        return f"{how} at operation {at} of the {start} of its start"
    codes, refused, _, load = loaded(bench, server)
    for one in load:
        one.join(300)
    require(not refused, f"sound photos were refused: {refused[:2]}")
    code = server.end(signal.SIGKILL)
    require(code == -signal.SIGKILL, f"ended with {code}")
    again = Server(bench)
    require(again.port, f"the server does not start again: {again.said()}")
    status, body = again.give(photos_of(bench)[0][0])
    require(status == 201, f"no upload after the restart: {status} {body}")
    for one, _ in codes[:3]:
        status, body = again.ask("DELETE", "/v1/contributions/" + one)
        require(status == 200 and json.loads(body)["removed"], f"a code does not delete after the restart: {status} {body}")
    require(again.end() == 0, "the server did not end well")
    count = check_store(bench.place / "given", [p for _, p in codes[3:]])
    require(count >= len(codes) - 3 + 1, "a promised photo is lost")
    return f"{how} at operation {at}: {len(codes)} were promised, {count} are there after 3 deletions and 1 more"


@fault("server.full")
def full(bench, random):
    """No space left below the store: the upload is refused with a reason, what is stored stays sound, others are served."""
    start = begin(bench)
    at = random.randint(start // 2, start + 120)
    server = Server(bench, {"under": bench.place / "given", "ops": "w", "at": at, "times": 0, "do": "full"})
    if not server.port:
        require(at <= start, f"the server did not start: {server.said()}")
        refused_start(bench, server, 1, "full|no space left")
        return f"from operation {at} of the {start} of its start: refused to start"
    codes, refused, _, load = loaded(bench, server, 2)
    for one in load:
        one.join(300)
    require(refused, "nothing was refused with a full disk")
    for status, body in refused:
        require(status == 507, f"refused with {status}: {body}; {server.said()[:300]}")
        require(len(json.loads(body)["error"]["message"]) > 10, "no reason was given")
    status, _ = server.ask("POST", "/v1/classify", photos_of(bench)[0][0], {"Content-Type": "image/jpeg"})
    require(status == 200, f"classify answers {status} when the store is full")
    require(server.end() == 0, f"the server did not end well: {server.said() if not server.log.closed else ''}")
    again = Server(bench)
    status, body = again.give(photos_of(bench)[0][0])
    require(status == 201, f"no upload when there is room again: {status} {body}")
    again.end()
    count = check_store(bench.place / "given", [p for _, p in codes])
    require(count == len(codes) + 1, f"{len(codes)} were stored before and 1 after, but {count} are there")
    return f"from operation {at}: {len(codes)} stored, {len(refused)} refused ({refused[0][0]}), {count} there"


@fault("server.term")
def term(bench, random):
    """SIGTERM under uploads: what is under way is answered, the exit code is 0, nothing is half-stored."""
    begin(bench)
    server = Server(bench)
    require(server.port, f"the server did not start: {server.said()}")
    codes, refused, stop, load = loaded(bench, server)
    time.sleep(random.uniform(0.05, 0.5))
    code = server.end(random.choice([signal.SIGTERM, signal.SIGINT]))
    seconds = server.seconds
    stop.set()
    for one in load:
        one.join(300)
    require(code == 0, f"SIGTERM ended the server with {code}")
    require(seconds < 10, f"the server took {seconds:.1f} s to end")
    require(not refused, f"refused: {refused[:2]}")
    count = check_store(bench.place / "given", [p for _, p in codes])
    return f"ended in {seconds:.2f} s, {len(codes)} promised, {count} there"


@fault("server.clock")
def clock(bench, random):
    """The wall clock jumps by a day under load: no request times out, uploads are stored."""
    begin(bench)
    days = random.choice([-1, 1])
    server = Server(bench, {"clock": days * jobs.DAY, "clock_after": 700}, "--header-timeout", "60",
                    "--body-timeout", "60")
    require(server.port, f"the server did not start: {server.said()}")
    codes, refused, _, load = loaded(bench, server)
    for one in load:
        one.join(300)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        status, _ = server.ask("POST", "/v1/classify", photos_of(bench)[0][0], {"Content-Type": "image/jpeg"})
        require(status == 200, f"classify answers {status}")
    status, _ = server.give(photos_of(bench)[1][0])
    require(status == 201, f"an upload after the jump gives {status}")
    require(not refused and len(codes) == len(photos_of(bench)), f"refused: {refused[:2]}")
    require(server.end() == 0, "the server did not end well")
    check_store(bench.place / "given", [p for _, p in codes])
    return f"{days} day: {len(codes) + 1} stored"
