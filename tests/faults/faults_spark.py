# SPDX-License-Identifier: Apache-2.0
"""Spark on a standalone cluster of two workers: executors, Python workers and drivers die, tasks run twice, disks fill,
stores fail. Then the dataset, or the one that --resume makes, is the local engine's to the bit."""
import os
import re
import shutil
import signal
import sys
import threading
import time

import engine_support
import faults_store
import invariants
from bench import Unavailable, descendants, require
from faults_local import fault, tells
from places import ROOT

PATIENCE = 300  # seconds; a session of Spark takes half a minute to begin on two cores
SPECULATION = ("spark.speculation=true", "spark.speculation.interval=100ms", "spark.speculation.multiplier=1.5",
               "spark.speculation.quantile=0.3")


class Cluster:
    def __init__(self, bench):
        sys.path.append(str(ROOT / "tests" / "spark"))
        import cluster
        try:
            self.place = cluster.StandaloneCluster(cluster.SparkInstall.find("4"), bench.root / "spark",
                                                   jvm=cluster.QUICK_JVM)
        except cluster.Missing as missing:
            raise Unavailable(str(missing)) from None
        self.photos = engine_support.make_photos(bench.root / "spark-photos", 900)

    def workers(self):
        """Pids of the Python processes in which tasks run (not the daemons that make them)."""
        return [pid for pid, _ in self.place.python_workers() if parent_is_daemon(pid)]

    def wait_for_no_executors(self):
        """Executors of a job that is over go by themselves."""
        end = time.monotonic() + 60
        while self.place.executors():
            require(time.monotonic() < end, "executors outlive their job by a minute")
            time.sleep(0.1)

    def close(self):
        self.place.close()


class Job:
    """One featurize on the cluster, from disk to disk or (with a store) from the store to the store."""

    def __init__(self, bench, on_store=False):
        self.bench = bench
        self.cluster = bench.once("cluster", lambda: Cluster(bench))
        # Driver and executors reach the proxy.
        self.store = bench.once("spark store", lambda: faults_store.Store(
            bench.root / "spark-s3", self.cluster.photos, self.cluster.place.network.address)) if on_store else None
        if on_store:
            self.source, self.dest, self.results = faults_store.PHOTOS, faults_store.OUT, self.store.out
        else:
            self.source, self.dest, self.results = self.cluster.photos, bench.place / "results", bench.place / "results"
        self.env = self.cluster.place.env(POMONA_PYTHON=self.cluster.place.spark.python,
                                          **(self.store.env if self.store else {}))
        self.conf = [f"spark.executorEnv.{k}={v}" for k, v in (self.store.env if self.store else {}).items()]
        self.expected = bench.once(f"spark undisturbed {on_store}", self._undisturbed)
        self.clear()

    def clear(self):
        self.cluster.wait_for_no_executors()
        self.bench.clear()
        if self.store:
            self.store.clear()

    def _undisturbed(self):
        """What the local engine makes of the photos."""
        self.clear()
        self.bench.run(*self.words(), env=self.env, code=0)
        return shutil.copytree(self.results, self.bench.kept / f"spark {bool(self.store)}")

    def words(self, *more):
        return ["featurize", self.source, self.dest, *self.bench.small(), "--labels", "none", *more]

    def spark_words(self, *more, conf=()):
        words = ["--engine", "spark", "--master", self.cluster.place.url]
        for one in (*self.conf, *conf):
            words += ["--spark-conf", one]
        return self.words(*words, *more)

    def start(self, *more, conf=()):
        return self.bench.start(*self.spark_words(*more, conf=conf), env=self.env)

    def run(self, *more, conf=(), code=None):
        return self.bench.run(*self.spark_words(*more, conf=conf), env=self.env, code=code, patience=PATIENCE)

    def done(self, count):
        """Whether so many tasks of the running job have written their part."""
        return len(list(self.results.glob("_temporary/*/done/*"))) >= count

    def check_middle(self):
        if self.results.exists():
            invariants.check_middle(self.results, [self.expected])

    def check(self, what):
        """The undisturbed dataset and nothing beside it. (The sums of all parts in one file are the local engine's.)"""
        invariants.same_dataset(self.results, self.expected, what)
        beside = set(invariants.files(self.results)) ^ set(invariants.files(self.expected))
        require(beside <= {"_moments.bin"}, f"{what}: {beside} is beside the dataset, or missing")

    def go_on(self, random, what):
        """--resume, by Spark or by the local engine: the undisturbed dataset and nothing beside it."""
        if random.random() < 0.5:
            self.run("--resume", code=0)
        else:
            self.bench.run(*self.words("--resume"), env=self.env, code=0)
        self.check(f"resumed after {what}")


class While:
    """Does harm(stop) in a thread while the block runs; what went wrong there is raised at the end."""

    def __init__(self, harm):
        self.stop, self.failed = threading.Event(), []

        def run():
            try:
                harm(self.stop)
            except Exception as error:
                self.failed.append(error)
        self.thread = threading.Thread(target=run, daemon=True)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(30)
        if self.failed:
            raise self.failed[0]


def send(pid, number):
    """Whether the process was still there."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            return words.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def parent_is_daemon(pid):
    return "pyspark.daemon" in command_of(parent_of(pid))


@fault("spark.executor", slow=True)
def executor(bench, random):
    """An executor is killed: its tasks go elsewhere."""
    job = Job(bench)
    count = random.randint(0, 30)
    with job.cluster.place.killing_executor(when=lambda: job.done(count), timeout=PATIENCE) as killed:
        job.run(code=0)
    job.check("with a killed executor")
    return f"after {count} tasks: " + ("killed" if killed else "the job was over before")


@fault("spark.worker", slow=True)
def worker(bench, random):
    """Python workers are killed in the middle of their tasks: those are tried again."""
    job = Job(bench)
    counts = sorted(random.sample(range(0, 40), random.randint(1, 3)))
    killed = []

    def harm(stop):
        for count in counts:
            while not stop.is_set():
                workers = job.cluster.workers() if job.done(count) else []
                if workers and send(random.choice(workers), signal.SIGKILL):
                    killed.append(count)
                    break
                stop.wait(0.02)
    with While(harm):
        job.run(code=0)
    job.check("with killed Python workers")
    return f"after {counts} tasks: {len(killed)} killed"


@fault("spark.speculation", slow=True)
def speculation(bench, random):
    """A worker stands still, its task runs again elsewhere, then it goes on: the part is there once."""
    job = Job(bench)
    count, seconds = random.randint(1, 30), random.choice([0.5, 2, 5, 60])
    frozen, ran = [], []

    def harm(stop):
        while not stop.is_set() and not frozen:
            workers = job.cluster.workers() if job.done(count) else []
            if workers and send(workers[0], signal.SIGSTOP):
                frozen.append(workers[0])
                stop.wait(seconds)
                ran.append(send(workers[0], signal.SIGCONT))
            stop.wait(0.02)
    with While(harm):
        job.run(conf=SPECULATION, code=0)
    job.cluster.wait_for_no_executors()
    late = (job.results / "_temporary").exists()  # an attempt that wrote on when all was over; the next run clears it
    if late:
        require(invariants.Dataset(job.results).rows() == invariants.Dataset(job.expected).rows(), "other rows")
        bench.run(*job.words("--resume"), env=job.env, code=0)
    job.check("with a task that ran twice")
    return (f"after {count} tasks, {seconds} s: " + ("frozen" if frozen else "the job was over before") +
            (", went on" if any(ran) else "") + (", wrote after the end" if late else ""))


DRIVER = {"all": "", "java": "org.apache.spark.deploy.SparkSubmit", "python": "pomona.spark.launch", "command": None}


@fault("spark.driver", 2, slow=True)
def driver(bench, random):
    """The driver dies: its machine, its Java, its Python, or the command that started it."""
    job = Job(bench)
    what = random.choice(sorted(DRIVER))
    return died(job, job.start(), random, what, random.randint(0, 45))


def died(job, process, random, what, count):
    """Kills that part of a driver after so many tasks, checks, resumes, checks."""
    family = []

    def harm(stop):
        while not stop.wait(0.02):
            if not job.done(count):
                continue
            family.extend(descendants(process.pid))
            if DRIVER[what] is None:
                victims = [process.pid]
            else:
                victims = [pid for pid in family if DRIVER[what] in command_of(pid)]
            if what == "python":
                # Its helpers have its name: the one below the command is it.
                victims = [pid for pid in victims if parent_of(pid) == process.pid]
            require(victims, f"no {what} among {[command_of(pid)[:80] for pid in family]}")
            for pid in victims:
                send(pid, signal.SIGKILL)
            return
    with While(harm):
        done = job.bench.ended(process, patience=PATIENCE)
    if done.code == 0:
        require(invariants.Dataset(job.results).finished, f"exit 0 without _SUCCESS: {done}")
    require(family or done.code == 0, str(done))
    if what in ("java", "python") and done.code != 0:
        require(0 < done.code < 256, f"no exit code: {done}")
        tells(done, "java|driver|killed|gateway|py4j|network|signal", "spark|driver|java|py4j")
    # What is left of the driver ends by itself. (Processes that are only not reaped yet have no command line.)
    end = time.monotonic() + 60
    while left := [command_of(pid)[:120] for pid in family if command_of(pid)]:
        require(time.monotonic() < end, f"{what} of the driver was killed, and a minute later there is {left}")
        time.sleep(0.1)
    job.check_middle()
    patient = random.random() < 0.5
    if patient:
        job.cluster.wait_for_no_executors()
    job.go_on(random, "the driver's death")
    return f"{what} after {count} tasks: exit {done.code}" + ("" if patient else ", resumed at once")


@fault("spark.full", slow=True)
def full(bench, random):
    """The disk is full for what executors write: a while (tasks are tried again), or for good (the job ends and says so)."""
    job = Job(bench)
    state = bench.root / "spark-state"
    state.write_bytes(bytes(16))
    times = random.choice([1, 1, 2, 0])
    at = random.randint(1, 400)
    plan = {"LD_PRELOAD": bench.shim, "FAULT_UNDER": job.results, "FAULT_OPS": "w", "FAULT_AT": at, "FAULT_DO": "full",
            "FAULT_TIMES": times, "FAULT_STATE": state}
    done = job.run(conf=[f"spark.executorEnv.{k}={v}" for k, v in plan.items()], code=(0, 1))
    hit = int.from_bytes(state.read_bytes()[8:16], "little")
    job.check_middle()
    if times:
        require(done.code == 0, f"{hit} operations failed once, and the job did not go on: {done}")
    elif hit:
        require(done.code == 1, f"a full disk, and exit 0: {done}")
        tells(done, "no space left", re.escape(str(job.results)))
    if done.code == 0:
        job.check("with a full disk for a while")
    else:
        job.go_on(random, "a full disk")
    return f"{hit} operations from {at} on, exit {done.code}"


@fault("spark.store.passing", 2, slow=True)
def store_passing(bench, random):
    """Requests of driver and executors fail now and then: they are waited out, or the task is tried again."""
    job = Job(bench, on_store=True)
    kind = random.choice(["500", "slowdown", "reset", "truncated", "lost", "cut"])
    match = {"truncated": faults_store.READS, "lost": faults_store.WRITES["all"], "cut": faults_store.WRITES["all"]}.get(
        kind, r"^(GET|PUT|DELETE|POST|HEAD) ")
    one = dict(faults_store.KINDS[kind], match=match, every=random.randint(2, 9), times=1)
    job.store.proxy.tell(faults=[one])
    job.run(code=0)
    broken = job.store.proxy.tell(faults=[])["broken"]
    require(broken > 0, "no request was broken")
    job.check("with a store that fails now and then")
    return f"{kind}: {broken} requests, every {one['every']}th of its kind"


@fault("spark.store.lasting", 2, slow=True)
def store_lasting(bench, random):
    """Requests of one kind fail for good: the job ends with a reason, no _SUCCESS; then it goes on."""
    job = Job(bench, on_store=True)
    kind, where = random.choice([("403", "parts"), ("500", "parts"), ("lost", "parts"), ("cut", "parts"), ("500", "records"),
                                 ("403", "success"), ("lost", "success"), ("403", "removals")])
    one = dict(faults_store.KINDS[kind], match=faults_store.WRITES[where])
    if where == "parts" and random.random() < 0.5:
        one["match"] = r"^PUT .*/part-0000[5-9]"
    job.store.proxy.tell(faults=[one])
    done = job.run(code=(0, 1))
    broken = job.store.proxy.tell(faults=[])["broken"]
    require(broken > 0, "no request was broken")
    job.check_middle()
    if done.code == 0:
        require(invariants.Dataset(job.results).finished, f"exit 0 without _SUCCESS: {done}")
    else:
        tells(done, faults_store.SAID[kind], "s3://")
    job.go_on(random, "a store that failed")
    return f"{kind} for {where}: {broken} requests, exit {done.code}"


@fault("spark.store.driver", slow=True)
def store_driver(bench, random):
    """The driver dies while results go to a store."""
    job = Job(bench, on_store=True)
    return died(job, job.start(), random, random.choice(["all", "java"]), random.randint(0, 45))
