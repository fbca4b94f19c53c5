# SPDX-License-Identifier: Apache-2.0
"""The jobs that faults hit: what stands before, the command, the command that goes on, what must stand in the end."""
import dataclasses
import json
import time

import invariants
from bench import require

DAY = 86400


@dataclasses.dataclass
class Job:
    name: str
    words: list       # of the command that is disturbed
    again: list       # of the one that goes on afterwards
    before: str = ""  # kept state that stands there before
    after: str = ""   # kept state of the undisturbed end
    seconds: float = 0
    writes: int = 0   # operations below `place` that change something
    reads: int = 0    # operations on photos, network and results that read
    code: int = 0     # of the undisturbed command

    def states(self, bench):
        return [bench.kept / s for s in (self.before, self.after) if s]


NAMES = ("featurize", "csv", "run", "resume", "overwrite", "reduce", "train", "update", "purge", "predict")


def job(bench, name):
    """The job of that name, its undisturbed results made where they are not there yet."""
    return bench.once("job " + name, lambda: _make(bench, name))


def _state(bench, name):
    """A kept state that jobs begin with, made where it is not there."""
    def make():
        bench.clear()
        place, photos = bench.place, bench.photos()
        if name in ("results", "trained"):
            bench.run("run", photos, place / "results", *bench.small(), "-k", 4, code=0)
        if name == "reduced":
            bench.bring("results")
            bench.run("reduce", place / "results" / "features", place / "reduced", "-k", 3, "-q", code=0)
        if name == "model":
            bench.bring("results")
            bench.run("train", place / "results" / "features", "-o", place / "model.onnx", "--classifier", "lda", "-q",
                      code=0)
        if name == "old":
            bench.bring("results")
            for record in place.rglob("_run.json"):
                run = json.loads(record.read_text())
                run["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 30 * DAY))
                record.write_text(json.dumps(run))
        return bench.keep(name)
    needed = {"reduced": "results", "model": "results", "old": "results"}.get(name)
    if needed:
        bench.once("state " + needed, lambda: _state(bench, needed))
    return make()


def _make(bench, name):
    place, small = bench.place, bench.small()
    photos = bench.photos()
    results = place / "results"
    words = {
        "featurize": ["featurize", photos, results, *small],
        "csv": ["run", photos, results, *small, "-k", 4, "--format", "csv", "--one-csv", "--no-model", "--no-report"],
        "run": ["run", photos, results, *small, "-k", 4],
        "resume": ["run", bench.more_photos(), results, *small, "-k", 4, "--resume"],
        "overwrite": ["run", photos, results, *small, "-k", 6, "--overwrite"],
        "reduce": ["reduce", results / "features", place / "reduced", "-k", 5, "--overwrite", "-q"],
        "train": ["train", results / "features", "-o", place / "model.onnx", "--overwrite", "-q"],
        "update": ["train", "--update", place / "model.onnx", results / "features", "-q"],
        "purge": ["purge", results, "--yes", "--log", place / "purge.log"],
        "predict": ["predict", results / "model.onnx", photos, place / "answers", "--overwrite", "-q"],
    }[name]
    before = {"resume": "results", "overwrite": "results", "reduce": "reduced", "train": "model", "update": "model",
              "purge": "old", "predict": "results"}.get(name, "")
    again = words + (["--resume"] if name in ("featurize", "csv", "run") else [])
    if name == "resume":
        # The folder grew: the photos of before are named as they were, only more of them.
        before = "less"
        bench.once("state less", lambda: _less(bench))
    elif before:
        bench.once("state " + before, lambda: _state(bench, before))
    made = Job(name, [str(w) for w in words], [str(w) for w in again], before, "after " + name)
    bench.clear()
    if before:
        bench.bring(before)
    done = bench.run(*made.words, faults={"under": place, "ops": "w"}, code=(0, 4) if name == "update" else 0)
    made.code, made.seconds, made.writes = done.code, done.seconds, done.operations
    bench.keep(made.after)
    if name == "purge":
        require(not invariants.datasets(place), "purge left a dataset behind")
    for _, folder in invariants.datasets(place).items():
        invariants.Dataset(folder).check_finished()
    bench.clear()
    if before:
        bench.bring(before)
    reads = bench.run(*made.words, faults={"under": f"{place}:{photos}:{bench.root / 'more'}:{bench.network}", "ops": "r"},
                      code=made.code)
    made.reads = reads.operations
    made.seconds = min(made.seconds, reads.seconds)
    invariants.check_end(place, bench.kept / made.after)
    return made


def _less(bench):
    """Results of the folder `more` before its last photos came."""
    folder, aside = bench.more_photos(), bench.root / "aside"
    bench.clear()
    pears = [p for p in folder.rglob("*.jpg") if p.parent.name == "Pear"]
    for path in pears:
        target = aside / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    bench.run("run", folder, bench.place / "results", *bench.small(), "-k", 4, code=0)
    for path in pears:
        (aside / path.relative_to(folder)).rename(path)
    return bench.keep("less")
