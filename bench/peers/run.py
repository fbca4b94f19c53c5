# SPDX-License-Identifier: Apache-2.0
"""Pomona against its peers, in one run: from photos on disk to 41 principal components in Parquet.

    .venv-peers/bin/python bench/peers/run.py [--only NAME,...] [--again NAME,...] [--quick] [--results FILE] [--list]

Every measurement is one process, from its start to its end, with all it starts. Everybody does each job twice, for few
photos and for many: the rate is of the difference, so that nobody's start counts. Whoever is measured takes turns with
the others; medians of the turns are told. The results file grows with each measurement: a run that was ended goes on
where it was, and --again measures anew. bench/peers/plot.py makes the table and the figures of it.

Needs setup/peers.sh, setup/spark.sh 4, setup/keras.sh. Photos: fruits360-subset (POMONA_SHARED), else turntable photos.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import platform
import re
import shutil
import sys
import tempfile
import time

import figures
import networks
import numpy as np
import process_tree
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from common import (BUILD, KERAS, POMONA, SHARED, SPARK, SPARK_JOBS, keras_site, run, say, spark_env, unpack_photos,
                    vectors_of)

HERE = pathlib.Path(__file__).resolve().parent
K = 41
ALL = 7_478                  # photos of fruits360-subset
MODES = {"mobilenetv2": "tf", "resnet50": "caffe", "vgg16": "caffe"}
KERAS_NAMES = {"mobilenetv2": "MobileNetV2", "resnet50": "ResNet50", "vgg16": "VGG16"}
PCA_ROWS, PCA_COLUMNS, PCA_K = 100_000, 1_280, 100
# Ratios of photos a second: name, of whom, over whom, what must be shown at least.
RATIOS = (("over_original", "ours", "original", 8), ("over_handwritten", "ours", "handwritten", 1.6),
          ("over_daft", "ours", "daft", 4), ("over_ray", "ours", "ray", 4),
          ("resnet50_over_original", "ours_resnet50", "original_resnet50", 3),
          ("at_128_over_original", "ours_128", "original", 20),
          ("int8_over_original", "ours_int8", "original", 8), ("int8_over_handwritten", "ours_int8", "handwritten", 1.6),
          ("int8_over_daft", "ours_int8", "daft", 4), ("int8_over_ray", "ours_int8", "ray", 4),
          ("at_128_int8_over_original", "ours_128_int8", "original", 20),
          ("resnet50_int8_over_original", "ours_resnet50_int8", "original_resnet50", None),
          ("over_original_as_written", "ours", "original_as_written", None),
          ("f32_over_original", "ours_f32", "original", None), ("spark_over_original", "ours_spark", "original", None),
          ("vgg16_over_original", "ours_vgg16", "original_vgg16", None),
          ("over_handwritten_cv2", "ours", "handwritten_cv2", None),
          ("at_128_over_handwritten", "ours_128", "handwritten_128", None),
          ("at_128_int8_over_handwritten", "ours_128_int8", "handwritten_128", None),
          ("spark_int8_over_original", "ours_spark_int8", "original", None))


@dataclasses.dataclass
class Part:
    """One line of the table."""
    title: str
    words: object              # (bench, folder of photos, dest) -> command; for the PCA alone: (bench, source, dest)
    few: int = 0               # photos; 0: the PCA alone, measured once a turn
    many: int = 0
    turns: int = 3
    network: str = "mobilenetv2"
    size: int = 224
    precision: str = "bf16"
    needs: tuple = ()
    limit: float = 300         # seconds of one measurement


def ours(*more, network="mobilenetv2", size=224, int8=False):
    def words(bench, photos, dest):
        file = bench.int8(network, size) if int8 else bench.network(network)
        return [POMONA, "run", photos, dest, "--no-model", "--no-report", "-k", K, "--overwrite", "-q", "--model",
                file, "--preprocess", MODES[network], "--input-size", size, *more]
    return words


def original(*more, network="mobilenetv2"):
    def words(bench, photos, dest):
        return [SPARK, SPARK_JOBS / "original.py", photos, dest, keras_site(), "--network", KERAS_NAMES[network], "-k", K, *more]
    return words


def script(name, *more, network="mobilenetv2", size=224):
    def words(bench, photos, dest):
        return [sys.executable, HERE / name, photos, dest, "--model", bench.network(network), "--mode", MODES[network],
                "--size", size, "-k", K, *more]
    return words


SPARK_WORDS = ("--engine", "spark", "--master", "local[2]", "--rows-per-file", "1024")


def plan(precisions):
    """{name: Part}, in the order of the table. `precisions`: what this build of Pomona offers beside its default."""
    parts = {"ours": Part("Pomona", ours(), 1_000, ALL)}
    for precision in precisions:  # f32, and whatever else the build has: one line each
        parts[f"ours_{precision}"] = Part(f"Pomona, {precision}", ours("--precision", precision), 1_000, ALL, 2, precision=precision)
    parts |= {
        "ours_int8": Part("Pomona, int8", ours(int8=True), 1_000, ALL, precision="int8"),
        "ours_spark": Part("Pomona in Spark", ours(*SPARK_WORDS), 1_024, ALL, 2, needs=(SPARK,)),
        "ours_spark_int8": Part("Pomona in Spark, int8", ours(*SPARK_WORDS, int8=True), 1_024, ALL, 2, precision="int8",
                                needs=(SPARK,)),
        "handwritten": Part("Python by hand: threads, Pillow", script("handwritten.py", "--decoder", "pillow"), 1_000, ALL),
        "handwritten_cv2": Part("Python by hand: threads, OpenCV", script("handwritten.py", "--decoder", "cv2"), 1_000, ALL),
        "daft": Part("Daft", script("daft_chain.py"), 500, 4_000),
        "ray": Part("Ray Data", script("ray_chain.py"), 500, 4_000),
        "original": Part("original: Spark, Keras, MLlib, cached", original("--cache"), 256, 2_048, 2, precision="f32", needs=(SPARK, KERAS)),
        "original_as_written": Part("original, as written", original(), 256, 1_024, 2, precision="f32", needs=(SPARK, KERAS)),
        "ours_128": Part("Pomona", ours(size=128), 1_000, ALL, size=128),
        "ours_128_int8": Part("Pomona, int8", ours(size=128, int8=True), 1_000, ALL, size=128, precision="int8"),
        "handwritten_128": Part("Python by hand: threads, Pillow", script("handwritten.py", "--decoder", "pillow", size=128), 1_000, ALL, 2,
                                size=128),
        "ours_resnet50": Part("Pomona", ours(network="resnet50"), 200, 1_400, 2, "resnet50"),
        "ours_resnet50_int8": Part("Pomona, int8", ours(network="resnet50", int8=True), 200, 1_400, 2, "resnet50",
                                   precision="int8"),
        "original_resnet50": Part("original, cached", original("--cache", network="resnet50"), 128, 640, 2, "resnet50",
                                  precision="f32", needs=(SPARK, KERAS)),
        "ours_vgg16": Part("Pomona", ours(network="vgg16"), 64, 320, 2, "vgg16"),
        "original_vgg16": Part("original, cached", original("--cache", network="vgg16"), 64, 192, 1, "vgg16",
                               precision="f32", needs=(SPARK, KERAS)),
        "pca_ours": Part("Pomona", pca_ours, precision="f32"),
        "pca_sklearn": Part("scikit-learn, covariance_eigh", pca_sklearn("covariance_eigh"), precision="f32"),
        "pca_sklearn_randomized": Part("scikit-learn, randomized", pca_sklearn("randomized"), precision="f32"),
        "pca_mllib": Part("Spark MLlib", pca_mllib, turns=1, precision="f64", needs=(SPARK,), limit=240),
    }
    return parts


def pca_ours(bench, source, dest):
    return [POMONA, "reduce", source, dest, "-k", PCA_K, "--overwrite", "-q"]


def pca_sklearn(solver):
    return lambda bench, source, dest: [sys.executable, HERE / "sklearn_pca.py", source, PCA_K, solver]


def pca_mllib(bench, source, dest):
    return [SPARK, SPARK_JOBS / "mllib_pca.py", source, PCA_K, "4g"]


class Bench:
    def __init__(self, options):
        self.options = options
        self.work = options.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.environment = {**spark_env(), "XDG_CACHE_HOME": str(self.work / "cache"), "PYTHONWARNINGS": "ignore",
                            "PYTHONPATH": str(HERE)}  # Daft's and Ray's own processes import what the scripts import
        help_text = run([POMONA, "run", "--help"]).stdout
        offered = re.search(r"--precision TEXT\S*\s+([^\n]*)", help_text).group(1)
        # auto is bf16 where the processor has it, and that line stands first already; int8 is another network's.
        self.precisions = [word for word in re.findall(r"\w+", offered.split("(")[0]) if word not in ("auto", "bf16", "int8")]
        self.parts = plan(self.precisions)
        self.results = {"measurements": [], "versions": {}}
        if options.results.exists():
            self.results = json.loads(options.results.read_text())

    # What is measured with

    def network(self, name):
        real = SHARED / "weights" / "mobilenet_v2_1.0_224.onnx"
        return real if name == "mobilenetv2" and real.exists() else networks.write(name, self.work / f"{name}.onnx")

    def int8(self, name, size):
        """The same in 8-bit integers, by `pomona models quantize` on photos of the set."""
        made = f"{name}-{size}-int8"
        file = self.work / "home" / "models" / made / f"{made}.onnx"
        if not file.exists():
            run([POMONA, "models", "quantize", self.network(name), self.photos(1_000)[0], "--preprocess", MODES[name],
                 "--input-size", size, "--name", made, "-q"], env={**os.environ, "POMONA_HOME": str(self.work / "home")})
        return file

    def photos(self, count):
        """A folder of so many photos, taken at an even stride so that all classes are in; they are in the page cache."""
        everything = self.work / "photos"
        if not everything.exists():
            making = self.work / "making"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            if not unpack_photos(making):
                print("# fruits360-subset is not there: turntable photos", flush=True)
                run([POMONA, "datasets", "make", "turntable", making, "--count", ALL, "-q"])
            making.rename(everything)
        files = sorted(everything.rglob("*.jpg"))
        count = min(count, len(files))
        folder = self.work / f"photos-{count}"
        if not folder.exists():
            making = self.work / "making"
            shutil.rmtree(making, ignore_errors=True)
            for i in range(count):
                file = files[i * len(files) // count]
                place = making / file.relative_to(everything)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(file, place)
            making.rename(folder)
        for file in folder.rglob("*.jpg"):
            file.read_bytes()
        return folder, count

    # Measuring

    def counts(self, part):
        if not part.few:
            return [PCA_ROWS if not self.options.quick else 20_000]
        if not self.options.photos:
            return [part.few, part.many]
        many = min(max(self.options.photos, 100), part.many)
        return [max(K + 7, min(part.few, many // 4)), many]  # K components need more photos than K

    def have(self, name, turn, count):
        return next((m for m in self.results["measurements"]
                     if (m["part"], m["turn"], m["count"], m["plan"]) == (name, turn, count, self.counts(self.parts[name]))), None)

    def checked(self, dest, count):
        """What a peer wrote: as many rows of K finite numbers as there are photos; how much the columns vary."""
        tables = [pq.read_table(file, columns=["components"]) for file in sorted(dest.rglob("*.parquet"))
                  if not any(part.startswith("_") for part in file.relative_to(dest).parts) and "features" not in file.parts]
        rows = np.array([row for table in tables for row in table["components"].to_pylist()], np.float64)
        if rows.shape != (count, K) or not np.isfinite(rows).all():
            raise ValueError(f"wrote {rows.shape} numbers, expected {(count, K)}, all finite")
        return rows.var(0).sum()

    def measure(self, name, turn, count):
        part = self.parts[name]
        dest = self.work / "out"
        shutil.rmtree(dest, ignore_errors=True)
        if part.few:
            source, count_there = self.photos(count)
        else:
            source, count_there = vectors_of(self.work / f"vectors-{count}", count, PCA_COLUMNS), count
            for file in pathlib.Path(source).rglob("*.parquet"):  # into the page cache, as the photos are
                file.read_bytes()
        words = part.words(self, source, dest)
        load = os.getloadavg()[0]
        usage = process_tree.measure(words, self.environment, part.limit)
        found = {"part": name, "turn": turn, "count": count, "photos": count_there, "seconds": usage.seconds,
                 "plan": self.counts(part), "processor_seconds": usage.processor_seconds, "peak_mib": usage.peak_mib, "load_before": load,
                 "at": time.strftime("%Y-%m-%dT%H:%M:%S")}
        if usage.code is None:
            found["over_limit"] = part.limit
        elif usage.code:
            raise RuntimeError(f"{' '.join(map(str, words))} ended with {usage.code}:\n{usage.out[-1000:]}\n{usage.err[-3000:]}")
        else:
            said = next((line for line in reversed(usage.out.splitlines()) if line.startswith("{")), "{}")
            said = json.loads(said)
            self.results["versions"].update(said.get("versions", {}))
            if part.few:
                found["variance"] = self.checked(dest, count_there)
            elif name == "pca_ours":
                stages = json.loads((dest / "_run.json").read_text())["stages"]
                found["fit_seconds"] = stages["moments"] + stages["fit"]
            else:
                found["fit_seconds"] = said["seconds"]
        shutil.rmtree(dest, ignore_errors=True)
        self.results["measurements"].append(found)
        self.save()
        note = "over the limit" if usage.code is None else f"{found['fit_seconds']:.2f} s from Parquet to PCA" if "fit_seconds" in found else ""
        print(f"# {name} turn {turn}: {count_there} in {usage.seconds:.1f} s, processor {usage.processor_seconds:.1f} s, "
              f"{usage.peak_mib:.0f} MiB {note}", flush=True)

    def save(self):
        making = self.options.results.with_suffix(".making")
        making.write_text(json.dumps(self.results, indent=1))
        os.replace(making, self.options.results)

    def all(self, names):
        self.results["machine"] = {"processor": processor(), "cores": len(os.sched_getaffinity(0)),
                                   "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
                                   "system": platform.platform(), "python": platform.python_version()}
        self.results["parts"] = {name: {"title": part.title, "network": part.network, "size": part.size,
                                        "precision": part.precision, "few": part.few} for name, part in self.parts.items()}
        self.results["goals"] = RATIOS
        self.results["versions"]["pomona"] = run([POMONA, "--version"]).stdout.strip()
        self.results["versions"].setdefault("matplotlib", __import__("matplotlib").__version__)
        failed = set()
        for turn in range(1, 1 + max(self.turns(self.parts[name]) for name in names)):
            for name in names:
                part = self.parts[name]
                missing = next((path for path in part.needs if not path.exists()), None)
                if missing or turn > self.turns(part) or name in failed:
                    if missing and turn == 1:
                        print(f"# SKIPPED {name}: {missing} is not there (setup/spark.sh 4, setup/keras.sh)", flush=True)
                    continue
                try:
                    for count in self.counts(part):
                        if not self.have(name, turn, count):
                            self.measure(name, turn, count)
                except (RuntimeError, ValueError) as error:
                    failed.add(name)
                    print(f"# FAILED {name}: {error}", flush=True)
        return failed

    def turns(self, part):
        return 1 if self.options.quick else part.turns


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def tell(results, names):
    """BENCH lines of what was measured, then the ratios."""
    found = figures.figures(results)
    print("# " + ", ".join(f"{name} {version}" for name, version in sorted(results["versions"].items())))
    for name in names:
        if name not in found:
            continue
        figure = found[name]
        if figure.over_limit:
            print(f"BENCH peers_{name} > {figure.over_limit:.0f} s  # stopped")
        elif figure.seconds:
            say(f"peers_{name}", figure.seconds, "s", f"{figure.title}, from Parquet to the fitted PCA; {figure.peak_mib:.0f} MiB")
        else:
            say(f"peers_{name}", figure.rate, "photos/s",
                f"{figure.title}, {figure.network} {figure.size} {figure.precision}: {figure.lowest:.0f} to {figure.highest:.0f} in "
                f"{figure.turns} turns, processor {figure.processor_ms:.2f} ms a photo, {figure.peak_mib:.0f} MiB, start {figure.start:.1f} s")
    for name, value, goal in figures.ratios(results, found):
        say(f"peers_{name}", value, "x", f"to be at least {goal}: {'yes' if value >= goal else 'no'}" if goal else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names, with commas; --list shows them")
    parser.add_argument("--again", action="store_true", help="measure anew what the results have already")
    parser.add_argument("--quick", action="store_true", help="one turn of few photos: to see that it works")
    parser.add_argument("--photos", type=int, default=0, help="at most so many; --quick: 300")
    parser.add_argument("--results", type=pathlib.Path, help="default: build/peers.json, with --quick build/peers-quick.json")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "pomona-peers")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.quick and not options.photos:
        options.photos = 300
    options.results = options.results or BUILD / ("peers-quick.json" if options.quick else "peers.json")
    bench = Bench(options)
    if options.list:
        for name, part in bench.parts.items():
            print(f"{name:24}{part.title}, {part.network} {part.size}" if part.few else f"{name:24}PCA alone: {part.title}")
        return 0
    names = options.only.split(",") if options.only else list(bench.parts)
    unknown = [name for name in names if name not in bench.parts]
    if unknown:
        sys.exit(f"no part {', '.join(unknown)}; --list shows their names")
    if options.again:
        bench.results["measurements"] = [m for m in bench.results["measurements"] if m["part"] not in names]
    failed = bench.all(names)
    tell(bench.results, names)
    print(f"# results: {options.results}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
