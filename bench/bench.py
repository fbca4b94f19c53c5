# SPDX-License-Identifier: Apache-2.0
"""Everything measured in one run; one line each as `BENCH name value unit`.

    .venv/bin/python bench/bench.py build-bench/bin [--only chain,image,pca,start,memory] [--rounds 5]

Whatever is compared runs by turns on the same photos, so that both meet the same load; medians of the rounds.
Photos: fruits360-subset where it is there (POMONA_SHARED names another place), else generated ones.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("POMONA_SHARED", ROOT.parent / "shared" / "data"))
STAGES = ("decode", "resize", "featurize", "hash", "assemble", "wait")
SMALL_RUN, LARGE_RUN = 3_000, 30_000
COLD_STARTS = 9


def bench(name, value, unit, digits=3):
    print(f"BENCH {name} {value:.{digits}f} {unit}", flush=True)


def versions():
    import numpy
    import openvino
    import PIL
    import sklearn
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(f"# {cpu}, {len(os.sched_getaffinity(0))} threads, {platform.platform()}, Python {platform.python_version()}")
    print(f"# openvino {openvino.__version__}, numpy {numpy.__version__}, pillow {PIL.__version__}, "
          f"scikit-learn {sklearn.__version__}; load {os.getloadavg()[0]:.1f}", flush=True)


def photos(folder):
    """A folder of photos, 100 x 100 JPEG."""
    archive = SHARED / "fruits360-subset" / "Training.tar"
    if archive.exists():
        with tarfile.open(archive) as tar:
            tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        return folder
    import numpy as np
    from PIL import Image
    print("# fruits360-subset is not there: generated photos", flush=True)
    rng = np.random.default_rng(0)
    for i in range(SMALL_RUN):
        image = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((100, 100), Image.Resampling.BICUBIC)
        image.save(folder / f"{i}.jpg", quality=90)
    return folder


class Chain:
    """`pomona featurize` against OpenVINO alone: network, precision and batch are the same, and so are the threads."""

    def __init__(self, name, model, preprocess, size, pomona, folder):
        self.name, self.model, self.preprocess, self.size = name, model, preprocess, size
        self.pomona, self.folder = pomona, folder
        self.threads = len(os.sched_getaffinity(0))
        self.request_rates, self.chain_rates, self.stages = [], [], {}

    def featurize(self, limit, dest):
        words = [self.pomona, "featurize", self.folder, dest, "--model", self.model, "--input-size", self.size,
                 "--overwrite", "-q", "--limit", limit, "--threads", self.threads]
        words += ["--preprocess", self.preprocess] if self.preprocess else []
        subprocess.run([str(w) for w in words], check=True, stdout=subprocess.DEVNULL)
        return json.loads((dest / "_run.json").read_text())

    def prepare(self, seconds, dest):
        """Finds how many photos a round takes, and warms the page cache and the compiled network's."""
        rate = self.steady(self.featurize(600, dest))
        self.photos = min(int(rate * seconds), sum(1 for _ in self.folder.rglob("*.jpg")))
        run = json.loads((dest / "_run.json").read_text())
        self.precision, self.batch = run["fingerprint"]["precision"], run["batch"]

    @staticmethod
    def steady(run):
        """Photos a second from the first vector to the last: what starting costs is paid once, not per photo."""
        span = run["seconds"] - run["first_vector_seconds"]
        return run["counts"]["written"] / span

    def alone(self, seconds):
        """OpenVINO's own asynchronous requests, one per stream, on pixels that are there already."""
        import numpy as np
        import openvino as ov
        core = ov.Core()
        model = core.read_model(self.model)
        keep = next((o for o in model.outputs if "features" in o.get_names()), model.outputs[0])
        model = ov.Model([keep.node.input_value(0)], model.get_parameters())
        model.reshape([self.batch, 3, int(self.size), int(self.size)])
        pre = ov.preprocess.PrePostProcessor(model)
        pre.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        pre.input().model().set_layout(ov.Layout("NCHW"))
        mean, scale = (127.5, 127.5) if self.preprocess == "tf" else (127.0, 128.0)
        pre.input().preprocess().convert_element_type(ov.Type.f32).mean(mean).scale(scale)
        compiled = core.compile_model(pre.build(), "CPU", {
            "NUM_STREAMS": str(self.threads), "INFERENCE_NUM_THREADS": str(self.threads),
            "INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "THROUGHPUT"})
        queue = ov.AsyncInferQueue(compiled, self.threads)
        pixels = np.random.default_rng(0).integers(0, 256, (self.batch, int(self.size), int(self.size), 3), np.uint8)
        for request in queue:
            request.set_input_tensor(ov.Tensor(pixels))
        for _ in range(4 * self.threads):
            queue.start_async()
        queue.wait_all()
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            for _ in range(self.threads):
                queue.start_async()
                count += self.batch
        queue.wait_all()
        return count / (time.perf_counter() - begin)

    def round(self, seconds, dest):
        before = self.alone(seconds / 2)
        run = self.featurize(self.photos, dest)
        after = self.alone(seconds / 2)
        self.request_rates.append(2 / (1 / before + 1 / after))
        self.chain_rates.append(self.steady(run))
        for stage, spent in run["stages"].items():
            self.stages.setdefault(stage, []).append(1000 * spent / run["counts"]["written"])

    def report(self):
        ratios = [c / r for c, r in zip(self.chain_rates, self.request_rates)]
        budget = " ".join(f"{s} {statistics.median(self.stages[s]):.3f}" for s in STAGES if s in self.stages)
        others = " ".join(f"{s} {statistics.median(v):.3f}" for s, v in sorted(self.stages.items()) if s not in STAGES)
        print(f"# {self.name} {self.precision}, batches of {self.batch}: chain {statistics.median(self.chain_rates):.0f}/s, OpenVINO alone "
              f"{statistics.median(self.request_rates):.0f}/s, rounds {' '.join(f'{r:.2f}' for r in sorted(ratios))}")
        print(f"# {self.name} ms a photo on a worker: {budget}; beside the workers: {others}")
        bench(f"chain_over_inference_{self.name}", statistics.median(ratios), "x")


def chains(bin_folder, folder, rounds, seconds, scratch):
    lite0 = pathlib.Path(os.environ.get("POMONA_HOME", pathlib.Path.home() / ".local/share/pomona")) / "models"
    networks = [("lite0", lite0 / "efficientnet-lite0.onnx", None),
                ("mobilenetv2", SHARED / "weights" / "mobilenet_v2_1.0_224.onnx", "tf")]
    for name, model, preprocess in networks:
        if not model.exists():
            print(f"# SKIPPED {name}: {model} is not there")
            continue
        for size in (224, 128):
            chain = Chain(f"{name}_{size}", model, preprocess or "lite", size, bin_folder / "pomona", folder)
            chain.prepare(seconds, scratch / "chain")
            for _ in range(rounds):
                chain.round(seconds, scratch / "chain")
            chain.report()


def peak_rss(words):
    """MiB, of the process and while it lives (VmHWM, read until it ends)."""
    process = subprocess.Popen([str(w) for w in words], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            for line in open(f"/proc/{process.pid}/status"):
                if line.startswith("VmHWM"):
                    peak = max(peak, int(line.split()[1]))
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}")
    return peak / 1024


def memory(bin_folder, folder, scratch):
    """The default network at 128; the same pictures in many files. peak_rss_* is what must stay flat:
    photos to features and moments. Then features to components, which reads one row group per thread."""
    sample = sorted(folder.rglob("*.jpg"))
    many = scratch / "many"
    for i in range(LARGE_RUN):
        place = many / f"{i // 1000:03d}"
        if i % 1000 == 0:
            place.mkdir(parents=True)
        # Bytes behind a picture's end mean nothing, but no two photos are the same: those would be computed once.
        (place / f"{i}.jpg").write_bytes(sample[i % len(sample)].read_bytes() + b"%d" % i)
    jobs = {"peak_rss": lambda count: ["featurize", many, scratch / f"features-{count}", "--input-size", 128,
                                       "--limit", count, "-q"],
            "peak_rss_reduce": lambda count: ["reduce", scratch / f"features-{count}", scratch / f"reduced-{count}",
                                              "-k", 100, "-q"]}
    for name, job in jobs.items():
        peaks = {}
        for count in (SMALL_RUN, LARGE_RUN):
            peaks[count] = peak_rss([bin_folder / "pomona", *job(count)])
            bench(f"{name}_{count}", peaks[count], "MiB", 0)
        bench(f"{name}_growth", peaks[LARGE_RUN] / peaks[SMALL_RUN], "x")


def cold_start(bin_folder, folder, scratch):
    """One photo, one process, from its start to its answer: the compiled network in our cache as after any first use,
    and in an empty one. Files are in the page cache both times."""
    kinds = [kind for kind in sorted(folder.rglob("*")) if kind.is_dir() and any(kind.glob("*.jpg"))][:3]
    if len(kinds) < 2:
        print("# SKIPPED predict_cold_start_seconds: the photos have no classes")
        return
    for kind in kinds:
        place = scratch / "classes" / kind.name
        place.mkdir(parents=True)
        for photo in sorted(kind.iterdir())[:40]:
            os.link(photo, place / photo.name)
    photo = next((scratch / "classes" / kinds[0].name).iterdir())
    model = scratch / "cold.onnx"
    pomona = bin_folder / "pomona"
    subprocess.run([pomona, "train", scratch / "classes", "-o", model, "-q"], check=True, stdout=subprocess.DEVNULL)

    def once(cache):
        begin = time.perf_counter()
        subprocess.run([pomona, "predict", model, photo, "-q"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "XDG_CACHE_HOME": str(cache)})
        return time.perf_counter() - begin

    once(scratch / "cache")
    warm, nothing = [], []
    for i in range(COLD_STARTS):
        warm.append(once(scratch / "cache"))
        nothing.append(once(scratch / f"empty-{i}"))
    bench("predict_cold_start_seconds", statistics.median(warm), "s")
    bench("predict_cold_start_seconds_nothing_cached", statistics.median(nothing), "s")


def others(bin_folder, script, argument=None):
    """A benchmark of its own file; its lines are passed on."""
    environment = {**os.environ, "POMONA_BUILD": str(bin_folder.parent)}
    subprocess.run([sys.executable, str(ROOT / "bench" / script), *([str(argument)] if argument else [])],
                   check=True, env=environment)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--only", default="chain,image,pca,start,memory")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of a round of each side")
    arguments = parser.parse_args()
    wanted = set(arguments.only.split(","))
    bin_folder = arguments.bin.resolve()
    versions()
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        folder = scratch / "photos"
        folder.mkdir()
        photos(folder)
        if "chain" in wanted:
            chains(bin_folder, folder, arguments.rounds, arguments.seconds, scratch)
        if "image" in wanted:
            others(bin_folder, "image_bench.py", bin_folder / "image_bench")
        if "pca" in wanted:
            others(bin_folder, "learn_bench.py")
        if "start" in wanted:
            cold_start(bin_folder, folder, scratch)
        if "memory" in wanted:
            memory(bin_folder, folder, scratch)


if __name__ == "__main__":
    main()
