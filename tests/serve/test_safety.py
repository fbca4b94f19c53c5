# SPDX-License-Identifier: Apache-2.0
"""What is hostile, too much or not allowed is refused with the right status, and the server goes on."""
import json
import re
import socket
import ssl
import struct
import subprocess
import time
import zlib

import pytest

from multipart_body import multipart


def status_of(answer):
    found = re.match(rb"HTTP/1\.1 (\d+) ", answer)
    return int(found[1]) if found else None


@pytest.fixture(autouse=True)
def still_there(server, photos):
    yield
    assert server.process.poll() is None, server.said()
    assert server.json("/v1/classify", photos[0].read_bytes())["photos"][0]["targets"]


def post(path, body, *headers):
    head = "".join(f"{line}\r\n" for line in headers)
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + body


@pytest.mark.parametrize("sent, status", [
    (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    (b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 40_000 + b"\r\n\r\n", 431),
    (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n", 431),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n", 400),
    (post("/v1/classify", b"", "Content-Length: 99999999999"), 413),
    (post("/v1/classify", b"", "Content-Length: -1"), 400),
    (post("/v1/classify", b"", "Content-Length: 5", "Content-Length: 6"), 400),
    (post("/v1/classify", b"0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    (post("/v1/classify", b"0\r\n\r\n", "Transfer-Encoding: gzip"), 501),
    (post("/v1/classify", b"zz\r\n", "Transfer-Encoding: chunked"), 400),
    (post("/v1/classify", b"ffffffffffffffff1\r\n", "Transfer-Encoding: chunked"), 400),
    (post("/v1/classify", b"", "Content-Length: 5", "Expect: miracles"), 417),
    (post("/metrics", b"12345", "Content-Length: 5"), 405),
    (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345", 413),
])
def test_malformed_requests_have_their_status_and_end_the_connection(server, sent, status):
    answer = server.raw(sent)
    assert status_of(answer) == status, answer[:300]
    assert b'{"error":{"code":' in answer


def test_chunked_bodies_are_counted(server):
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert status_of(server.raw(post("/v1/classify", piece * 80, "Transfer-Encoding: chunked"))) == 413


def test_paths_lead_nowhere(server):
    for path in ["/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/index.html/", "/.env", "/%2e%2e/"]:
        assert status_of(server.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())) == 404


def test_slow_clients_are_let_go(server):
    """A byte now and then does not hold a connection: header, body, and silence have their own limits."""
    for sent, limit in ((b"GET / HT", 408), (post("/v1/classify", b"abc", "Content-Length: 100"), 408), (b"", None)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
            begin = time.monotonic()
            wire.sendall(sent)
            got = b""
            wire.settimeout(0.2)
            while time.monotonic() - begin < 6:
                try:
                    piece = wire.recv(65536)
                    if not piece:
                        break
                    got += piece
                except TimeoutError:
                    try:
                        if sent and not got:
                            wire.sendall(b"x")
                    except (BrokenPipeError, ConnectionResetError):
                        break
                except ConnectionResetError:
                    break
            took = time.monotonic() - begin
            assert status_of(got) == limit and took < 5.5, (sent, got, took)


def test_pipelined_requests_and_what_follows_them(server, photos):
    photo = photos[0].read_bytes()
    one = post("/v1/classify", photo, f"Content-Length: {len(photo)}")
    answer = server.raw(one + one + b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n" + b"garbage\r\n\r\n")
    assert [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+) ", answer)] == [200, 200, 200, 400]


def test_expect_continue(server, photos):
    photo = photos[0].read_bytes()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(post("/v1/classify", b"", f"Content-Length: {len(photo)}", "Expect: 100-continue", "Connection: close"))
        assert wire.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.sendall(photo)
        assert status_of(wire.recv(65536)) == 200


@pytest.mark.parametrize("kind, body", [
    ("multipart/form-data", b"--x--"), ("multipart/form-data; boundary=", b"--x--"),
    ("multipart/form-data; boundary=x", b""), ("multipart/form-data; boundary=x", b"--x\r\n\r\n"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nno end"),
    ("multipart/form-data; boundary=x", b"--x\r\n" + b"A" * 100_000),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 5000),
    ("multipart/form-data; boundary=" + "x" * 500, b"--" + b"x" * 500),
])
def test_malformed_forms(server, kind, body):
    assert server.error("/v1/classify", body, headers={"Content-Type": kind})[0] == 400


def png_bomb(width, height):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def test_decompression_bombs_are_refused_without_the_memory(server):
    bomb = png_bomb(30_000, 6_000)
    assert len(bomb) < 400_000
    before = server.rss()
    for _ in range(3):
        assert server.error("/v1/classify", bomb) == (422, "not_a_photo")
    assert server.rss() - before < 100 << 20


def test_too_many_connections_of_one_client(server):
    wires = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(41)]
    try:
        answer = wires[-1].recv(65536)
        assert status_of(answer) == 503 and b"too_many_connections_of_client" in answer and b"Retry-After" in answer
    finally:
        for wire in wires:
            wire.close()
    time.sleep(0.2)


def test_a_full_queue_says_so(serve, photos):
    own = serve("--queue", "4", "--threads", "1")
    kind, body = multipart([("photo", path.name, path.read_bytes()) for path in photos])
    wires = []
    for _ in range(4):
        wire = socket.create_connection(("127.0.0.1", own.port), timeout=30)
        wire.sendall(post("/v1/classify", body, f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close"))
        wires.append(wire)
    answers = []
    for wire in wires:
        got = b""
        while piece := wire.recv(1 << 16):
            got += piece
        answers.append(got)
        wire.close()
    codes = sorted(status_of(answer) for answer in answers)
    assert codes[0] == 200 and codes[-1] == 503
    assert all(b"Retry-After: 1" in answer for answer in answers if status_of(answer) == 503)


def test_tokens_and_their_scopes(pomona, serve, photos, tmp_path):
    file = tmp_path / "tokens"
    tokens = {}
    for name, scopes in (("app", "classify"), ("giver", "contribute"), ("boss", "admin,classify")):
        tokens[name] = pomona("tokens", "add", file, name, "--scopes", scopes).stdout.decode().strip()
    assert not any(token in file.read_text() for token in tokens.values()), "only hashes are kept"
    own = serve("--tokens", file, "--access-log", tmp_path / "log")
    photo = photos[0].read_bytes()

    def status(token, path="/v1/classify", data=photo):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return own.ask(path, data, headers=headers)[0]

    assert status(None) == 401 and own.ask("/v1/classify", photo)[1]["WWW-Authenticate"].startswith("Bearer")
    assert status("pomona_wrong") == 401
    assert status(tokens["app"]) == 200 and status(tokens["giver"]) == 403
    assert status(tokens["app"], "/metrics", None) == 403 and status(tokens["boss"], "/metrics", None) == 200
    assert status(None, "/v2/health/ready", None) == 200 and status(None, "/", None) == 200
    # A token that is taken away, and one that is new, count from the next SIGHUP on.
    pomona("tokens", "remove", file, "app")
    fresh = pomona("tokens", "add", file, "new", "--scopes", "classify").stdout.decode().strip()
    own.hangup()
    assert status(tokens["app"]) == 401 and status(fresh) == 200
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    good = [line for line in lines if line.get("token") == "app" and line["status"] == 200]
    assert good[0]["path"] == "/v1/classify" and good[0]["photos"] == 1 and good[0]["ms"] > 0
    assert not any(token in (tmp_path / "log").read_text() for token in tokens.values())
    # Some things may be left open.
    half = serve("--tokens", file, "--open", "classify")
    assert half.ask("/v1/classify", photo)[0] == 200 and half.ask("/metrics")[0] == 401


def test_rate_limit_per_client(serve):
    own = serve("--rate", "2", "--burst", "5")
    codes = [own.ask("/v1/models")[0] for _ in range(8)]
    assert codes == [200] * 5 + [429] * 3
    status, headers, _ = own.ask("/v1/models")
    assert status == 429 and int(headers["Retry-After"]) >= 1
    assert own.ask("/v2/health/ready")[0] == 200, "probes are not counted"
    time.sleep(0.7)
    assert own.ask("/v1/models")[0] == 200


def test_only_a_trusted_proxy_says_who_asks(pomona, model, serve, tmp_path):
    def codes(own, *clients):
        return [own.ask("/v1/models", headers={"X-Forwarded-For": client} if client else None)[0] for client in clients]

    own = serve("--rate", "0.01", "--burst", "2", "--trusted-proxy", "127.0.0.0/8,10.0.0.0/8", "--access-log", tmp_path / "log",
                "--max-connections-per-client", "3")
    assert codes(own, *["198.51.100.1"] * 3, "198.51.100.2") == [200, 200, 429, 200]
    # What a client writes itself stands before what the proxy adds, and changes nothing.
    assert codes(own, "203.0.113.5, 198.51.100.1", "198.51.100.1, 10.0.0.3") == [429, 429]
    assert codes(own, "2001:db8::1", "2001:db8::2", "2001:db8::3") == [200, 200, 429], "a /64 is one client"
    assert codes(own, None, "nobody", "198.51.100.2, nobody") == [200, 200, 429], "then the proxy is the client"
    # Many clients come over a proxy's connections.
    wires = [socket.create_connection(("127.0.0.1", own.port), timeout=5) for _ in range(8)]
    wires[-1].sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status_of(wires[-1].recv(65536)) == 200
    for wire in wires:
        wire.close()
    logged = [json.loads(line)["client"] for line in (tmp_path / "log").read_text().splitlines()]
    assert logged[:6] == ["198.51.100.1"] * 3 + ["198.51.100.2"] + ["198.51.100.1"] * 2 and "127.0.0.1" in logged

    # Without the option the header is a client's own words.
    alone = serve("--rate", "0.01", "--burst", "2")
    assert codes(alone, "198.51.100.1", "198.51.100.2", "198.51.100.3") == [200, 200, 429]
    said = pomona("serve", model, "--port", "0", "--trusted-proxy", "10.0.0.0/40", code=2).stderr.decode()
    assert "10.0.0.0/40" in said and "range of addresses" in said


def test_cors_is_off_unless_named(server, serve):
    assert server.ask("/v1/models", headers={"Origin": "https://a.example"})[1]["Access-Control-Allow-Origin"] is None
    assert server.ask("/v1/classify", method="OPTIONS")[0] == 405
    own = serve("--cors", "https://a.example")
    headers = own.ask("/v1/models", headers={"Origin": "https://a.example"})[1]
    assert headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert own.ask("/v1/models", headers={"Origin": "https://b.example"})[1]["Access-Control-Allow-Origin"] is None
    assert own.ask("/v1/classify", method="OPTIONS", headers={"Origin": "https://a.example"})[0] == 204


def make_certificate(folder, name):
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return cert, key


def test_tls_and_a_new_certificate(serve, server, photos, tmp_path):
    cert, key = make_certificate(tmp_path, "one")
    own = serve("--tls-cert", cert, "--tls-key", key)
    context = ssl.create_default_context(cafile=cert)
    status, headers, _ = own.ask("/v1/classify", photos[0].read_bytes(), context=context)
    assert status == 200 and headers["Strict-Transport-Security"]
    assert b"HTTP" not in own.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "nothing is said without TLS"
    other, other_key = make_certificate(tmp_path, "two")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode, old.maximum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_1
    with pytest.raises(Exception):
        own.ask("/", context=old)
    # A key that does not fit is warned about, and the old pair stays.
    key.write_bytes(other_key.read_bytes())
    own.hangup()
    assert own.ask("/", context=context)[0] == 200 and "stay as they were" in own.said()
    cert.write_bytes(other.read_bytes())
    own.hangup()
    assert own.ask("/", context=ssl.create_default_context(cafile=other))[0] == 200


def test_binding_elsewhere_warns(pomona, model):
    process = pomona.start("serve", model, "--host", "0.0.0.0", "--port", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline().startswith(b"listening http://0.0.0.0:")
    process.terminate()
    said = process.communicate(timeout=20)[1].decode()
    assert "without TLS" in said and "without --tokens" in said


def test_wrong_use_is_refused_before_anything_starts(pomona, model, tmp_path):
    for words in (["none.onnx"], [model, "--tls-cert", "x"], [model, model], [model, "--host", "localhost!"],
                  [model, "--tokens", tmp_path / "none"], [model, "--similar", tmp_path], [model, "--open", "root"]):
        done = pomona("serve", *words, "--port", "0", code=None, timeout=60)
        assert done.returncode in (1, 2) and done.stderr, words
