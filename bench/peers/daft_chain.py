# SPDX-License-Identifier: Apache-2.0
"""The chain on Daft, as its documents advise: Daft lists, reads, decodes and resizes in Rust on all cores; a class that
opens the network once takes batches of pixels; scikit-learn and pyarrow reduce and write what was collected.

    daft_chain.py PHOTOS DEST --model M
"""
import daft
import engine
import numpy as np
from daft import DataType, col
from daft.functions import decode_image, download, resize

ROWS = 256  # photos per call of the network


def main():
    options = engine.arguments(__doc__)
    size, d = options.size, engine.dimension(options.model)

    @daft.cls(use_process=False)
    class Network:
        def __init__(self, model, mode, precision):
            self.requests = engine.Requests(engine.compiled(model, mode, size, precision))

        @daft.method.batch(return_dtype=DataType.embedding(DataType.float32(), d), batch_size=ROWS)
        def features(self, pixels: daft.Series):
            # A column of RGB images of one size is one list of bytes per photo: no copy from Arrow to numpy.
            flat = pixels.to_arrow()
            flat = getattr(flat, "storage", flat)
            rows = flat.flatten().to_numpy(zero_copy_only=True).reshape(len(flat), size, size, 3)
            return self.requests.features(rows)

    network = Network(options.model, options.mode, options.precision)
    photos = daft.from_glob_path(f"{options.photos}/**/*.jpg")
    pixels = resize(decode_image(download(col("path")), mode="RGB"), size, size)
    pixels = pixels.cast(DataType.image("RGB", size, size))
    found = photos.select(col("path"), network.features(pixels).alias("features")).to_arrow()
    rows = found["features"].combine_chunks()
    rows = getattr(rows, "storage", rows)
    features = rows.flatten().to_numpy(zero_copy_only=False).reshape(len(found), d)
    engine.write(options.dest, found["path"].to_pylist(), engine.reduced(np.asarray(features), options.k))
    engine.finish("daft")


main()
