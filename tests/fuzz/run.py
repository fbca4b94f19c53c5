# SPDX-License-Identifier: Apache-2.0
"""`make fuzz`: every fuzz target by turns, then a table of what they did. Fails where something was found.

    tests/fuzz/run.py BIN_FOLDER [TARGET...]

FUZZ_SECONDS  seconds for each target (default: an hour in all)
FUZZ_WORK     where growing corpora, findings and logs are kept (default: build-asan/fuzz)
FUZZ_KEEP     1 = what covers more than the corpus of the repository is added to it at the end (-merge=1)
POMONA_SHARED real photos, models: further seeds where they are
"""
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
HOUR = 3600
# Bytes an input may have at most, megabytes the process may take, and seconds an input may take.
LIMITS = {"http": (16 << 10, 1024, 15), "routes": (64 << 10, 2048, 15), "names": (8 << 10, 1024, 10),
          "model_file": (64 << 10, 2048, 15), "onnx_graph": (64 << 10, 1024, 10), "mobile_chain": (64 << 10, 1024, 10)}
USUAL = (64 << 10, 1536, 10)
MOST_AT_ONCE = 512  # megabytes of one allocation
# An xz file may ask for that much, and libarchive knows no option to lower it.
MOST_OF_UNPACK = 1600
REAL_SEEDS = {"decode": 40, "clean_photo": 40}


def real_photos(count):
    place = pathlib.Path(os.environ.get("POMONA_SHARED", HERE.parents[2] / "shared/data")) / "fruit-photos/test"
    return sorted(place.rglob("*.jpg"), key=lambda file: file.stat().st_size)[:count]


def environment():
    own = dict(os.environ)
    # An allocation of no size that can be had is refused with bad_alloc, as without the sanitizer; leaks are
    # looked for after every input that leaves more behind than it found.
    own["ASAN_OPTIONS"] = "allocator_may_return_null=1:detect_leaks=1:" + own.get("ASAN_OPTIONS", "")
    own["UBSAN_OPTIONS"] = "print_stacktrace=1:" + own.get("UBSAN_OPTIONS", "")
    own["LSAN_OPTIONS"] = f"suppressions={HERE / 'lsan.supp'}:print_suppressions=0:" + own.get("LSAN_OPTIONS", "")
    own["TBB_ENABLE_SANITIZERS"] = "1"  # it loads libraries in a way that sanitizers cannot live with
    own["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    return own


def seeds_of(target, work):
    """The corpus that grows, then those that are only read."""
    growing = work / "corpus" / target
    growing.mkdir(parents=True, exist_ok=True)
    places = [growing] + [HERE / kind / target for kind in ("corpus", "regressions")]
    if target in REAL_SEEDS:
        real = work / "real" / target
        real.mkdir(parents=True, exist_ok=True)
        for file in real_photos(REAL_SEEDS[target]):
            (real / file.name).write_bytes((b"\0" if target == "decode" else b"") + file.read_bytes())
        places.append(real)
    return [str(place) for place in places if place.is_dir()]


def run(program, target, seconds, work):
    longest, memory, patience = LIMITS.get(target, USUAL)
    findings = work / "findings" / target
    findings.mkdir(parents=True, exist_ok=True)
    words = [str(program), f"-max_total_time={seconds}", f"-max_len={longest}", f"-rss_limit_mb={memory}",
             f"-malloc_limit_mb={MOST_OF_UNPACK if target == 'unpack' else MOST_AT_ONCE}", f"-timeout={patience}", f"-artifact_prefix={findings}/",
             "-print_final_stats=1", "-use_value_profile=1", "-close_fd_mask=1"]
    dictionary = HERE / f"{target}.dict"
    if dictionary.exists():
        words.append(f"-dict={dictionary}")
    begin = time.monotonic()
    with open(work / f"{target}.log", "w+", errors="replace") as log:
        code = subprocess.run(words + seeds_of(target, work), env=environment(), cwd=work, stdout=log, stderr=log).returncode
        log.seek(0)
        text = log.read()

    def last(pattern):
        found = re.findall(pattern, text)
        return int(found[-1]) if found else 0

    return {"target": target, "seconds": time.monotonic() - begin, "code": code, "text": text,
            "runs": last(r"stat::number_of_executed_units:\s+(\d+)") or last(r"#(\d+)\s"),
            "edges": last(r"cov: (\d+)"), "features": last(r"ft: (\d+)"), "files": last(r"corp: (\d+)"),
            "rss": last(r"stat::peak_rss_mb:\s+(\d+)") or last(r"rss: (\d+)Mb"),
            "findings": sorted(file.name for file in findings.iterdir())}


def keep(program, target, work):
    """Adds to the repository's corpus what covers more than it does."""
    corpus = HERE / "corpus" / target
    most, _, patience = LIMITS.get(target, USUAL)
    subprocess.run([str(program), "-merge=1", f"-timeout={patience}", f"-max_len={min(most, 4096)}", str(corpus),
                    str(work / "corpus" / target)], env=environment(), cwd=work, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    programs = {file.name[5:]: file for file in sorted(pathlib.Path(sys.argv[1]).resolve().glob("fuzz_*"))
                if file.name != "fuzz_seeds"}
    targets = sys.argv[2:] or list(programs)
    unknown = [target for target in targets if target not in programs]
    if unknown or not targets:
        sys.exit(f"no fuzz target {', '.join(unknown)}: there are {', '.join(programs)}")
    seconds = int(os.environ.get("FUZZ_SECONDS", 0)) or HOUR // len(programs)
    work = pathlib.Path(os.environ.get("FUZZ_WORK", HERE.parents[1] / "build-asan/fuzz")).resolve()
    work.mkdir(parents=True, exist_ok=True)
    rows = []
    for target in targets:
        row = run(programs[target], target, seconds, work)
        rows.append(row)
        print(f"{target}: {row['runs']} executions, {'a finding' if row['code'] else 'nothing found'}", flush=True)
        if row["code"]:
            print("\n".join(row["text"].splitlines()[-60:]))
        elif os.environ.get("FUZZ_KEEP") == "1":
            keep(programs[target], target, work)
    head = f"{'target':<12} {'seconds':>8} {'executions':>11} {'edges':>7} {'features':>9} {'corpus':>7} {'MiB':>5}  findings"
    print(head + "\n" + "-" * len(head))
    for row in rows:
        print(f"{row['target']:<12} {row['seconds']:8.0f} {row['runs']:11} {row['edges']:7} {row['features']:9} "
              f"{row['files']:7} {row['rss']:5}  {', '.join(row['findings']) or '-'}")
    print(f"{sum(row['runs'] for row in rows)} executions in {sum(row['seconds'] for row in rows):.0f} s; "
          f"findings and logs: {work}")
    return 1 if any(row["code"] or row["findings"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
