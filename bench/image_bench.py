# SPDX-License-Identifier: Apache-2.0
"""Decode + resize to 224 x 224 (bicubic) on one thread, Pomona against Pillow, side by side in turns.

    .venv/bin/python bench/image_bench.py build-bench/bin/image_bench

Photos: 500 of fruits360-subset where it is there, else generated ones of the same size.
"""

import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time

import numpy as np
from PIL import Image

SIDE = 224
PHOTOS = 500
ROUNDS = 5


def photos():
    root = pathlib.Path(__file__).resolve().parents[1]
    shared = pathlib.Path(os.environ.get("POMONA_SHARED", root.parent / "shared" / "data"))
    path = shared / "fruits360-subset" / "Test.tar"
    if path.exists():
        with tarfile.open(path) as archive:
            members = [m for m in archive.getmembers() if m.isfile()]
            return [archive.extractfile(m).read() for m in members[:: len(members) // PHOTOS][:PHOTOS]]
    rng = np.random.default_rng(0)
    made = []
    for _ in range(PHOTOS):
        small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
        out = io.BytesIO()
        small.resize((100, 100), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
        made.append(out.getvalue())
    return made


def best_per_photo(work, items):
    start = time.perf_counter()
    for item in items:
        work(item)
    return (time.perf_counter() - start) * 1e6 / len(items)


def decode(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


def main():
    tool = sys.argv[1]
    files = photos()
    ours = []
    theirs = []
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for index, data in enumerate(files):
            names.append(str(pathlib.Path(folder) / f"{index}.jpg"))
            pathlib.Path(names[-1]).write_bytes(data)
        for _ in range(ROUNDS):
            answer = subprocess.run([tool, "3", str(SIDE), *names], check=True, capture_output=True, text=True)
            ours.append([float(value) for value in answer.stdout.split()])
            images = [decode(data) for data in files]
            theirs.append(
                [
                    best_per_photo(decode, files),
                    best_per_photo(lambda image: image.resize((SIDE, SIDE), Image.Resampling.BICUBIC), images),
                    best_per_photo(lambda data: decode(data).resize((SIDE, SIDE), Image.Resampling.BICUBIC), files),
                ]
            )
    ours = np.min(ours, 0)
    theirs = np.min(theirs, 0)
    for name, value in zip(("decode", "resize", "decode_resize"), ours):
        print(f"BENCH {name} {value:.1f} us")
    for name, ratio in zip(("decode", "resize", "decode_resize"), theirs / ours):
        print(f"BENCH {name}_over_pillow {ratio:.2f} x")


if __name__ == "__main__":
    main()
