#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Injects faults, one per run, and checks from outside that nothing is lost, twice or falsely called done.

    .venv/bin/python tests/faults/run.py --runs 100 --seed 7     a line per run, a table; exit 1 where something broke
    .venv/bin/python tests/faults/run.py --seed 7 --first 41 --runs 1     run 41 of that series again
    .venv/bin/python tests/faults/run.py --only 'kill.*' --runs 20        some faults; --list names them
"""
import argparse
import collections
import fnmatch
import pathlib
import random
import signal
import sys
import time
import traceback

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1]),
                str(pathlib.Path(__file__).resolve().parents[1] / "stores"),
                str(pathlib.Path(__file__).resolve().parents[1] / "serve"),
                str(pathlib.Path(__file__).resolve().parents[1] / "spark")]

from bench import Bench, Unavailable, Violation  # noqa: E402
import faults  # noqa: E402


def schedule(names, seed):
    """Names of faults without end: every fault as often as its weight before any comes again."""
    order = random.Random(f"order {seed}")
    while True:
        deck = [n for n in names for _ in range(faults.FAULTS[n][1])]
        order.shuffle(deck)
        yield from deck


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first run of the series")
    parser.add_argument("--only", default="*", help="pattern of the faults' names")
    parser.add_argument("--spark", action="store_true", help="with the slow ones, which need Spark")
    parser.add_argument("--folder", help="where to work; default: in memory")
    parser.add_argument("--keep", action="store_true", help="leave the folder of a run that broke")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    names = [n for n, (_, _, slow) in sorted(faults.FAULTS.items())
             if fnmatch.fnmatch(n, options.only) and (options.spark or not slow)]
    if options.list or not names:
        print("\n".join(names or ["no such fault"]))
        return 0 if names else 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended, the folder removed
    bench = Bench(folder=options.folder)
    counts, broken, skipped = collections.Counter(), [], {}
    begin = time.monotonic()
    try:
        plan = schedule(names, options.seed)
        for number in range(options.first + options.runs):
            name = next(plan)
            if number < options.first:
                continue
            started = time.monotonic()
            try:
                said = faults.FAULTS[name][0](bench, random.Random(f"{options.seed}:{number}"))
                counts[name, "held"] += 1
                verdict = "held"
            except Unavailable as why:
                said, verdict = str(why), "skipped"
                skipped[name] = said
                counts[name, "skipped"] += 1
            except Violation as violation:
                said, verdict = str(violation), "BROKEN"
                counts[name, "BROKEN"] += 1
                broken.append((number, name, said))
            except Exception:  # the harness itself: the series goes on
                said, verdict = traceback.format_exc(), "BROKEN"
                counts[name, "BROKEN"] += 1
                broken.append((number, name, said))
            print(f"{number:4}  {verdict:7} {time.monotonic() - started:5.1f} s  {name:24} {said}", flush=True)
            if verdict == "BROKEN" and options.keep:
                print(f"      kept in {bench.root}")
                return 1
        print(f"\n{'fault':28}{'held':>6}{'broken':>8}{'skipped':>9}")
        for name in names:
            row = [counts[name, kind] for kind in ("held", "BROKEN", "skipped")]
            if any(row):
                print(f"{name:28}{row[0]:6}{row[1]:8}{row[2]:9}")
        total = [sum(counts[n, kind] for n in names) for kind in ("held", "BROKEN", "skipped")]
        print(f"{'all':28}{total[0]:6}{total[1]:8}{total[2]:9}   in {time.monotonic() - begin:.0f} s, seed {options.seed}")
        for name, why in sorted(skipped.items()):
            print(f"skipped {name}: {why}")
        for number, name, _ in broken:
            only = "" if options.only == "*" else f" --only '{options.only}'"
            print(f"again: .venv/bin/python tests/faults/run.py{only}{' --spark' if options.spark else ''} "
                  f"--seed {options.seed} --first {number} --runs 1   # {name}")
        return 1 if broken else 0
    finally:
        if not (broken and options.keep):
            bench.close()


if __name__ == "__main__":
    sys.exit(main())
