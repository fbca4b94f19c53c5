# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's PCA of a folder of vectors, in a process of its own: python sklearn_pca.py KIND FOLDER K, KIND being
incremental (part by part) or covariance_eigh (all in memory). Reads, fits and transforms; prints one JSON line."""
import json
import pathlib
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import sklearn.decomposition


def read(part):
    column = pq.read_table(part, columns=["features"])["features"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def main(kind, folder, k):
    parts = sorted(pathlib.Path(folder).glob("*.parquet"))
    begin = time.monotonic()
    if kind == "incremental":
        model = sklearn.decomposition.IncrementalPCA(k)
        for part in parts:
            model.partial_fit(read(part))
        rows = sum(len(model.transform(read(part))) for part in parts)
    else:
        x = np.concatenate([read(part) for part in parts])
        model = sklearn.decomposition.PCA(k, svd_solver="covariance_eigh").fit(x)
        rows = len(model.transform(x))
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - begin,
                      "explained": float(model.explained_variance_ratio_.sum())}))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
