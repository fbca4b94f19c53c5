# SPDX-License-Identifier: Apache-2.0
"""Datasets on storage -> Arrow tables."""

from __future__ import annotations

import json
import os
from typing import Any

from . import _core


class Dataset:
    """A finished dataset of the command, or any folder of Parquet files with a vector column; made by
    read_dataset(). Tables of other libraries take it as it is, row group by row group::

        pyarrow.table(dataset)    pyarrow.RecordBatchReader.from_stream(dataset)    polars.from_arrow(...)

    Columns: path, label and split where there are, width and height (pixels), content_hash, and ``vector_column``
    as fixed_size_list<float>[dimension].
    """

    def __init__(self, uri: str | os.PathLike[str], vectors: bool = True) -> None:
        self.uri = os.fspath(uri)
        self._vectors = vectors
        self._engine = _core.Dataset.open(self.uri)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._engine.stream(self._vectors).__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return self._engine.rows

    @property
    def dimension(self) -> int:
        """Numbers per vector."""
        return self._engine.dimension

    @property
    def vector_column(self) -> str:
        """"features" or "components"."""
        return self._engine.vector_column

    @property
    def run(self) -> dict[str, Any]:
        """The record of the run that made it (_run.json); empty where there is none."""
        return json.loads(self._engine.run) or {}

    @property
    def rejects(self) -> list[dict[str, Any]]:
        """Photos that did not become rows: path, stage, reason, bytes."""
        return self._engine.rejects

    def __repr__(self) -> str:
        return f"<pomona.Dataset {self.uri!r}: {len(self)} rows, {self.vector_column}[{self.dimension}]>"


def read_dataset(uri: str | os.PathLike[str], vectors: bool = True) -> Dataset:
    """Opens a dataset, local or in a store. ``vectors=False`` leaves the vector column out.

    Raises:
        pomona.Error: nothing there or not finished (code "not-found"), damaged ("format").
    """
    return Dataset(uri, vectors)
