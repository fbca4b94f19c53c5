# SPDX-License-Identifier: Apache-2.0
"""Pomona inside Apache Spark: the engine behind `pomona run --engine spark`, and stages for Spark ML."""
import importlib

# Loaded when asked for: the engine's executors do without Spark ML, and PySpark may be missing.
_STAGES = {"ImageFeaturizer": "featurizer", "ModelTransformer": "model", "PCA": "pca", "PCAModel": "pca"}

__all__ = sorted(_STAGES)


def __getattr__(name):
    if name in _STAGES:
        return getattr(importlib.import_module(f".{_STAGES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
