# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's PCA of a features dataset, from Parquet to the fitted model.

    sklearn_pca.py FEATURES K SOLVER

Prints one line of JSON: seconds (without imports), the share of the variance explained, versions.
"""
import json
import sys
import time

import numpy as np
import pyarrow
import pyarrow.parquet as pq
import sklearn
from sklearn.decomposition import PCA

source, k, solver = sys.argv[1], int(sys.argv[2]), sys.argv[3]
began = time.time()
column = pq.read_table(source, columns=["features"])["features"]
width = column.type.list_size
rows = np.concatenate([chunk.flatten().to_numpy().reshape(-1, width) for chunk in column.chunks])
model = PCA(k, svd_solver=solver, random_state=0).fit(rows)
print(json.dumps({"seconds": time.time() - began, "explained": float(model.explained_variance_ratio_.sum()),
                  "versions": {"scikit-learn": sklearn.__version__, "pyarrow": pyarrow.__version__, "numpy": np.__version__}}))
