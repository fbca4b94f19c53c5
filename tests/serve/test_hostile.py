# SPDX-License-Identifier: Apache-2.0
"""Clients that mean harm by how they send: no step lasts, and nothing grows, because of them."""
import re
import socket
import ssl
import subprocess
import time

import pytest


def status_of(answer):
    found = re.match(rb"HTTP/1\.1 (\d+) ", answer)
    return int(found[1]) if found else None


@pytest.fixture(scope="module")
def server(serve):
    return serve("--body-timeout", "1", "--max-body", "1MiB")


CHUNKED = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_flood_of_small_chunks_does_not_outlive_the_time_for_a_body(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        wire.sendall(CHUNKED)
        begin = time.monotonic()
        try:
            while time.monotonic() < begin + 1.3:
                wire.send(b"1\r\na\r\n")
        except OSError:
            pass  # the server had enough
        # It says so soon after, and does not wait for the rest.
        answer = b""
        try:
            answer = wire.recv(4096)
        except ConnectionResetError:
            pass
        assert status_of(answer) in (408, None)
        assert time.monotonic() < begin + 12


@pytest.mark.parametrize("begin", [b"5;", b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n0;"])
def test_what_surrounds_chunks_takes_no_memory(server, begin):
    before = server.rss()
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        wire.sendall(CHUNKED + begin)
        try:
            for i in range(100):
                wire.sendall(b"x" * 999_998 + b"\r\n" if begin.endswith(b"\n") else b"x" * 1_000_000)
                sent += 1_000_000
        except OSError:
            pass
        grown = server.rss() - before
    assert grown < 30e6, f"{sent / 1e6:.0f} MB were sent, {grown / 1e6:.0f} MB are held"
    answer = server.raw(CHUNKED + begin + b"x" * 200_000)
    assert status_of(answer) == 400 and b"too long" in answer, answer[:300]


@pytest.mark.parametrize("version, encoding, status", [("1.1", "gzip, chunked", 501), ("1.0", "chunked", 400)])
def test_an_encoding_that_is_not_undone_is_refused(server, version, encoding, status):
    answer = server.raw(f"POST /v1/classify HTTP/{version}\r\nHost: x\r\nConnection: keep-alive\r\n"
                        f"Transfer-Encoding: {encoding}\r\n\r\n3\r\nabc\r\n0\r\n\r\n".encode())
    assert status_of(answer) == status, answer[:300]


def test_over_tls_too_a_refused_sender_can_read_why(serve, tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    server = serve("--max-body", "1MiB", "--tls-cert", cert, "--tls-key", key)
    context = ssl._create_unverified_context()
    for _ in range(3):
        with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=20)) as wire:
            wire.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n")
            for _ in range(8):
                wire.sendall(b"x" * 1_000_000)  # as clients do that read when they have sent all
            assert status_of(wire.recv(65536)) == 413
