# SPDX-License-Identifier: Apache-2.0
"""An object store that refuses, resets, stalls, cuts and forgets, for reads, listings and writes; then it is sound again."""
import shutil
import threading
import time

import engine_support
import invariants
import storage_server
import store_proxy
from bench import Unavailable, require
from faults_local import FAULTS, fault, tells

KINDS = {
    "500": {"kind": "status", "status": 500, "code": "InternalError"},
    "slowdown": {"kind": "status", "status": 503, "code": "SlowDown"},
    "reset": {"kind": "reset"},
    "truncated": {"kind": "truncate"},
    "stall": {"kind": "stall", "seconds": 60},
    "403": {"kind": "status", "status": 403, "code": "AccessDenied"},
    "lost": {"kind": "lost"},
    "cut": {"kind": "cut"},
}
# What a request is: regular expressions on "METHOD target".
READS = r"^GET .*\.jpg"
LISTS = r"^GET .*list-type"
WRITES = {
    "parts": r"^PUT .*/part-",
    "records": r"^PUT .*(part-\d+\.json|run\.json|_run\.json|_moments)",
    "success": r"^PUT .*_SUCCESS",
    "removals": r"^(DELETE|POST) .*",
    "looks": r"^HEAD ",
    "all": r"^(PUT|DELETE|POST|HEAD) ",
}
SAID = {"403": "permission|denied|refused", "500": "internal|500|error", "slowdown": "slow|503|trying again|rate",
        "reset": "reach|connection|network|answer", "truncated": "connection|short|cut|end|curl|network|reach|part of",
        "stall": "time|reach|answer|network", "lost": "connection|reach|network|answer", "cut": "connection|reach|network|answer"}
PHOTOS = "s3://photos/in"
OUT = "s3://results/out"


class Store:
    """versitygw over the new folder `data` with `photos`, and a proxy before it that listens at `host`. `out`: the folder
    in which s3://results/out lies."""

    def __init__(self, data, photos, host="127.0.0.1"):
        if storage_server.find_versitygw() is None:
            raise Unavailable("versitygw is missing: setup/versitygw.sh builds it where there is Go")
        self.data = data
        shutil.copytree(photos, self.data / "photos" / "in")
        (self.data / "results").mkdir()
        self.out = self.data / "results" / "out"
        self._server = storage_server.s3_server(self.data)
        self.env = {k: v for k, v in self._server.__enter__().items() if k.startswith("AWS_")}
        self._proxy = store_proxy.proxy_before(self.env["AWS_ENDPOINT_URL"], host)
        self.proxy = self._proxy.__enter__()
        # Waiting between attempts doubles: three are enough to show it.
        self.env.update(AWS_ENDPOINT_URL=self.proxy.url, AWS_MAX_ATTEMPTS="3")

    def close(self):
        self._proxy.__exit__(None, None, None)
        self._server.__exit__(None, None, None)

    def clear(self):
        self.proxy.tell(faults=[], latency=0, reset=True)
        shutil.rmtree(self.data / "results")
        (self.data / "results").mkdir()


def store(bench):
    return bench.once("store", lambda: Store(bench.root / "s3", bench.photos()))


def words(bench, way, *more, timeout=60):
    """The command, by where it reads and writes: in = s3 to disk, out = disk to s3, both, run = both, whole chain.
    `timeout`: of one request, in seconds; so long that a busy machine is no fault."""
    source = bench.photos() if way == "out" else f"{PHOTOS}?request_timeout={timeout}"
    dest = bench.place / "results" if way == "in" else f"{OUT}?request_timeout={timeout}"
    if way == "run":
        return ["run", source, dest, *bench.small(), "-k", "4", "--no-report", *more]
    return ["featurize", source, dest, *bench.small(), *more]


def result(bench, way):
    return bench.place / "results" if way == "in" else store(bench).out


def undisturbed(bench, way):
    """The results without faults, kept; and where they lie in a run."""
    def make():
        bench.clear()
        store(bench).clear()
        bench.run(*words(bench, way), env=store(bench).env, code=0)
        target = bench.kept / f"store {way}"
        shutil.copytree(result(bench, way), target)
        return target
    return bench.once(f"store {way}", make)


def go_on(bench, way):
    store(bench).proxy.tell(faults=[], latency=0)
    bench.run(*words(bench, way, "--resume"), env=store(bench).env, code=0)
    invariants.check_end(result(bench, way), undisturbed(bench, way))


def disturbed(bench, way, faults, lasting):
    """One run with the proxy's faults, then the resume without them."""
    expected = undisturbed(bench, way)
    bench.clear()
    store(bench).clear()
    store(bench).proxy.tell(faults=faults)
    timeout = 8 if any(f["kind"] == "stall" for f in faults) else 60
    done = bench.run(*words(bench, way, timeout=timeout), env=store(bench).env, code=(0, 1, 3) if lasting else 0)
    broken = store(bench).proxy.tell()["broken"]
    place = result(bench, way)
    if place.exists():
        if done.code == 3:  # photos that may not be read are rejects
            found = invariants.Dataset(place)
            found.check_finished()
        else:
            invariants.check_middle(place, [expected])
    if done.code == 0 and place.exists():
        invariants.check_end(place, expected)
    return done, broken


def passing(kind, what, match):
    @fault(f"s3.{kind}.{what}.passing")
    def inject(bench, random):
        """It passes: some requests fail once or twice, the run ends right without anybody's help."""
        way = {"reads": random.choice(["in", "both"]), "lists": "in"}.get(what, random.choice(["out", "both", "run"]))
        every = 1 if what == "lists" else random.randint(1, 6)
        one = dict(KINDS[kind], match=match, every=every, times=1)
        if kind == "stall":
            one["every"] = max(every, 4)
        done, broken = disturbed(bench, way, [one], lasting=False)
        go_on(bench, way)
        return f"{way}: {broken} requests, every {one['every']}th of its kind"


def lasting(kind, what, match):
    @fault(f"s3.{kind}.{what}.lasting")
    def inject(bench, random):
        """It stays: the run fails and says why, what is published is sound; when it is over, --resume ends it."""
        way = {"reads": random.choice(["in", "both"]), "lists": "in"}.get(what, random.choice(["out", "both"]))
        one = dict(KINDS[kind], match=match, every=1 if what in ("lists", "success", "removals") else random.randint(1, 9))
        if what == "parts":
            one["match"] = r"^PUT .*/part-0000%d" % random.randint(0, 6)
            one["every"] = 1
        if what == "reads":
            one["match"] = r"^GET .*00%d\d\.jpg" % random.randint(0, 3)
            one["every"] = 1
        done, broken = disturbed(bench, way, [one], lasting=True)
        require(broken > 0, "no request was broken")
        if done.code == 1:
            tells(done, SAID[kind], "s3://" if kind != "stall" else "s3://|jpg")
        go_on(bench, way)
        return f"{way}: {broken} requests, exit {done.code}"


for _kind in ("500", "slowdown", "reset", "truncated", "stall"):
    passing(_kind, "reads", READS)
for _kind in ("500", "slowdown", "reset"):
    passing(_kind, "lists", LISTS)
for _kind in ("500", "slowdown", "reset", "lost", "cut"):
    passing(_kind, "writes", WRITES["all"])
for _kind in ("slowdown", "truncated", "403"):
    lasting(_kind, "reads", READS)
for _kind in ("403", "500"):
    lasting(_kind, "lists", LISTS)
for _kind in ("500", "403", "cut", "lost"):
    lasting(_kind, "parts", WRITES["parts"])
lasting("500", "records", WRITES["records"])
lasting("403", "success", WRITES["success"])
lasting("lost", "success", WRITES["success"])
lasting("403", "removals", WRITES["removals"])


@fault("s3.outage")
def outage(bench, random):
    """Nobody answers for some seconds, in the middle; the run waits it out, or fails and resumes."""
    expected = undisturbed(bench, "both")
    bench.clear()
    store(bench).clear()
    proxy = store(bench).proxy
    process = bench.start(*words(bench, "both"), env=store(bench).env)
    wait = random.uniform(0.1, 0.5)
    length = random.choice([0.3, 1.0, 4.0])
    proxy.tell(latency=0.02)
    time.sleep(wait)
    proxy.tell(faults=[{"kind": "reset"}])
    time.sleep(length)
    proxy.tell(faults=[])
    done = bench.ended(process)
    require(done.code in (0, 1), str(done))
    broken = proxy.tell()["broken"]
    if store(bench).out.exists():
        invariants.check_middle(store(bench).out, [expected])
    if done.code == 1:
        tells(done, "reach|connection|answer", "s3://")
    go_on(bench, "both")
    return f"{length} s after {wait:.2f} s: {broken} requests, exit {done.code}"


@fault("s3.kill")
def kill_on_store(bench, random):
    """The program is killed while it writes to the store."""
    import signal
    expected = undisturbed(bench, "run")
    bench.clear()
    store(bench).clear()
    store(bench).proxy.tell(latency=0.01)
    process = bench.start(*words(bench, "run"), env=store(bench).env)
    wait = random.uniform(0.1, 1.6)
    timer = threading.Timer(wait, process.send_signal, [signal.SIGKILL])
    timer.start()
    done = bench.ended(process)
    timer.cancel()
    require(done.code in (-9, 0), str(done))
    if store(bench).out.exists():
        invariants.check_middle(store(bench).out, [expected])
    go_on(bench, "run")
    return f"after {wait:.2f} s, exit {done.code}"


FAULTS["s3.kill"] = (FAULTS["s3.kill"][0], 3, False)


def wide(bench):
    """Words of a featurize to the store whose parts are larger than 10 MB, and go in pieces."""
    network = bench.once("wide network", lambda: engine_support.make_network(
        bench.root / "wide.onnx", d=2048, pooled=False, side=64))
    photos = bench.once("wide photos", lambda: engine_support.make_photos(bench.root / "wide", 128))
    return ["featurize", photos, "s3://results/out?request_timeout=60", "--model", network, "--preprocess", "tf",
            "--input-size", "64", "--precision", "f32", "-q", "--labels", "none", "--rows-per-file", "128"]


def _multipart(name, match, kinds):
    @fault(f"s3.multipart.{name}")
    def inject(bench, random):
        """An upload in pieces fails in the middle: nothing half-written counts, the resume makes it whole."""
        def make():
            bench.clear()
            store(bench).clear()
            bench.run(*wide(bench), env=store(bench).env, code=0)
            target = bench.kept / "store wide"
            shutil.copytree(store(bench).out, target)
            return target
        expected = bench.once("store wide", make)
        bench.clear()
        store(bench).clear()
        kind = random.choice(kinds)
        one = dict(KINDS[kind], match=match)
        if random.random() < 0.3:
            one["times"] = 1
        store(bench).proxy.tell(faults=[one])
        done = bench.run(*wide(bench), env=store(bench).env, code=(0, 1))
        broken = store(bench).proxy.tell()["broken"]
        require(broken > 0, "no request was broken")
        if store(bench).out.exists():
            invariants.check_middle(store(bench).out, [expected])
        if done.code == 1:
            tells(done, SAID[kind] + "|error", "s3://|part")
        store(bench).proxy.tell(faults=[])
        bench.run(*wide(bench), "--resume", env=store(bench).env, code=0)
        invariants.check_end(store(bench).out, expected)
        return f"{kind}{' once' if one.get('times') else ''}: {broken} requests, exit {done.code}"


_multipart("begin", r"^POST .*\?uploads", ["500", "403", "reset", "lost"])
_multipart("piece", r"^PUT .*partNumber=[23]", ["500", "403", "cut", "lost"])
_multipart("end", r"^POST .*\?uploadId=", ["500", "403", "reset", "lost"])


