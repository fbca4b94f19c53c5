# SPDX-License-Identifier: Apache-2.0
"""Two runs that write to one place at once: one is refused, or both end right."""
import time

import faults_store
import invariants
from bench import require
from faults_local import begin, fault, go_on


def settle(done, dest):
    """Of two commands at least one ends well; who does not says what is the matter."""
    codes = sorted(d.code for d in done)
    require(codes[0] == 0, "neither run ended well:\n" + "\n".join(map(str, done)))
    for one in done:
        if one.code == 0:
            continue
        require(one.code == 1 and "another run" in one.said and str(dest) in one.said or "holds a" in one.said,
                f"the refused run does not say why: {one}")
    return codes


def two(name):
    @fault(f"two.{name}")
    def inject(bench, random):
        job = begin(bench, name)
        wait = random.uniform(0, 1.2) * job.seconds
        first = bench.start(*job.words)
        time.sleep(wait)
        second = bench.start(*(job.words if random.random() < 0.5 else job.again))
        codes = settle([bench.ended(first), bench.ended(second)], bench.place)
        invariants.check_middle(bench.place, job.states(bench))
        if name in ("run", "featurize"):
            place = bench.place / "results"
            features = invariants.Dataset(place if name == "featurize" else place / "features")
            require(features.finished, "both are over, but the dataset is not finished")
            features.check_finished()
        go_on(bench, job)
        return f"second after {wait:.2f} s: exits {codes}"


for _name in ("featurize", "run", "overwrite", "reduce"):
    two(_name)


@fault("two.store", 2)
def two_on_store(bench, random):
    """On an object store nothing can be held: who comes second to the end gives way, and the data are whole."""
    expected = faults_store.undisturbed(bench, "both")
    store = faults_store.store(bench)
    bench.clear()
    store.clear()
    store.proxy.tell(latency=0.01)
    first = bench.start(*faults_store.words(bench, "both"), env=store.env)
    wait = random.choice([0, 0, random.uniform(0, 0.6)])
    time.sleep(wait)
    more = ["--resume"] if random.random() < 0.3 else []
    second = bench.start(*faults_store.words(bench, "both", *more), env=store.env)
    codes = settle([bench.ended(first), bench.ended(second)], "s3://results/out")
    invariants.check_middle(store.out, [expected])
    require(invariants.Dataset(store.out).finished, "both are over, but the dataset is not finished")
    invariants.same_dataset(store.out, expected, "after two runs at once")
    faults_store.go_on(bench, "both")
    return f"second after {wait:.2f} s{' with --resume' if more else ''}: exits {codes}"


@fault("two.purge")
def purge_beside_run(bench, random):
    """A purge of young results beside a run that writes them: nothing is touched."""
    job = begin(bench, "run")
    first = bench.start(*job.words)
    time.sleep(random.uniform(0, 1) * job.seconds)
    purge = bench.run("purge", bench.place, "--yes", "--log", bench.root / "beside.log", code=0)
    done = bench.ended(first)
    require(done.code == 0, str(done))
    invariants.check_end(bench.place, bench.kept / job.after)
    return f"purge: {purge.out.strip().splitlines()[-1] if purge.out.strip() else 'nothing'}"


