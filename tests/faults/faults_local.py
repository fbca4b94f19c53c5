# SPDX-License-Identifier: Apache-2.0
"""Faults of one machine: the program ends at some moment, the disk is full, what is read cannot be read, the clock."""
import errno
import re
import signal

import invariants
import jobs
from bench import require

ADVICE = re.compile(r"--resume|--overwrite|again|mend|free|choose|name (a|an|another)|check|Wrong|remove it|look at|"
                    r"use |doctor", re.IGNORECASE)
FAULTS = {}


def fault(name, weight=1, slow=False):
    """Registers inject(bench, random) under a name; it gives one line about what was done, and raises Violation."""
    def add(function):
        FAULTS[name] = (function, weight, slow)
        return function
    return add


def tells(done, cause, thing):
    """What a user must read when a command failed: what was wrong, with which input, what to do."""
    for what, pattern in (("what was wrong", cause), ("with which input", thing)):
        require(re.search(pattern, done.said, re.IGNORECASE), f"the message does not tell {what} ({pattern}): {done}")
    require(ADVICE.search(done.said), f"the message does not tell what to do: {done}")


def begin(bench, name):
    job = jobs.job(bench, name)
    bench.clear()
    if job.before:
        bench.bring(job.before)
    return job


def go_on(bench, job, code=None):
    """The same command again; then everything must be as if nothing had happened."""
    again = job.again
    if job.name == "overwrite" and not any(bench.place.rglob("*")):
        again = job.words
    bench.run(*again, code=job.code if code is None else code)
    invariants.check_end(bench.place, bench.kept / job.after)


def same_or_rerun(bench, job):
    """For jobs that are done once: an update that went through is not done again."""
    if job.name == "update" and finished_update(bench, job):
        return
    if job.name == "purge":
        bench.run(*job.again, code=0)
        require(not invariants.datasets(bench.place), "a dataset is left")
        left = set(invariants.files(bench.place)) - {"purge.log"}
        require(not left, f"left: {left}")
        return
    go_on(bench, job)


def finished_update(bench, job):
    """The model is the new one: a second update would begin with it. Its history line is checked."""
    return (bench.place / "model.onnx").read_bytes() != (bench.kept / job.before / "model.onnx").read_bytes()


KILL_WEIGHTS = {"run": 3, "resume": 3, "featurize": 2, "overwrite": 2}


def _kill(name):
    @fault(f"kill.{name}", KILL_WEIGHTS.get(name, 1))
    def inject(bench, random):
        job = begin(bench, name)
        how = random.choice(["kill", "after", "torn"])
        at = random.randint(1, job.writes)
        done = bench.run(*job.words, faults={"under": bench.place, "ops": "w", "at": at, "do": how})
        require(done.code in (-signal.SIGKILL, job.code), f"killed, but {done}")
        invariants.check_middle(bench.place, job.states(bench))
        same_or_rerun(bench, job)
        return f"{how} at operation {at} of {job.writes}" + ("" if done.code < 0 else " (not reached)")


for _name in jobs.NAMES:
    _kill(_name)


@fault("kill.again_and_again", 2)
def kill_again_and_again(bench, random):
    """The same run killed three times, each a little later, each --resume."""
    job = begin(bench, "run")
    moments = []
    for attempt in range(3):
        at = random.randint(1, job.writes // (3 - attempt))
        moments.append(at)
        bench.run(*(job.again if attempt else job.words),
                  faults={"under": bench.place, "ops": "w", "at": at, "do": random.choice(["kill", "after", "torn"])})
        invariants.check_middle(bench.place, job.states(bench))
    go_on(bench, job)
    return f"at operations {moments}"


def _signal(name, number):
    @fault(f"{number.name.lower()}.{name}")
    def inject(bench, random):
        job = begin(bench, name)
        at = random.randint(1, job.writes)
        done = bench.run(*job.words, faults={"under": bench.place, "ops": "w", "at": at, "do": "signal",
                                             "signal": int(number)}, code=(1, job.code))
        require(done.seconds < 20, f"stopped late: {done}")
        invariants.check_middle(bench.place, job.states(bench))
        if done.code == 1 and job.code != 1:
            require("stop" in done.said, f"the message does not say that it was stopped: {done}")
            left = [n for n in invariants.files(bench.place) if n.endswith(".tmp")]
            require(not left, f"a run that was stopped cleanly left {left}")
        same_or_rerun(bench, job)
        return f"at operation {at} of {job.writes}: " + ("stopped" if done.code == 1 else "was at its end")


for _name in ("run", "featurize", "reduce", "train", "update", "purge"):
    _signal(_name, signal.SIGTERM if _name in ("run", "reduce", "update") else signal.SIGINT)


def _full(name):
    @fault(f"full.{name}", 2 if name == "run" else 1)
    def inject(bench, random):
        job = begin(bench, name)
        at = random.randint(1, job.writes)
        done = bench.run(*job.words, faults={"under": bench.place, "ops": "w", "at": at, "times": 0, "do": "full"},
                         code=(1, job.code))
        invariants.check_middle(bench.place, job.states(bench))
        if done.code == 1:
            tells(done, "no space left", re.escape(str(bench.place)))
        same_or_rerun(bench, job)
        return f"from operation {at} of {job.writes}" + ("" if done.hit else " (not reached)")


for _name in ("run", "featurize", "csv", "resume", "reduce", "train", "update", "predict"):
    _full(_name)


@fault("full.cache")
def full_cache(bench, random):
    """The folder of compiled networks cannot be written: the cache only saves time."""
    job = begin(bench, "run")
    cache = bench.root / f"cache-{random.randint(0, 10**9)}"
    done = bench.run(*job.words, env={"XDG_CACHE_HOME": cache}, code=0,
                     faults={"under": cache, "ops": "w", "at": random.randint(1, 6), "times": 0, "do": "full"})
    require(done.hit > 0, "the cache was not written at all")
    invariants.check_end(bench.place, bench.kept / job.after)
    return f"{done.hit} operations failed, the run did not"


@fault("full.purge_log")
def full_purge_log(bench, random):
    """What is removed must be logged: with a full disk under the log, the purge stops and says so."""
    job = begin(bench, "purge")
    done = bench.run(*job.words, code=(0, 1), faults={"under": bench.place / "purge.log", "ops": "w", "times": 0,
                                                      "at": random.randint(1, 10), "do": "full"})
    invariants.check_middle(bench.place, job.states(bench))
    if done.code == 1:
        tells(done, "no space left", "purge.log")
    bench.run(*job.again, code=0)
    require(not invariants.datasets(bench.place), "a dataset is left")
    return f"{done.hit} operations failed, exit {done.code}"


def expect_without(bench, job, broken, reason):
    """The undisturbed features, but `broken` photos are rejects."""
    found = invariants.Dataset(bench.place / "results")
    require(found.finished, "not finished")
    found.check_finished()
    expected = invariants.Dataset(bench.kept / job.after / "results")
    rows, wanted = found.rows(), expected.rows()
    rejected = {r["path"]: r["reason"] for r in found.rejects if r["stage"] == "read"}
    require(set(rejected) <= {str(p) for p in broken}, f"rejects of sound photos: {rejected}")
    for why in rejected.values():
        require(re.search(reason, why), f"a reject's reason is {why!r}, expected {reason}")
    require(set(rows) | set(rejected) == set(wanted), "a photo is neither row nor reject")
    require(not set(rows) & set(rejected), "a photo is row and reject")
    for path, row in rows.items():
        require(row == wanted[path], f"{path} has other bits")
    return len(rejected)


@fault("read.eio_photos", 2)
def eio_photos(bench, random):
    """Some reads of photos fail with EIO: those photos are rejects, and --resume reads them again."""
    job = begin(bench, "featurize")
    times = random.randint(1, 5)
    done = bench.run(*job.words, code=(0, 3), faults={"under": bench.photos() / "Training", "ops": "r", "do": "errno",
                     "at": random.randint(60, 150), "times": times, "errno": errno.EIO})
    require(done.hit > 0, "nothing was hit")
    photos = [p for p in bench.photos().rglob("*.jpg")]
    count = expect_without(bench, job, photos, "Input/output error")
    go_on(bench, job)
    return f"{done.hit} operations, {count} photos"


@fault("read.eio_network")
def eio_network(bench, random):
    job = begin(bench, "featurize")
    done = bench.run(*job.words, faults={"under": bench.network, "ops": "r", "do": "errno", "times": 0,
                                         "at": random.randint(1, 4), "errno": errno.EIO}, code=(0, 1))
    invariants.check_middle(bench.place, job.states(bench))
    if done.code == 1:
        tells(done, "input/output error|cannot read|read", re.escape(bench.network.name))
    go_on(bench, job)
    return f"{done.hit} operations, exit {done.code}"


def _eio_results(name):
    @fault(f"read.eio_results.{name}")
    def inject(bench, random):
        """Results of earlier steps cannot be read: the command fails and says which file, or needs it no more."""
        job = begin(bench, name)
        done = bench.run(*job.words, faults={"under": bench.place, "ops": "r", "do": "errno", "errno": errno.EIO,
                         "at": random.randint(1, max(job.reads // 2, 2)), "times": random.choice([1, 3, 0])}, code=(0, 1, 4))
        invariants.check_middle(bench.place, job.states(bench))
        if done.code == 1:
            tells(done, "input/output error|cannot (be )?read|cannot list|cannot open", re.escape(str(bench.place)))
        same_or_rerun(bench, job)
        return f"{done.hit} operations, exit {done.code}"


for _name in ("resume", "reduce", "train", "update", "predict"):
    _eio_results(_name)


@fault("read.eio_history")
def eio_history(bench, random):
    """The lines of earlier updates cannot be read: they must not be replaced by what could."""
    job = begin(bench, "update")
    bench.bring(job.after)
    history = bench.place / "model.onnx.updates.jsonl"
    before = history.read_bytes()
    done = bench.run(*job.words, code=1, faults={"under": history, "ops": "r", "do": "errno", "times": 0,
                                                 "at": random.randint(1, 2), "errno": errno.EIO})
    tells(done, "input/output error", "updates.jsonl")
    require(history.read_bytes().startswith(before), "the history of the model is lost")
    bench.run(*job.words, code=(0, 4))
    require(len(history.read_bytes().splitlines()) == len(before.splitlines()) + 1, "lines are lost or twice")
    return f"{done.hit} operations"


@fault("read.no_permission")
def no_permission(bench, random):
    """open() of some photos is denied."""
    job = begin(bench, "featurize")
    folder = bench.photos() / "Test" / random.choice(["Apple", "Lemon", "Plum"])
    victim = random.choice(sorted(folder.iterdir()))
    bench.run(*job.words, code=(0, 3), faults={"under": victim, "ops": "r", "do": "errno", "at": 1, "times": 0,
                                               "errno": errno.EACCES})
    require(expect_without(bench, job, [victim], "no permission") == 1, "the photo is no reject")
    go_on(bench, job)
    return victim.name


@fault("read.eio_listing")
def eio_listing(bench, random):
    """A folder of photos cannot be listed to its end: that is a reject with its name, or the job fails; never silence."""
    job = begin(bench, "featurize")
    folder = bench.photos() / "Test" / random.choice(["Apple", "Lemon", "Plum"])
    done = bench.run(*job.words, code=(0, 1, 3), faults={"under": folder, "ops": "r", "do": "errno", "times": 0,
                     "at": random.randint(1, 8), "errno": errno.EIO})
    if done.code == 1:
        tells(done, "input/output error", re.escape(str(folder)))
    else:
        found = invariants.Dataset(bench.place / "results")
        found.check_finished()
        told = [r for r in found.rejects if r["path"].rstrip("/").startswith(str(folder))]
        require(told, f"photos of {folder} are missing and nothing says so: {done}")
    go_on(bench, job)
    return f"{folder.name}: exit {done.code}"


def _harm(bench, random, job, change):
    """Starts the job with many photos and harms some that it has listed but not read. The photos come back after."""
    process = bench.start(*job.words, "--threads", "1")
    victims = random.sample(sorted((bench.photos() / "Training" / "Plum").iterdir()), 4)
    kept = {p: (p.read_bytes(), p.stat()) for p in victims}
    try:
        for path in victims:
            change(path)
        done = bench.ended(process)
    finally:
        import os
        for path, (data, info) in kept.items():
            path.write_bytes(data)
            os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    return done, victims


@fault("read.vanished")
def vanished(bench, random):
    job = begin(bench, "featurize")
    done, victims = _harm(bench, random, job, lambda p: p.unlink())
    require(done.code in (0, 3), str(done))
    found = invariants.Dataset(bench.place / "results")
    record = found.check_finished()
    rows = found.rows()
    wanted = invariants.Dataset(bench.kept / job.after / "results").rows()
    gone = {r["path"] for r in found.rejects if "is gone" in r["reason"]}
    require(gone <= {str(p) for p in victims}, f"photos that are there are said to be gone: {gone}")
    require(set(wanted) - set(rows) <= {str(p) for p in victims}, "sound photos are lost")
    for path, row in rows.items():
        require(row == wanted[path], f"{path} has other bits")
    go_on(bench, job)
    return f"{len(gone)} met as gone, {record['counts']['listed']} listed"


@fault("read.shrunk")
def shrunk(bench, random):
    """Photos are cut to half their size during the run: a row of a half photo must not come out."""
    job = begin(bench, "featurize")

    def cut(path):
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size // 2)
    done, victims = _harm(bench, random, job, cut)
    require(done.code in (0, 3), str(done))
    found = invariants.Dataset(bench.place / "results")
    found.check_finished()
    rows = found.rows()
    wanted = invariants.Dataset(bench.kept / job.after / "results").rows()
    rejected = {r["path"]: r["reason"] for r in found.rejects}
    require(set(rows) | set(rejected) >= set(wanted), "a photo is neither row nor reject")
    for path, row in rows.items():
        require(row == wanted[path], f"{path}: a row of a photo that is not whole")
    go_on(bench, job)
    return f"{sum(str(p) in rejected for p in victims)} of 4 met as cut"


def _clock(name):
    @fault(f"clock.{name}")
    def inject(bench, random):
        """The wall clock jumps by a day in the middle of a run: the results are the same."""
        job = begin(bench, name)
        days = random.choice([-1, 1, -400])
        done = bench.run(*job.words, faults={"clock": days * jobs.DAY, "clock_after": random.randint(0, 400)}, code=job.code)
        require(done.seconds < 30, f"slow: {done}")
        invariants.check_end(bench.place, bench.kept / job.after)
        return f"{days} days"


for _name in ("run", "resume", "update"):
    _clock(_name)


@fault("clock.purge")
def clock_purge(bench, random):
    """The age is counted by the clock when purge begins: a jump during it removes no young dataset."""
    jobs.job(bench, "purge")
    bench.clear()
    bench.bring("results")
    # (Before purge takes the time, a wrong clock is a wrong clock: docs/faults.md says so.)
    bench.run("purge", bench.place / "results", "--yes", "--log", bench.place / "purge.log",
              faults={"clock": 400 * jobs.DAY, "clock_after": 10**7}, code=0)
    for name in ("features", "reduced"):
        invariants.same_dataset(bench.place / "results" / name, bench.kept / "results" / "results" / name, "purge")
    bench.run("purge", bench.place / "results", "--yes", "--log", bench.place / "purge.log",
              faults={"clock": -400 * jobs.DAY, "clock_after": 0}, code=0)
    for name in ("features", "reduced"):
        invariants.same_dataset(bench.place / "results" / name, bench.kept / "results" / "results" / name, "purge")
    return "a clock 400 days behind removes nothing"
