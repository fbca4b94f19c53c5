# SPDX-License-Identifier: Apache-2.0
"""How far it goes: many photos, a listing of a million, a PCA of a million vectors, large photos, time against photos.

    .venv/bin/python bench/scale_bench.py build/bin PART... [--quick] [--work DIR] [--out build/scale.json]

PART: chain-local, chain-s3   67,692 photos to tables and PCA, then also to a model and the report, opened in Chromium
      listing                 a bucket of a million objects: rate, memory, the first vector
      pca                     a million vectors of 1,280 (5 GB) to components; scikit-learn on 100,000 of them
      sizes                   12,455 photos of 300 to 4,000 pixels, JPEGs decoded smaller and in full
      curve                   seconds against photos; --figure writes it to docs/figures/cost-curve.svg
      all
Each prints BENCH lines and adds to the JSON file. Peak memory is true on a busy machine, rates need a quiet one.
--quick does a fraction of each. What was made (photos, vectors) stays in --work for the next part, or is removed.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("POMONA_SHARED", ROOT.parent / "shared" / "data"))
sys.path[:0] = [str(ROOT / "bench" / "scale"), str(ROOT / "tests"), str(ROOT / "tests" / "report")]
import chart  # noqa: E402
import objects  # noqa: E402
from measure import Results, bench, memory, say, steady_rates, watch  # noqa: E402


class Scale:
    """Sizes of all parts, and where things are."""

    def __init__(self, arguments, work):
        self.pomona = arguments.bin.resolve() / "pomona"
        self.work, self.results, self.figure = work, Results(arguments.out), arguments.figure
        self.model, self.size = arguments.model, arguments.input_size
        self.quick = arguments.quick
        self.photos = 3_000 if self.quick else 67_692
        self.window = 1_000 if self.quick else 10_000
        self.objects = 50_000 if self.quick else 1_000_000
        self.vectors = 100_000 if self.quick else 1_000_000
        self.mixed = 300 if self.quick else 12_455
        self.curve = (250, 500, 1_000, 3_000) if self.quick else (1_000, 3_000, 10_000, 30_000, 67_692)

    def network(self):
        return ["--model", self.model, *(["--input-size", self.size] if self.size else [])]

    def turntable(self):
        """The folder of photos, made once: a bucket's folder too."""
        folder = self.work / "s3" / "photos"
        sign = self.work / f"turntable-{self.photos}"
        if not sign.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            say(f"making {self.photos:,} photos of the turntable")
            watch([self.pomona, "datasets", "make", "turntable", folder, "--count", self.photos, "-q"])
            sign.touch()
        return folder

    def warm_up(self):
        """The compiled network comes from its cache in all that is measured."""
        watch([self.pomona, "featurize", self.turntable(), self.work / "warm", "--limit", 64, "--overwrite", "-q",
               *self.network()])


def chain(scale, place):
    """The whole chain from `place` (local or s3), without and with a model and report."""
    scale.warm_up()
    env, source, dest, kept = None, scale.turntable(), scale.work / "results", None
    with contextlib.ExitStack() as stack:
        if place == "s3":
            import storage_server
            if storage_server.find_versitygw() is None:
                say("SKIPPED chain-s3: needs versitygw (setup/versitygw.sh)")
                return
            (scale.work / "s3" / "results").mkdir(exist_ok=True)
            env = stack.enter_context(storage_server.s3_server(scale.work / "s3"))
            source, kept = "s3://photos", scale.work / "s3" / "results"
        for way, more in (("tables", ["--no-model", "--no-report"]), ("whole", [])):
            say(f"{scale.photos:,} photos, {place}, {way}")
            target = f"s3://results/{way}" if place == "s3" else dest / way
            done = watch([scale.pomona, "run", source, target, "--overwrite", "-q", *scale.network(), *more], env)
            folder = (kept or dest) / way
            run = json.loads((folder / "features" / "_run.json").read_text())
            rates = steady_rates(run, scale.window)
            figures = {"place": place, "way": way, "photos": run["counts"]["written"], "seconds": done.seconds,
                       "peak_mib": done.peak_mib, "rates": rates, "samples": done.samples[::10],
                       "model": scale.model, "quick": scale.quick}
            name = f"scale_{place}_{way}"
            bench(f"{name}_peak_rss", done.peak_mib, "MiB", 0)
            bench(f"{name}_seconds", done.seconds, "s", 1)
            bench(f"{name}_rate", rates["all"], "photos/s", 0)
            bench(f"{name}_rate_last_over_first", rates["last"] / rates["first"], "x")
            if way == "whole":
                figures["report"] = open_report(folder / "report.html")
                figures["evaluation"] = [s for s in json.loads((folder / "evaluation.json").read_text()).get("steps", [])]
            scale.results.add(f"chain-{place}", **figures)
            shutil.rmtree(folder, ignore_errors=True)


def open_report(file):
    """How large the report is, and how soon it answers: loaded, two frames drawn after that."""
    from browser import Browser, Page, find_chromium
    megabytes = file.stat().st_size / 1e6
    bench("scale_report_megabytes", megabytes, "MB", 2)
    if find_chromium() is None:
        say("SKIPPED scale_report_seconds: no Chromium")
        return {"megabytes": megabytes}
    with Browser() as browser:
        page = Page(browser)
        begin = time.monotonic()
        page.open(file.resolve().as_uri(), settle=0)
        page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seconds = time.monotonic() - begin
        browser.pump(0.5)
        sections, complaints = page.run("document.querySelectorAll('main > section').length"), page.complaints()
    if complaints or sections < 5:
        raise SystemExit(f"the report shows {sections} sections and says {complaints}")
    bench("scale_report_seconds", seconds, "s", 2)
    return {"megabytes": megabytes, "seconds": seconds, "sections": sections}


def listing(scale):
    """A bucket of many objects: what listing all takes, when the first vector is there, memory while the listing goes
    on beside the work (it runs ahead to count, so that there is a time to tell)."""
    scale.warm_up()
    samples = sorted(scale.turntable().rglob("*.jpg"))[:32]
    with objects.ObjectServer(scale.objects, samples) as server:
        env = server.environment(os.environ)
        say(f"{scale.objects:,} objects: one photo, from the program's start to its end")
        one = watch([scale.pomona, "featurize", "s3://million", scale.work / "first", "--limit", 8, "--overwrite", "-q",
                     *scale.network()], env)
        first = json.loads((scale.work / "first" / "_run.json").read_text())["first_vector_seconds"]
        bench("scale_listing_first_vector", first, "s", 2)

        say("a listing of all")
        before = server.counts()["pages"]
        whole = watch([scale.pomona, "estimate", "s3://million", "--sample", 8, "--json", "-q", *scale.network()], env)
        answer = json.loads(whole.output[whole.output.index("{"):])
        pages = server.counts()["pages"] - before
        if not answer["listed_all"]:
            say(f"estimate ended its listing after {answer['photos']:,}")
        rate = answer["photos"] / (whole.seconds - 1)
        bench("scale_listing_rate", rate, "objects/s", 0)
        bench("scale_listing_peak_rss", whole.peak_mib, "MiB", 0)

        say("the work, while the listing runs ahead")
        seen, begin = {}, server.counts()["listed"]

        def enough(elapsed, pid):
            listed = server.counts()["listed"] - begin
            for mark in (scale.objects // 10, scale.objects):
                now = memory(pid)
                if listed >= mark and mark not in seen and now:
                    seen[mark] = (elapsed, now[0], now[1])
            return elapsed > 600 or scale.objects in seen and elapsed > seen[scale.objects][0] + 5

        shutil.rmtree(scale.work / "ahead", ignore_errors=True)
        ahead = watch([scale.pomona, "featurize", "s3://million", scale.work / "ahead", *scale.network()], env, enough)
        counts = server.counts()
    tenth, all_of_them = seen[scale.objects // 10], seen[scale.objects]
    bench("scale_listing_rss_tenth", tenth[1], "MiB", 0)
    bench("scale_listing_rss_all", all_of_them[1], "MiB", 0)
    bench("scale_listing_rss_growth", all_of_them[1] / tenth[1], "x")
    scale.results.add("listing", objects=scale.objects, first_vector_seconds=first, whole_process_seconds=one.seconds,
                      listed=answer["photos"], listing_process_seconds=whole.seconds, listing_rate=rate, pages=pages,
                      listing_peak_mib=whole.peak_mib, rss_at_tenth=tenth, rss_at_all=all_of_them,
                      ahead_peak_mib=ahead.peak_mib, server=counts, quick=scale.quick)


def make_vectors(folder, count, d=1280, part=8192):
    """A dataset of plain Parquet: 64 strong directions and noise, none below zero, as features are."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    rng = np.random.default_rng(1)
    directions = rng.standard_normal((64, d), dtype=np.float32) * (0.97 ** np.arange(64, dtype=np.float32))[:, None]
    folder.mkdir(parents=True)
    for index, first in enumerate(range(0, count, part)):
        rows = min(part, count - first)
        x = rng.standard_normal((rows, 64), dtype=np.float32) @ directions * np.float32(0.15)
        x += rng.standard_normal((rows, d), dtype=np.float32) * np.float32(0.3) + np.float32(0.4)
        np.maximum(x, 0, out=x)
        table = pa.table({"path": [f"photo-{first + i:09d}.jpg" for i in range(rows)],
                          "features": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), d)})
        pq.write_table(table, folder / f"part-{index:05d}.parquet", row_group_size=512, use_dictionary=False)


def pca(scale, k=100, compared=100_000):
    import pyarrow.parquet as pq
    import sklearn.decomposition
    vectors = scale.work / "vectors"
    shutil.rmtree(vectors, ignore_errors=True)
    say(f"making {scale.vectors:,} vectors of 1,280")
    make_vectors(vectors, scale.vectors)
    parts = sorted(vectors.glob("*.parquet"))
    try:
        say("pomona reduce of all")
        whole = watch([scale.pomona, "reduce", vectors, scale.work / "reduced", "-k", k, "--overwrite", "-q"])
        bench("scale_pca_seconds", whole.seconds, "s", 1)
        bench("scale_pca_peak_rss", whole.peak_mib, "MiB", 0)
        few = scale.work / "vectors-few"
        shutil.rmtree(few, ignore_errors=True)
        few.mkdir()
        rows = 0
        for part in parts:
            if rows + pq.ParquetFile(part).metadata.num_rows > compared and rows:
                break
            os.link(part, few / part.name)
            rows += pq.ParquetFile(part).metadata.num_rows
        say(f"{rows:,} of them: pomona reduce, scikit-learn")
        ours = watch([scale.pomona, "reduce", few, scale.work / "reduced", "-k", k, "--overwrite", "-q"])
        kinds = {}
        for kind in ("incremental", "covariance_eigh"):
            program = [sys.executable, pathlib.Path(__file__).parent / "scale" / "sklearn_pca.py", kind, few, k]
            done = watch(program)
            kinds[kind] = {**json.loads(done.output.strip().splitlines()[-1]), "process_seconds": done.seconds,
                           "peak_mib": done.peak_mib}
        own = json.loads((scale.work / "reduced" / "_run.json").read_text())["pca"]
        bench("scale_pca_few_seconds", ours.seconds, "s", 1)
        for kind, told in kinds.items():
            bench(f"scale_pca_over_sklearn_{kind}", told["process_seconds"] / ours.seconds, "x", 2)
            bench(f"scale_pca_sklearn_{kind}_peak_rss", told["peak_mib"], "MiB", 0)
        scale.results.add("pca", vectors=scale.vectors, k=k, seconds=whole.seconds, peak_mib=whole.peak_mib,
                          stored_bytes=sum(p.stat().st_size for p in parts), compared=rows, ours_seconds=ours.seconds,
                          ours_peak_mib=ours.peak_mib, sklearn=kinds, sklearn_version=sklearn.__version__,
                          pca={n: own[n] for n in ("k", "explained") if n in own}, quick=scale.quick)
    finally:
        for folder in (vectors, scale.work / "vectors-few", scale.work / "reduced"):
            shutil.rmtree(folder, ignore_errors=True)


def sizes(scale):
    import pyarrow.dataset
    import photos as maker
    sources = sorted((SHARED / "fruit-photos").rglob("*.jpg"))
    if not sources:
        say(f"SKIPPED sizes: real photos are not at {SHARED / 'fruit-photos'}")
        return
    scale.warm_up()
    folder = scale.work / "mixed"
    shutil.rmtree(folder, ignore_errors=True)
    say(f"making {scale.mixed:,} photos of 300 to 4,000 pixels")
    megapixels, size = maker.make_photos(sources, folder, scale.mixed, len(os.sched_getaffinity(0)))
    say(f"{megapixels:.2f} megapixels on average, {size / 1e9:.2f} GB")
    figures, vectors = {}, {}
    for way in ("auto", "off"):
        dest = scale.work / f"mixed-{way}"
        done = watch([scale.pomona, "featurize", folder, dest, "--jpeg-scale", way, "--overwrite", "-q", *scale.network()])
        run = json.loads((dest / "_run.json").read_text())
        window = min(scale.window, scale.mixed // 3)
        figures[way] = {"seconds": done.seconds, "peak_mib": done.peak_mib, "rates": steady_rates(run, window),
                        "stages": run["stages"]}
        table = pyarrow.dataset.dataset(sorted(map(str, dest.glob("*.parquet")))).to_table(["path", "features"])
        order = np.argsort(table["path"].to_numpy(zero_copy_only=False))
        x = table["features"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)[order]
        vectors[way] = x / np.linalg.norm(x, axis=1, keepdims=True)
        bench(f"scale_sizes_{way}_rate", figures[way]["rates"]["all"], "photos/s", 0)
        bench(f"scale_sizes_{way}_seconds", done.seconds, "s", 1)
        bench(f"scale_sizes_{way}_peak_rss", done.peak_mib, "MiB", 0)
    cosines = np.sum(vectors["auto"] * vectors["off"], axis=1)
    bench("scale_sizes_gain", figures["off"]["seconds"] / figures["auto"]["seconds"], "x", 2)
    bench("scale_sizes_cosine_least", cosines.min(), "", 4)
    bench("scale_sizes_cosine_median", float(np.median(cosines)), "", 5)
    scale.results.add("sizes", photos=scale.mixed, megapixels=megapixels, bytes=size, ways=figures,
                      cosine_least=float(cosines.min()), cosine_percent=float(np.percentile(cosines, 1)),
                      cosine_median=float(np.median(cosines)), model=scale.model, quick=scale.quick)
    for name in ("mixed", "mixed-auto", "mixed-off"):
        shutil.rmtree(scale.work / name, ignore_errors=True)


def curve(scale):
    scale.warm_up()
    photos = scale.turntable()
    points = []
    for count in scale.curve:
        done = watch([scale.pomona, "run", photos, scale.work / "curve", "--limit", count, "--no-model", "--no-report",
                      "--overwrite", "-q", *scale.network()])
        points.append((count, done.seconds))
        say(f"{count:,} photos: {done.seconds:.1f} s, at most {done.peak_mib:.0f} MiB")
    start, each, error = chart.fit(points)
    bench("scale_curve_start", start, "s", 2)
    bench("scale_curve_per_photo", 1000 * each, "ms", 3)
    bench("scale_curve_largest_error", error, "x")
    record = scale.results.add("curve", points=points, start=start, each=each, error=error, model=scale.model,
                               quick=scale.quick)
    if scale.figure:
        figure = ROOT / "docs" / "figures" / "cost-curve.svg"
        figure.parent.mkdir(exist_ok=True)
        figure.write_text(chart.draw(
            points, "Photos to features, PCA and components: seconds",
            f"photos; line: {start:.1f} s + {1000 * each:.2f} ms a photo; {record['machine']['threads']} cores, {scale.model}"))
    shutil.rmtree(scale.work / "curve", ignore_errors=True)


PARTS = {"chain-local": lambda scale: chain(scale, "local"), "chain-s3": lambda scale: chain(scale, "s3"),
         "listing": listing, "pca": pca, "sizes": sizes, "curve": curve}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path, help="folder of the command, such as build/bin")
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "all"], metavar="PART")
    parser.add_argument("--quick", action="store_true", help="a fraction of each part")
    parser.add_argument("--work", type=pathlib.Path, help="keep what is made here; default: a folder that is removed")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "scale.json")
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--input-size", type=int, help="pixels; default: the network's own")
    parser.add_argument("--figure", action="store_true", help="curve: write docs/figures/cost-curve.svg")
    arguments = parser.parse_args()
    parts = list(PARTS) if "all" in arguments.parts else arguments.parts
    with contextlib.ExitStack() as stack:
        work = arguments.work or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pomona-scale-")))
        work.mkdir(parents=True, exist_ok=True)
        scale = Scale(arguments, work.resolve())
        for part in parts:
            begin = time.monotonic()
            PARTS[part](scale)
            say(f"{part} took {time.monotonic() - begin:.0f} s; figures are in {arguments.out}")


if __name__ == "__main__":
    main()
