# SPDX-License-Identifier: Apache-2.0
"""The chain on Ray Data, as its documents advise: read_images decodes and resizes (Pillow), actors that open the network
once take batches; scikit-learn and pyarrow reduce and write what was collected.

    ray_chain.py PHOTOS DEST --model M
"""
import os

os.environ.update(RAY_DEDUP_LOGS="0", RAY_USAGE_STATS_ENABLED="0")

import engine
import numpy as np
import ray

ROWS = 64  # photos per call of the network


class Network:
    def __init__(self, model, mode, size, precision, threads):
        self.requests = engine.Requests(engine.compiled(model, mode, size, precision, streams=threads, threads=threads))

    def __call__(self, batch):
        return {"path": batch["path"], "features": self.requests.features(np.asarray(batch["image"]))}


def main():
    options = engine.arguments(__doc__)
    ray.init(num_cpus=engine.THREADS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    photos = ray.data.read_images(str(options.photos), size=(options.size, options.size), mode="RGB", include_paths=True,
                                  file_extensions=["jpg"])
    network = (options.model, options.mode, options.size, options.precision, engine.THREADS)
    found = photos.map_batches(Network, fn_constructor_args=network, batch_size=ROWS, concurrency=1, num_cpus=1)
    batches = list(found.iter_batches(batch_size=None))
    paths = [str(path) for batch in batches for path in batch["path"]]
    features = np.concatenate([batch["features"] for batch in batches])
    engine.write(options.dest, paths, engine.reduced(features, options.k))
    engine.finish("ray", "pillow")
    ray.shutdown()


main()
