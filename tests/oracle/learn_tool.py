# SPDX-License-Identifier: Apache-2.0
"""Runs one job of bin/pomona-learn-oracle of the build folder that POMONA_BUILD names (default: build)."""
import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("POMONA_BUILD", ROOT / "build")) / "bin" / "pomona-learn-oracle"
TYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32}


def run(what, arrays, **job):
    """Gives the result with every array the job wrote, flat, under its name."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for key, array in arrays.items():
            suffix = {np.dtype(t): s for s, t in TYPES.items()}[array.dtype]
            np.ascontiguousarray(array).tofile(folder / f"{key}.{suffix}")
        (folder / "job.json").write_text(json.dumps({"what": what, **job}))
        given = set(folder.iterdir())
        done = subprocess.run([TOOL, folder], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        result = json.loads((folder / "result.json").read_text())
        for file in set(folder.iterdir()) - given:
            if file.suffix[1:] in TYPES:
                result[file.stem] = np.fromfile(file, TYPES[file.suffix[1:]])
        return result
