# SPDX-License-Identifier: Apache-2.0
"""The chain as a good engineer writes it by hand in Python: threads decode and resize straight into the batch that
OpenVINO reads, asynchronous requests infer, scikit-learn and pyarrow do the rest.

    handwritten.py PHOTOS DEST --model M [--decoder pillow|cv2]
"""
import concurrent.futures
import os

import engine
import numpy as np

AHEAD = 4  # batches decoded or being decoded before the network asks for them, per thread


def pillow(size):
    from PIL import Image

    def decode(path, place):
        with Image.open(path) as photo:
            place[:] = photo.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return decode


def cv2(size):
    import cv2
    cv2.setNumThreads(1)

    def decode(path, place):
        with open(path, "rb") as file:
            photo = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR_RGB)
        kind = cv2.INTER_AREA if photo.shape[0] > size else cv2.INTER_CUBIC
        cv2.resize(photo, (size, size), dst=place, interpolation=kind)
    return decode


def main():
    options = engine.arguments(__doc__, ("pillow", "cv2"))
    paths = sorted(entry for folder, _, names in os.walk(options.photos)
                   for entry in (os.path.join(folder, name) for name in names if name.endswith(".jpg")))
    decode = {"pillow": pillow, "cv2": cv2}[options.decoder](options.size)
    requests = engine.Requests(engine.compiled(options.model, options.mode, options.size, options.precision))
    rows = np.empty((len(paths), requests.d), np.float32)

    def batch(first):
        pixels = np.empty((engine.BATCH, options.size, options.size, 3), np.uint8)
        some = paths[first:first + engine.BATCH]
        for path, place in zip(some, pixels):
            decode(path, place)
        return pixels, first, len(some)

    firsts = iter(range(0, len(paths), engine.BATCH))
    with concurrent.futures.ThreadPoolExecutor(engine.THREADS) as pool:
        waiting = [pool.submit(batch, first) for _, first in zip(range(AHEAD * engine.THREADS), firsts)]
        while waiting:
            pixels, first, count = waiting.pop(0).result()
            for following in firsts:
                waiting.append(pool.submit(batch, following))
                break
            requests.add(pixels, rows, first, count)
        requests.wait()
    engine.write(options.dest, paths, engine.reduced(rows, options.k))
    engine.finish({"pillow": "pillow", "cv2": "opencv-python-headless"}[options.decoder])


main()
