# SPDX-License-Identifier: Apache-2.0
"""Mixed good and hostile requests for a while: no crash, no good request refused, memory flat.

    tests/serve/soak.py build/bin/pomona model.onnx PHOTOS [--seconds 600]

An hour of use by a small team is about 10,000 requests; ten minutes of this are more. Ends with 1 where the server died,
refused something good or grew by more than a tenth after its first fifth.
"""
import argparse
import http.client
import pathlib
import random
import socket
import subprocess
import sys
import threading
import time

HOSTILE = [
    b"\x00" * 500 + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 50_000 + b"\r\n\r\n",
    b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n",
    b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\nhalf",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v2/models/fruit/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000,
    b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 200\r\n\r\n"
    + b"--x\r\n" * 40,
]


class Soak:
    def __init__(self, options):
        self.files = [path.read_bytes() for path in sorted(options.photos.rglob("*.jpg"))[:200]]
        self.process = subprocess.Popen(
            [options.pomona, "serve", f"fruit={options.model}", "--port", "0", "--header-timeout", "2", "--body-timeout", "3"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.port = int(self.process.stdout.readline().decode().rsplit(":", 1)[1])
        self.until = time.monotonic() + options.seconds
        self.lock = threading.Lock()
        self.good = self.bad = 0
        self.wrong = []

    def rss(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0

    def ask_well(self, seed):
        chance = random.Random(seed)
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while time.monotonic() < self.until:
            path = chance.choice(["/v1/classify"] * 6 + ["/v1/features", "/v1/models", "/metrics", "/"])
            post = path.startswith("/v1/") and path != "/v1/models"
            try:
                line.request("POST" if post else "GET", path, chance.choice(self.files) if post else None)
                answer = line.getresponse()
                answer.read()
                ok = answer.status == 200
            except (OSError, http.client.HTTPException) as error:
                ok, answer = False, error
                line.close()
            with self.lock:
                self.good += 1
                if not ok:
                    self.wrong.append((path, getattr(answer, "status", repr(answer))))
            if chance.random() < 0.05:
                line.close()

    def ask_badly(self, seed):
        chance = random.Random(seed)
        while time.monotonic() < self.until:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as wire:
                    if chance.random() < 0.3:
                        # A photo with some bytes changed, cut off in the middle or whole.
                        photo = bytearray(chance.choice(self.files))
                        for _ in range(20):
                            photo[chance.randrange(len(photo))] = chance.randrange(256)
                        cut = chance.choice([len(photo), len(photo) // 2])
                        wire.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                                     % len(photo) + photo[:cut])
                    else:
                        wire.sendall(chance.choice(HOSTILE))
                    if chance.random() < 0.8:
                        wire.recv(65536)
            except OSError:
                pass
            with self.lock:
                self.bad += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pomona")
    parser.add_argument("model")
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    soak = Soak(options)
    threads = [threading.Thread(target=soak.ask_well, args=(i,), daemon=True) for i in range(6)]
    threads += [threading.Thread(target=soak.ask_badly, args=(100 + i,), daemon=True) for i in range(4)]
    for thread in threads:
        thread.start()
    sizes = []
    begin = time.monotonic()
    while time.monotonic() < soak.until and soak.process.poll() is None:
        time.sleep(min(5, options.seconds / 20))
        sizes.append(soak.rss())
        print(f"{time.monotonic() - begin:6.0f} s  {sizes[-1]:7.1f} MiB  {soak.good} good, {soak.bad} hostile", flush=True)
    alive = soak.process.poll() is None
    for thread in threads:
        thread.join(20)
    soak.process.terminate()
    code = soak.process.wait(30)
    early = max(sizes[: max(1, len(sizes) // 5)])
    late = max(sizes[-max(1, len(sizes) // 5):])
    print(f"BENCH soak_growth {late / early:.3f}  # {early:.0f} -> {late:.0f} MiB; {soak.good} good, {soak.bad} hostile requests")
    print(f"alive {alive}, exit {code}, good requests refused: {len(soak.wrong)} {soak.wrong[:3]}")
    return 0 if alive and code == 0 and not soak.wrong and late < 1.1 * early else 1


if __name__ == "__main__":
    sys.exit(main())
