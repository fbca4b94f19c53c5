# SPDX-License-Identifier: Apache-2.0
"""Apache Spark as the tests run it: local, or a standalone master and workers, each process and host for itself.

    spark = SparkInstall.find("4")                       # .venv-spark4; Missing says what to run
    with StandaloneCluster(spark, folder) as cluster:    # 2 workers of 1 core
        cluster.run("job.py", "argument")                # the environment's python, as a driver
        subprocess.run([pomona, "run", ..., "--engine", "spark", "--master", cluster.url], env=cluster.env())
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

from network import network
from processes import Server, running, tail, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]


# For short jobs: less work for compilers and collectors than they save. Not for a benchmark.
QUICK_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"


class Missing(Exception):
    """Something this kind of test needs is not on this machine; the message says what, and how to get it."""


def java_home():
    """A JDK or JRE 17, which both Spark 4 and 3.5 run on."""
    candidates = sorted(pathlib.Path("/usr/lib/jvm").glob("java-17-*")) if pathlib.Path("/usr/lib/jvm").is_dir() else []
    if os.environ.get("JAVA_HOME"):
        candidates.append(pathlib.Path(os.environ["JAVA_HOME"]))
    if java := shutil.which("java"):
        candidates.append(pathlib.Path(java).resolve().parents[1])
    for home in candidates:
        if (home / "bin" / "java").exists():
            return home
    raise Missing("no Java: install openjdk-17-jre-headless, or run setup/spark.sh")


class SparkInstall:
    """PySpark in an environment of its own."""

    def __init__(self, venv):
        self.python = venv / "bin" / "python"
        self.home = next(venv.glob("lib/python3*/site-packages/pyspark"))
        self.java = java_home()
        self.version = next(self.home.glob("jars/spark-core_*.jar")).stem.rpartition("-")[2]

    @staticmethod
    def find(major):
        venv = ROOT / f".venv-spark{major}"
        if not any(venv.glob("lib/python3*/site-packages/pyspark/jars/spark-core_*.jar")):
            raise Missing(f"{venv.name} is not there: run setup/spark.sh {major}")
        return SparkInstall(venv)

    def env(self, **more):
        """An environment for drivers and daemons. Cloud settings of the person who runs the tests stay outside; PYTHONPATH stays."""
        env = {name: value for name, value in os.environ.items()
               if not name.startswith(("AWS_", "SPARK_", "PYSPARK_", "HADOOP_", "YARN_"))}
        env.update(SPARK_HOME=self.home, JAVA_HOME=self.java, PYSPARK_PYTHON=self.python,
                   PYSPARK_DRIVER_PYTHON=self.python, PYTHONHASHSEED="0", SPARK_DAEMON_MEMORY="256m")
        env.update(more)
        return {name: str(value) for name, value in env.items()}


class SparkPlace:
    """Somewhere to run jobs: a master URL, an environment in which a driver finds it, and a folder for what it writes."""

    def __init__(self, spark, folder, url, address, jvm, conf):
        self.spark, self.folder, self.url, self.address = spark, pathlib.Path(folder), url, address
        self.events = self.folder / "events"
        self.conf_folder = self.folder / "conf"
        for made in (self.events, self.conf_folder, self.folder / "local"):
            made.mkdir(parents=True, exist_ok=True)
        if jvm:
            conf = {"spark.driver.extraJavaOptions": jvm, "spark.executor.extraJavaOptions": jvm, **conf}
        self.conf = {
            "spark.driver.host": address, "spark.driver.bindAddress": address, "spark.driver.memory": "1g",
            "spark.pyspark.python": spark.python, "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": self.events.as_uri(), "spark.eventLog.compress": "false",
            "spark.sql.shuffle.partitions": "4", **conf}
        lines = [f"{name} {value}" for name, value in self.conf.items()]
        (self.conf_folder / "spark-defaults.conf").write_text("\n".join(lines) + "\n")
        # Errors and warnings only: the log is shown where a test fails.
        (self.conf_folder / "log4j2.properties").write_text(
            "rootLogger.level = warn\nrootLogger.appenderRef.stderr.ref = stderr\nappender.stderr.type = Console\n"
            "appender.stderr.name = stderr\nappender.stderr.target = SYSTEM_ERR\n"
            "appender.stderr.layout.type = PatternLayout\nappender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex\n")

    def env(self, **more):
        """What a driver needs so that it finds this Spark, with the defaults above: for `pomona ... --master url`, too."""
        return self.spark.env(**{"SPARK_CONF_DIR": self.conf_folder, "SPARK_LOCAL_IP": self.address,
                                 "SPARK_LOCAL_DIRS": self.folder / "local", **more})

    def run(self, script, *words, conf=None, env=None, code=0, timeout=120):
        """spark-submit of a Python script, in client mode; what it printed and how it ended come back."""
        options = [word for name, value in (conf or {}).items() for word in ("--conf", f"{name}={value}")]
        done = subprocess.run(
            [self.spark.home / "bin" / "spark-submit", "--master", self.url, *options, script, *map(str, words)],
            env=self.env(**(env or {})), cwd=self.folder, capture_output=True, text=True, timeout=timeout,
            stdin=subprocess.DEVNULL)
        if code is not None and done.returncode != code:
            raise AssertionError(f"exit {done.returncode}, expected {code}:\n{done.stdout}\n{done.stderr[-8000:]}\n{self.logs()}")
        return done

    def logs(self):
        return ""


class LocalSpark(SparkPlace):
    """local[cores]: executors inside the driver."""

    def __init__(self, spark, folder, cores=2, jvm=""):
        super().__init__(spark, folder, f"local[{cores}]", "127.0.0.1", jvm, {})


class StandaloneCluster(SparkPlace):
    """A master and workers as separate processes, each worker a host of its own where network namespaces are allowed.

    `network.reason` says why not, where they are not. `jvm`: options of every Java process. Everything ends with close(), or with this Python.
    """

    def __init__(self, spark, folder, workers=2, cores=1, memory="1536m", executor_memory="1g", jvm="",
                 conf=None):
        self.servers, self.network, self._jvm = [], network(workers), jvm
        try:
            self._start(spark, pathlib.Path(folder), workers, cores, memory, executor_memory, jvm, conf or {})
        except BaseException:
            self.close()
            raise

    def _start(self, spark, folder, workers, cores, memory, executor_memory, jvm, conf):
        here, port, ui = self.network.address, _free_port(self.network.address), _free_port(self.network.address)
        super().__init__(spark, folder, f"spark://{here}:{port}", here, jvm, {
            "spark.executor.memory": executor_memory, "spark.executor.cores": cores,
            # A test that loses an executor does not wait as long as a data centre would.
            "spark.network.timeout": "60s", "spark.executor.heartbeatInterval": "5s", **conf})
        self.ui = f"http://{here}:{ui}"
        self._server("master", here, [], "master.Master", "--host", here, "--port", port, "--webui-port", ui)
        for i in range(workers):
            host = self.network.host(i)
            self._server(f"worker-{i}", host, self.network.inside(i), "worker.Worker", "--host", host, "--cores", cores,
                         "--memory", memory, "--work-dir", self.folder / f"worker-{i}", "--webui-port", 0, self.url)
        wait_for(lambda: self.state().get("aliveworkers") == workers, "the workers did not register", 180, self.servers)

    def _server(self, name, host, inside, main, *words):
        # Shuffle files and caches of one worker are not the other's.
        local = self.folder / f"{name}-local"
        env = self.spark.env(SPARK_LOCAL_IP=host, SPARK_PUBLIC_DNS=host, SPARK_LOCAL_DIRS=local,
                             SPARK_CONF_DIR=self.conf_folder, SPARK_DAEMON_JAVA_OPTS=self._jvm)
        self.servers.append(Server(
            name, [*inside, self.spark.home / "bin" / "spark-class", f"org.apache.spark.deploy.{main}", *words],
            self.folder / f"{name}.log", env=env, cwd=self.folder))

    @property
    def workers(self):
        return self.servers[1:]

    def state(self):
        """What the master's page says, as JSON: aliveworkers, activeapps, ...; empty as long as it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.ui}/json/", timeout=5) as page:
                return json.load(page)
        except (OSError, ValueError):  # ValueError: a page, not JSON, while the master starts
            return {}

    def executors(self):
        """(pid, worker's number) of every executor that runs."""
        return [(pid, i) for i, worker in enumerate(self.workers) for pid, _, command in worker.members()
                if "CoarseGrainedExecutorBackend" in command]

    def python_workers(self):
        """(pid, worker's number) of every Python process that works for an executor: they are sessions' or groups' own."""
        parents = {pid: parent for pid, parent, _, _ in running()}
        owner = dict(self.executors())
        found = []
        for pid, _, _, command in running():
            if "pyspark.daemon" in command or "pyspark.worker" in command:
                above = pid
                while above in parents and above not in owner:
                    above = parents[above]
                if above in owner:
                    found.append((pid, owner[above]))
        return found

    @contextlib.contextmanager
    def killing_executor(self, when=None, after=0.0, timeout=60):
        """Kills one executor, once, while the block runs: as soon as when() is true (default: an executor runs Python),
        and `after` seconds later. Yields a list that then holds (pid, worker's number); empty if it never came to it."""
        killed, stop = [], threading.Event()

        def watch():
            end = time.monotonic() + timeout
            while not stop.is_set() and time.monotonic() < end:
                if (when or self.python_workers)():
                    if stop.wait(after):
                        return
                    if executors := self.executors():
                        os.kill(executors[0][0], signal.SIGKILL)
                        killed.append(executors[0])
                        return
                stop.wait(0.05)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield killed
        finally:
            stop.set()
            thread.join(10)

    def logs(self):
        """The ends of every log: master, workers, executors."""
        parts = [server.tail() for server in self.servers]
        parts += [tail("executor", log) for log in sorted(self.folder.glob("worker-*/app-*/*/stderr"))]
        return "\n".join(parts)

    def close(self):
        for server in reversed(self.servers):
            server.stop()
        self.network.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _free_port(address):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]
