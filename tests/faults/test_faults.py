# SPDX-License-Identifier: Apache-2.0
"""Injected faults, one per test; `make faults` runs a hundred with other seeds. What is checked: invariants.py."""
import random

import pytest

import faults
import invariants
from bench import Unavailable, Violation
from faults_local import tells

SEED = 2026
QUICK = ["kill.run", "kill.resume", "kill.overwrite", "kill.update", "kill.reduce", "sigterm.run", "full.run",
         "full.cache", "read.eio_photos", "read.shrunk", "clock.run", "two.run"]
REST = [name for name, (_, _, slow) in sorted(faults.FAULTS.items()) if name not in QUICK and not slow]


def inject(bench, name):
    try:
        faults.FAULTS[name][0](bench, random.Random(f"{SEED} {name}"))
    except Unavailable as why:
        pytest.skip(str(why))


@pytest.mark.parametrize("name", QUICK)
def test_quick(bench, name):
    inject(bench, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*REST, "spark.driver"])
def test_all(bench, name):
    inject(bench, name)


def test_a_killed_driver_of_spark_is_told(bench):
    """Python, killed without a word (as the kernel does where memory runs out): no bare exit code."""
    bench.clear()
    python = bench.place / "python"
    python.write_text("#!/bin/sh\nkill -KILL $$\n")
    python.chmod(0o755)
    done = bench.run("featurize", bench.photos(), bench.place / "results", *bench.small(), "--engine", "spark",
                     env={"POMONA_PYTHON": python}, code=1)
    tells(done, "signal 9.*memory", str(bench.place / "results"))


def test_the_checks_find_what_they_are_for(bench):
    """The same checks on results that were spoilt on purpose: each harm is found."""
    import jobs
    job = jobs.job(bench, "run")
    expected = bench.kept / job.after

    def spoilt(harm):
        bench.clear()
        bench.bring(job.after)
        invariants.check_end(bench.place, expected)
        harm(bench.place / "results" / "features")
        for check in (lambda: invariants.check_middle(bench.place, job.states(bench)),
                      lambda: invariants.check_end(bench.place, expected)):
            with pytest.raises(Violation):
                check()

    def part(folder, number=1):
        return sorted(folder.glob("part-*"))[number]

    def twice(folder):
        one = part(folder)
        one.with_name(one.name.replace("part-00001", "part-00099")).write_bytes(one.read_bytes())

    def other_bits(folder):
        one = part(folder)
        data = bytearray(one.read_bytes())
        data[200] ^= 1
        one.write_bytes(data)

    def half(folder):
        one = part(folder)
        one.write_bytes(one.read_bytes()[:-100])

    def stray(folder):
        (folder / "part-00000.parquet.tmp").write_bytes(b"PAR1")

    spoilt(lambda f: part(f).unlink())
    spoilt(twice)
    spoilt(other_bits)
    spoilt(half)
    spoilt(stray)
    spoilt(lambda f: (f / "_temporary").mkdir())
    spoilt(lambda f: next((f / "_rejects").iterdir()).unlink())
