# SPDX-License-Identifier: Apache-2.0
"""Columns of Arrow batches <-> matrices: what the functions on the executors have in common."""
from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

CHUNK = 1024  # rows a function turns over at a time: bounds what it holds beside Spark's own batch


def places(column: pa.Array) -> pa.Array:
    """Paths as Spark writes them -> as the engine reads them. Hadoop's file:/a b.jpg is a path, not an escaped URI;
    s3a:// is Hadoop's name for s3://."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    plain = pc.replace_substring_regex(column, r"^file:(/[^/])", r"\1")
    return pc.replace_substring_regex(plain, r"^s3[an]://", "s3://")


def matrix(column: pa.Array, name: str):
    """The rows of a column of lists that are not null, as float32 (rows, d), and which rows those are (bool array).

    No copy where the column is array<float> without nulls. Raises ValueError where lengths differ or an element is null.
    """
    import numpy as np

    valid = np.asarray(column.is_valid())
    rows = column.drop_null()
    values = rows.flatten()
    if len(rows) == 0:
        return np.empty((0, 0), np.float32), valid
    if values.null_count:
        raise ValueError(f"an element of a vector in column {name} is null")
    d = len(values) // len(rows)
    if pc.any(pc.not_equal(pc.list_value_length(rows), d)).as_py():
        raise ValueError(f"the vectors of column {name} differ in length")
    return np.asarray(values, np.float32).reshape(len(rows), d), valid


def lists(values, valid) -> pa.Array:
    """float32 (rows, d) and where they stand -> array<float>, null elsewhere."""
    import numpy as np

    n, d = values.shape
    offsets = np.zeros(len(valid) + 1, np.int32)
    np.cumsum(valid, out=offsets[1:])
    offsets *= np.int32(d)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(n * d)), mask=pa.array(~valid))


def with_columns(batch: pa.RecordBatch, more: dict[str, pa.Array], drop: str | None = None) -> pa.RecordBatch:
    """The batch, all its columns but `drop`, and more at its end."""
    kept = [i for i, name in enumerate(batch.schema.names) if name != drop]
    return pa.RecordBatch.from_arrays([batch.column(i) for i in kept] + list(more.values()),
                                      names=[batch.schema.names[i] for i in kept] + list(more))


def chunks(batches):
    """Batches of at most CHUNK rows."""
    for batch in batches:
        for start in range(0, batch.num_rows, CHUNK):
            yield batch.slice(start, CHUNK)
