# SPDX-License-Identifier: Apache-2.0
"""Figures of `pomona serve`, each beside what it is compared with, in one run:

    bench/serve_bench.py build/bin/pomona model.onnx PHOTOS [--seconds 10]

PHOTOS: a folder of JPEGs, as fruits360-subset's Test. Load comes from wrk (Debian's package), whose share of the CPU is
printed; the engine alone is `pomona featurize` of the same photos by the same model, from a warm page cache.
"""
import argparse
import http.client
import io
import pathlib
import re
import resource
import statistics
import subprocess
import tempfile
import time

LUA = """
local bodies = {}
for line in io.lines("%s") do
  local file = io.open(line, "rb")
  bodies[#bodies + 1] = file:read("*a")
  file:close()
end
local at = 0
request = function()
  at = at %% #bodies + 1
  return wrk.format("POST", "/v1/features", {["Accept"] = "application/octet-stream"}, bodies[at])
end
"""


class Server:
    def __init__(self, pomona, *words):
        self.process = subprocess.Popen([pomona, "serve", *words, "--port", "0", "--no-page"], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.port = int(self.process.stdout.readline().decode().rsplit(":", 1)[1])

    def latencies(self, photo, count, path="/v1/classify", warm=5):
        """Seconds of each of `count` requests, one after another over one connection."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        took = []
        for _ in range(count + warm):
            begin = time.perf_counter()
            line.request("POST", path, photo)
            answer = line.getresponse()
            answer.read()
            took.append(time.perf_counter() - begin)
            assert answer.status == 200
        return took[warm:]

    def network_seconds(self):
        """(inferences, seconds in them) so far."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        line.request("GET", "/metrics")
        text = line.getresponse().read().decode()
        return tuple(float(re.search(rf"^{name} (\S+)$", text, re.M)[1]) for name in (
            "pomona_batch_photos_count", "pomona_inference_seconds_total"))

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def show(name, value, unit="", note=""):
    print(f"BENCH {name} {value:.4g}{' ' + unit if unit else ''}{'  # ' + note if note else ''}", flush=True)


def engine_rate(pomona, model, photos, folder):
    done = subprocess.run([pomona, "featurize", photos, folder, "--model", model, "--overwrite"], capture_output=True,
                          text=True, check=True)
    return float(re.search(r", ([\d,]+) photos/s", done.stdout)[1].replace(",", ""))


def load(server, script, seconds):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{server.port}"],
                          capture_output=True, text=True, check=True)
    took = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    share = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / took
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]), share


def twelve_megapixels():
    import numpy
    from PIL import Image
    # Smooth, with some grain: compresses as a photo does.
    rng = numpy.random.default_rng(7)
    small = Image.fromarray(rng.integers(0, 255, (38, 51, 3), dtype=numpy.uint8)).resize((4000, 3000), Image.Resampling.BICUBIC)
    pixels = numpy.clip(numpy.asarray(small, numpy.int16) + rng.integers(-6, 7, (3000, 4000, 1)), 0, 255)
    out = io.BytesIO()
    Image.fromarray(pixels.astype(numpy.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pomona")
    parser.add_argument("model")
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    files = sorted(options.photos.rglob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        listing, script = pathlib.Path(folder, "photos"), pathlib.Path(folder, "load.lua")
        listing.write_text("".join(f"{file.resolve()}\n" for file in files[:600]))
        script.write_text(LUA % listing)

        server = Server(options.pomona, options.model)
        photo = files[0].read_bytes()
        idle = server.latencies(photo, 200)
        median = statistics.median(idle)
        show("serve_idle_ms", 1e3 * median, "ms", "one 100x100 photo, median of 200")
        # Request by request, for the machine may be busy with other things too.
        pairs = []
        for _ in range(100):
            before = server.network_seconds()
            took = server.latencies(photo, 1, warm=0)[0]
            after = server.network_seconds()
            assert after[0] - before[0] == 1
            pairs.append((took, after[1] - before[1]))
        show("serve_bare_inference_ms", 1e3 * statistics.median(inside for _, inside in pairs), "ms",
             "the network alone, batch 1")
        show("serve_latency_over_inference", statistics.median(took / inside for took, inside in pairs),
             note="median of 100 requests, each beside its own inference")
        show("serve_p99_over_p50_idle", sorted(idle)[197] / median)

        large = twelve_megapixels()
        server.stop()
        for scale in ("auto", "off"):
            own = Server(options.pomona, options.model, "--jpeg-scale", scale)
            show(f"serve_12mp_ms_scale_{scale}", 1e3 * statistics.median(own.latencies(large, 15)), "ms",
                 f"{len(large) / 1e6:.1f} MB JPEG, 4000x3000")
            own.stop()

        # By turns, for the machine may be busy with other things too.
        ratios = []
        for _ in range(2):
            alone = engine_rate(options.pomona, options.model, options.photos, folder + "/features")
            server = Server(options.pomona, options.model)
            server.latencies(photo, 10)
            served, share = load(server, script, options.seconds)
            server.stop()
            ratios.append(served / alone)
            show("serve_photos_per_second", served, "photos/s", f"32 connections; wrk took {100 * share:.1f} % of one core")
            show("engine_photos_per_second", alone, "photos/s", "pomona featurize, the same photos")
        show("serve_over_engine", statistics.mean(ratios))


if __name__ == "__main__":
    main()
