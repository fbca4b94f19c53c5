#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pomona inside Spark, side by side with what it stands against, on one machine and one day:

    spark_over_original  photos/s of `pomona featurize --engine spark`, against Spark + iterator pandas UDF + Keras
    spark_over_local     the same, against the local engine; the session's start stated apart
    int8_...             both with the network that `pomona models quantize` makes of it
    executors            photos/s on a standalone cluster of one and of two executors of one core
    pca_over_mllib       seconds of Spark MLlib's PCA over seconds of ours in Spark, 100,000 x 1,280 from Parquet. MLlib
                         is stopped after --limit seconds; what is then printed is a lower bound: `> figure`
    wide                 a size at which MLlib's driver (1 GB, Spark's default) fails and ours does not

    bench/spark_bench.py [featurize|executors|pca|wide ...] [--photos 20000] [--model PATH] [--short]

Needs setup/spark.sh, for `featurize` setup/keras.sh too, and room in --work: `pca` takes 0.7 GB there while it runs.
--short runs every part to its end on little data: to see that it works. A part that fails is named, and the others go
on. Keras gets random weights: its speed does not depend on them. What Keras and MLlib pay for their own start (imports,
model, JVM) is left out of their times; ours is in, the start of the session excepted, which both have.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from common import (POMONA, ROOT, SHARED, SPARK, SPARK_JOBS, keras_site, record, run, say, spark_env, vectors_of)


def spark_words(master, *conf):
    return ["--engine", "spark", "--master", master, *(word for one in conf for word in ("--spark-conf", one))]


def network_words(model, rows=1024):
    return ["--model", model, "--preprocess", "tf", "--input-size", "224", "--rows-per-file", rows, "--labels", "none"]


NOT_ENDED = "it had not ended"


class Failed(Exception):
    """A part of the bench that did not run to its end."""


def bounded(words, env, limit):
    """Runs a command and all that it starts; nothing of it outlives `limit` seconds: `returncode` is then None."""
    words = [str(word) for word in words]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(words, env=env, stdout=out, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True)
        code = None
        try:
            code = child.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


def ours(words, env, limit=300):
    done = bounded(words, env, limit)
    if done.returncode != 0:
        how = f"did not end in {limit:.0f} s" if done.returncode is None else f"ended with {done.returncode}"
        raise Failed(f"{' '.join(done.args)} {how}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def photos_of(work, count):
    """A folder with at least so many photos."""
    for made in sorted(work.glob("turntable-*"), key=lambda folder: int(folder.name.rpartition("-")[2])):
        if int(made.name.rpartition("-")[2]) >= count:
            return made
    folder = work / f"turntable-{count}"
    if not folder.exists():
        made = work / "making"
        shutil.rmtree(made, ignore_errors=True)
        run([POMONA, "datasets", "make", "turntable", made, "--count", count, "-q"])
        made.rename(folder)
    return folder


def quantized(options, work, photos):
    """The same network in 8-bit integers."""
    home = work / "home"
    file = home / "models" / "quantized" / "quantized.onnx"
    if not file.exists():
        run([POMONA, "models", "quantize", options.model, photos, "--preprocess", "tf", "--input-size", "224", "--name",
             "quantized", "-q"], env={**os.environ, "POMONA_HOME": str(home)})
    return file


def bench_featurize(options, work):
    photos = photos_of(work, options.photos)
    spark_seconds = {}
    for mark, model in (("", options.model), ("int8_", quantized(options, work, photos))):
        words = [POMONA, "featurize", photos]
        flags = [*network_words(model), "-q", "--limit", options.photos]
        seconds = {}
        for name, more, env in (("local", [], None), ("spark", spark_words("local[2]"), spark_env())):
            dest = work / f"features-{name}"
            shutil.rmtree(dest, ignore_errors=True)
            began = time.time()
            run([*words, dest, *flags, *more], env=env)
            whole = time.time() - began
            found = record(dest)
            seconds[name] = found["seconds"]
            say(f"{mark}{name}_photos_per_second", found["counts"]["written"] / found["seconds"], "photos/s",
                f"{found['counts']['written']} photos, MobileNetV2 224 in {found['fingerprint']['precision']}, "
                f"{found['seconds']:.1f} s; with the start {whole:.1f} s")
            if name == "spark":
                say(f"{mark}spark_session_start", whole - found["seconds"], "s")
                for step in ("prepare", "list", "featurize", "publish"):
                    spans = [s for s in found["timeline"] if s["stage"] == step and s["lane"] == "driver"]
                    if spans:
                        say(f"{mark}spark_stage_{step}", sum(s["end"] - s["begin"] for s in spans), "s")
        say(f"{mark}spark_over_local", seconds["local"] / seconds["spark"])
        spark_seconds[mark] = seconds["spark"]

    few, many = 128, options.original  # the first time warms imports, workers and the JVM up, and is not counted
    done = run([SPARK, SPARK_JOBS / "original.py", photos, work / "original", keras_site(), "--counts", f"{few},{few},{many}"],
               env=spark_env())
    _, short, long = json.loads(done.stdout.strip().splitlines()[-1])["seconds"]
    rate = (many - few) / (long - short)
    say("original_photos_per_second", rate, "photos/s", f"{many} photos in {long:.1f} s, less {few} in {short:.1f} s")
    for mark, seconds in spark_seconds.items():
        say(f"{mark}spark_over_original", options.photos / seconds / rate)


def bench_executors(options, work):
    sys.path[:0] = [str(ROOT / "tests" / "spark"), str(ROOT / "tests")]
    from cluster import SparkInstall, StandaloneCluster

    photos = photos_of(work, 2 * options.executor_photos)
    rates = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            with StandaloneCluster(SparkInstall.find("4"), folder, workers=workers, cores=1) as cluster:
                dest = work / f"features-{workers}"
                shutil.rmtree(dest, ignore_errors=True)
                ours([POMONA, "featurize", photos, dest, *network_words(options.model, max(options.executor_photos // 8, 64)),
                      "-q", "--limit", options.executor_photos * workers, *spark_words(cluster.url)],
                     env=cluster.env(POMONA_PYTHON=str(SPARK)))
        found = record(dest)
        rates[workers] = found["counts"]["written"] / found["seconds"]
        say(f"photos_per_second_{workers}_executors", rates[workers], "photos/s", f"{found['seconds']:.1f} s")
    say("two_executors_over_one", rates[2] / rates[1])


def ours_pca(source, work, k, memory):
    """Seconds by stage."""
    dest = work / "reduced"
    shutil.rmtree(dest, ignore_errors=True)
    ours([POMONA, "reduce", source, dest, "-k", k, "-q", *spark_words("local[2]", f"spark.driver.memory={memory}")],
         env=spark_env())
    stages = record(dest)["stages"]
    shutil.rmtree(dest)
    return stages


def theirs_pca(source, k, memory, limit):
    """(seconds of MLlib's fit, None), or (seconds that it had, why it gave nothing)."""
    started = time.time()
    done = bounded([SPARK, SPARK_JOBS / "mllib_pca.py", source, k, memory], spark_env(), limit)
    text = done.stdout + done.stderr
    if done.returncode == 0:
        return json.loads(done.stdout.strip().splitlines()[-1])["seconds"], None
    began = next((line.split()[1] for line in done.stdout.splitlines() if line.startswith("BEGAN")), None)
    if began is None:
        raise Failed(f"MLlib did not get as far as its fit in {time.time() - started:.0f} s:\n{text[-4000:]}")
    spent = time.time() - float(began)
    for line in text.splitlines():
        if "OutOfMemoryError" in line:
            return spent, line[line.index("OutOfMemoryError"):].strip()[:80]
    if done.returncode is None:
        return spent, NOT_ENDED
    raise Failed(f"MLlib's PCA failed, not for want of memory:\n{text[-4000:]}")


def bench_pca(options, work):
    k = 100
    source = vectors_of(work / f"vectors-{options.rows}", options.rows, 1280)
    stages = ours_pca(source, work, k, "4g")
    seconds = stages["moments"] + stages["fit"]
    what = f"{options.rows:,} x 1,280, k = {k}"
    say("pca_seconds", seconds, "s", f"{what}: read and moments {stages['moments']:.1f} s, fit {stages['fit']:.1f} s")
    theirs, stopped = theirs_pca(source, k, "4g", options.limit)
    bound = "> " if stopped else ""
    say("mllib_pca_seconds", theirs, "s", f"{what}{': ' + stopped if stopped else ''}", bound)
    say("pca_over_mllib", theirs / seconds, "", what, bound)
    shutil.rmtree(source)


def bench_wide(options, work):
    d = options.wide
    source = vectors_of(work / f"wide-{d}", options.wide_rows, d)
    what = f"{options.wide_rows:,} x {d:,}, driver of 1 GB"
    theirs, stopped = theirs_pca(source, 50, "1g", min(options.limit, 150))
    if stopped == NOT_ENDED:
        raise Failed(f"MLlib neither ended nor failed in {theirs:.0f} s: give more --limit, or a smaller --wide")
    say("mllib_wide_failed", int(stopped is not None), "", f"{what}: {stopped or 'it did it'}, {theirs:.0f} s")
    stages = ours_pca(source, work, 50, "1g")
    say("pca_wide_seconds", stages["moments"] + stages["fit"], "s",
        f"ours, {what}; the matrix lies in a Python worker, outside of the JVM")
    shutil.rmtree(source)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=[], help="featurize executors pca wide; default: all")
    parser.add_argument("--short", action="store_true", help="little data in every part")
    parser.add_argument("--photos", type=int, help="default: 20,000")
    parser.add_argument("--original", type=int, help="photos for the original pipeline; default: 1,200")
    parser.add_argument("--executor-photos", type=int, help="per executor; default: 8,192")
    parser.add_argument("--rows", type=int, help="vectors for the PCA; default: 100,000")
    parser.add_argument("--limit", type=float, default=420, help="seconds that MLlib gets, with its start; default: 420")
    parser.add_argument("--wide", type=int, default=6_000, help="dimensions of the wide PCA; default: 6,000")
    parser.add_argument("--wide-rows", type=int, default=500)
    parser.add_argument("--model", default=str(SHARED / "weights" / "mobilenet_v2_1.0_224.onnx"))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "pomona-spark-bench")
    options = parser.parse_args()
    for name, whole, short in (("photos", 20_000, 512), ("original", 1_200, 256), ("executor_photos", 8_192, 256),
                               ("rows", 100_000, 4_000)):
        if getattr(options, name) is None:
            setattr(options, name, short if options.short else whole)
    for needed, how in ((SPARK, "setup/spark.sh 4"), (pathlib.Path(options.model), "the weights, or --model PATH")):
        if not needed.exists():
            sys.exit(f"{needed} is not there: {how}")
    options.work.mkdir(parents=True, exist_ok=True)
    benches = {"featurize": bench_featurize, "executors": bench_executors, "pca": bench_pca, "wide": bench_wide}
    for name in options.what:
        if name not in benches:
            parser.error(f"there is no part {name}; there are {', '.join(benches)}")
    failed = []
    for name in options.what or benches:
        began = time.time()
        try:
            benches[name](options, options.work)
        except (Exception, SystemExit) as error:  # the other parts have their own figures to give
            failed.append(name)
            print(f"{name} failed after {time.time() - began:.0f} s: {error}", file=sys.stderr, flush=True)
    if failed:
        sys.exit(f"no figures, or not all, from: {', '.join(failed)}")


if __name__ == "__main__":
    main()
