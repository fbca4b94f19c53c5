# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: where things are, BENCH lines, running a command, photos, vectors on disk."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("POMONA_BUILD", ROOT / "build"))
POMONA = os.environ.get("POMONA_BIN", str(BUILD / "bin" / "pomona"))
SHARED = pathlib.Path(os.environ.get("POMONA_SHARED", ROOT.parent / "shared" / "data"))
SPARK = ROOT / ".venv-spark4" / "bin" / "python"
KERAS = ROOT / ".venv-keras"
SPARK_JOBS = pathlib.Path(__file__).resolve().parent / "spark_jobs"


def say(name, value, unit="", note="", bound=""):
    """A figure; `bound`: "> " or "< " before one that is a bound only."""
    print(f"BENCH {name} {bound}{value:.3g} {unit}".rstrip() + (f"  # {note}" if note else ""), flush=True)


def run(words, env=None, code=0, timeout=1500):
    """Runs a command; ends this program with what it printed when it ends with another code (None: any will do)."""
    done = subprocess.run([str(word) for word in words], env=env, capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)
    if code is not None and done.returncode != code:
        sys.exit(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr[-4000:]}")
    return done


def spark_env(**more):
    """The environment of a command that starts Spark: its Python is .venv-spark4."""
    return {**os.environ, "POMONA_PYTHON": str(SPARK), "PYSPARK_PYTHON": str(SPARK),
            **{key: str(value) for key, value in more.items()}}


def keras_site():
    """Where .venv-keras keeps Keras and TensorFlow, for Spark's workers."""
    return next(KERAS.glob("lib/python3*/site-packages"))


def record(dest):
    """What a finished dataset says of its run."""
    return json.loads((pathlib.Path(dest) / "_run.json").read_text())


def unpack_photos(folder):
    """fruits360-subset, Training and Test, unpacked into `folder`; False where this machine does not have it."""
    archives = [SHARED / "fruits360-subset" / f"{part}.tar" for part in ("Training", "Test")]
    if not all(archive.exists() for archive in archives):
        return False
    for archive in archives:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return True


def vectors_of(folder, rows, d):
    """Correlated random vectors as a features dataset."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if (folder / "_SUCCESS").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    mix = rng.standard_normal((64, d)).astype(np.float32)
    for part, first in enumerate(range(0, rows, 8192)):
        count = min(8192, rows - first)
        x = rng.standard_normal((count, 64)).astype(np.float32) @ mix + rng.standard_normal((count, d), np.float32)
        table = pa.table({"path": [f"/{first + i}.jpg" for i in range(count)],
                          "features": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), d)})
        pq.write_table(table, folder / f"part-{part:05}-{'0' * 16}.snappy.parquet", row_group_size=512)
    (folder / "_SUCCESS").touch()
    return folder
