# SPDX-License-Identifier: Apache-2.0
"""`python -m pomona.spark.launch JOB.json`: what `pomona ... --engine spark` starts. JOB.json holds {"job", "master",
"partitions", "archives", "conf", "quiet", "result"}; the counts go to the file `result`."""
import importlib
import importlib.util
import json
import os
import pathlib
import re
import signal
import sys
import threading
import time


CLUSTERS_OWN = ("/usr/lib/spark", "/opt/spark")  # EMR and Dataproc; images made by Spark's own recipe


def find_pyspark():
    """True where PySpark can be imported: it is installed, or a cluster's own Spark brings it (SPARK_HOME, EMR, Dataproc)."""
    if importlib.util.find_spec("pyspark"):
        return True
    for home in filter(None, [os.environ.get("SPARK_HOME"), *CLUSTERS_OWN]):
        python = pathlib.Path(home, "python")
        # In Spark's own distribution Py4J lies zipped beside; in the wheel of PySpark it does, too.
        py4j = sorted(python.glob("lib/py4j-*-src.zip"))
        packed = python / "lib" / "pyspark.zip"
        source = python if (python / "pyspark" / "__init__.py").exists() else packed
        if py4j and source.exists():
            os.environ["SPARK_HOME"] = home
            sys.path += [str(source), str(py4j[-1])]
            importlib.invalidate_caches()
            return True
    return False


def with_archives(archives, asked):
    """`asked`, with the environment FILE#NAME that executors unpack, and its Python."""
    if not archives:
        return asked
    name = archives.partition("#")[2] or "environment"
    return {"spark.archives": f"{archives.partition('#')[0]}#{name}", "spark.pyspark.python": f"./{name}/bin/python", **asked}


def executors_python(master, asked, site):
    """The Python of the executors, in Spark's own order. PySpark outside of spark-submit asks PYSPARK_PYTHON only."""
    named = asked.get("spark.pyspark.python") or site.get("spark.pyspark.python") or os.environ.get("PYSPARK_PYTHON")
    # In local mode nothing is unpacked: the driver's own does the work.
    return sys.executable if not named or (master.startswith("local") and brought_along(named)) else named


def brought_along(python):
    """Whether it lies in an archive, which every executor unpacks into its own folder."""
    return "/" in python and not python.startswith("/")


def spark_defaults():
    """What the site's spark-defaults.conf says."""
    folder = os.environ.get("SPARK_CONF_DIR") or (os.environ.get("SPARK_HOME", "") and os.environ["SPARK_HOME"] + "/conf")
    file = pathlib.Path(folder or "/nonexistent") / "spark-defaults.conf"
    lines = file.read_text().splitlines() if file.is_file() else []
    return dict(re.split(r"[\s=]+", line.strip(), maxsplit=1) for line in lines
                if line.strip() and not line.strip().startswith("#") and re.search(r"[\s=]", line.strip()))


def settings(asked, site, python, package):
    """Configuration of the session: what the user asked for, over what the site says, over what is useful. `python`: the
    executors'."""
    ours = {"spark.ui.showConsoleProgress": "false", "spark.sql.execution.arrow.maxRecordsPerBatch": "64",
            # The driver's Java only schedules: the slow compiler makes a session later, and no faster. No word of a
            # collector: a site's spark.driver.defaultJavaOptions may choose one, and Java starts with no two.
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
    if not {"spark.eventLog.enabled", "spark.eventLog.dir"} & (set(site) | set(asked)):
        home = os.environ.get("POMONA_HOME")
        cache = pathlib.Path(home, "cache") if home else pathlib.Path(
            os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "pomona")
        events = cache / "spark-events"
        events.mkdir(parents=True, exist_ok=True)
        ours.update({"spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri()})
    # A package that runs from a build folder is on our path, but on nobody else's; an archive brings its own.
    if "site-packages" not in package and "dist-packages" not in package and not brought_along(python):
        own = asked.get("spark.executorEnv.PYTHONPATH") or site.get("spark.executorEnv.PYTHONPATH")
        asked = {**asked, "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, [package, own]))}
    return {**{key: value for key, value in ours.items() if key not in site}, **asked}


def follow(parent):
    """Ends the job when the command that asked for it is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def main(job_file):
    if not find_pyspark():
        print(f"pomona: --engine spark needs PySpark, which {sys.executable} does not have. Type:\n"
              f"        {sys.executable} -m pip install 'pyspark>=3.5' 'pandas<3' 'pyarrow==26.*'\n"
              "        or, where a cluster has its own Spark, say where: SPARK_HOME=/usr/lib/spark", file=sys.stderr)
        return 1
    from pyspark.sql import SparkSession

    import pomona

    from .engine import Engine

    with open(job_file, encoding="utf-8") as file:
        order = json.load(file)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    package = os.path.dirname(os.path.dirname(os.path.abspath(pomona.__file__)))
    master, site = order["master"], spark_defaults()
    asked = with_archives(order.get("archives"), order["conf"])
    python = os.environ["PYSPARK_PYTHON"] = executors_python(master, asked, site)
    # Local mode gives up at the first failure of a task unless told otherwise.
    if re.fullmatch(r"local(\[[^,\]]*\])?", master):
        cores = master[6:-1] if "[" in master else "1"
        master = f"local[{cores},4]"
    job = order["job"]
    place = (job.get("reduce") or job["featurize"])["dest"]
    began = time.time()

    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
    try:
        builder = SparkSession.builder.master(master).appName(f"pomona {job['kind']} {place}")
        for key, value in settings(asked, site, python, package).items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        if "spark.log.level" not in order["conf"]:
            spark.sparkContext.setLogLevel("ERROR")
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        reason = str(error).strip().splitlines()
        print(f"pomona: no Spark session on {order['master']}: {reason[0] if reason else type(error).__name__}",
              file=sys.stderr)
        return 1
    session = time.time() - began
    try:
        result = Engine(spark, job, order.get("partitions"), order["quiet"]).run()
        result["session_seconds"] = session
        with open(order["result"], "w", encoding="utf-8") as file:
            json.dump(result, file)
        return 0
    except pomona.Error as error:
        print(f"pomona: {error}", file=sys.stderr)
        return 2 if error.code == "usage" else 1
    except KeyboardInterrupt:
        spark.sparkContext.cancelAllJobs()
        print("pomona: stopped. Run again with --resume to go on.", file=sys.stderr)
        return 130
    except Exception as error:  # Spark's own: a lost cluster, a task that failed four times
        text = str(error)
        own = re.findall(r"(?:pomona\.Error|RuntimeError|MemoryError): (.+)", text)
        reason = own[-1] if own else next((line for line in text.splitlines() if line.strip()), type(error).__name__)
        print(f"pomona: {reason.strip()}\n        Finished parts are kept: mend the cause and run again with --resume.",
              file=sys.stderr)
        if os.environ.get("POMONA_SPARK_TRACE"):
            raise
        return 1
    finally:
        spark.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
