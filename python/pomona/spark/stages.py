# SPDX-License-Identifier: Apache-2.0
"""What the stages for Spark ML have in common: params, checks of columns, engines kept by Python workers."""
from __future__ import annotations

import warnings

from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.sql import functions as F
from pyspark.sql import types as T

KEPT_ENGINES = 2  # networks open at a time in one Python worker

_engines: dict[object, object] = {}


def engine(key, opened):
    """What opened() makes, kept for the next task of this worker process that asks for the same."""
    if key not in _engines:
        while len(_engines) >= KEPT_ENGINES:
            del _engines[next(iter(_engines))]
        _engines[key] = opened()
    return _engines[key]


def task_threads(threads: int) -> int:
    """Threads for a task: what was asked for, else the CPUs Spark gave it (spark.task.cpus)."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return threads or (context.cpus() if context else 0)


def one_of(*words):
    """A type converter that takes these words only."""

    def convert(value):
        if value not in words:
            raise TypeError(f"{value!r} is none of {', '.join(words)}")
        return value

    return convert


class HasErrors(Params):
    """onError and errorCol."""

    onError = Param(Params._dummy(), "onError", "'null': the row of a photo that cannot be read gets null and errorCol "
                    "says why; 'raise': the job ends and names the photo", one_of("null", "raise"))
    errorCol = Param(Params._dummy(), "errorCol", "column that says why a row is null; '' for none",
                     TypeConverters.toString)

    def getOnError(self):
        return self.getOrDefault(self.onError)

    def getErrorCol(self):
        return self.getOrDefault(self.errorCol)

    def setOnError(self, value):
        return self._set(onError=value)

    def setErrorCol(self, value):
        return self._set(errorCol=value)


class HasInputOutput(HasInputCol, HasOutputCol):
    """inputCol and outputCol with their setters."""

    def setInputCol(self, value):
        return self._set(inputCol=value)

    def setOutputCol(self, value):
        return self._set(outputCol=value)


class HasVectors(Params):
    """vectors."""

    vectors = Param(Params._dummy(), "vectors", "outputCol holds Spark ML vectors (doubles) and not array<float>",
                    TypeConverters.toBoolean)

    def getVectors(self):
        return self.getOrDefault(self.vectors)

    def setVectors(self, value):
        return self._set(vectors=value)


class HasEngine(Params):
    """precision, batch and threads."""

    precision = Param(Params._dummy(), "precision", "'auto', 'f32', 'bf16' or 'int8': see Featurizer",
                      one_of("auto", "f32", "bf16", "int8"))
    batch = Param(Params._dummy(), "batch", "photos per inference, 0 = by the input size; changes no result", TypeConverters.toInt)
    threads = Param(Params._dummy(), "threads", "threads per task; 0 = spark.task.cpus", TypeConverters.toInt)

    def getPrecision(self):
        return self.getOrDefault(self.precision)

    def getBatch(self):
        return self.getOrDefault(self.batch)

    def getThreads(self):
        return self.getOrDefault(self.threads)

    def setPrecision(self, value):
        return self._set(precision=value)

    def setBatch(self, value):
        return self._set(batch=value)

    def setThreads(self, value):
        return self._set(threads=value)


def field(dataset, name, of):
    """The field of a column; ValueError where it is not there."""
    for found in dataset.schema.fields:
        if found.name == name:
            return found
    raise ValueError(f"{of}: there is no column {name!r}; there are {', '.join(dataset.columns)}")


def column(name):
    """The column of that very name: a dot in it is no path."""
    return F.col("`" + name.replace("`", "``") + "`")


def check_new(dataset, names, of):
    """ValueError where a column that is to be added is there already."""
    for name in names:
        if name in dataset.columns:
            raise ValueError(f"{of}: column {name!r} is there already; name another with outputCol or errorCol")


def is_list_of_numbers(kind) -> bool:
    return isinstance(kind, T.ArrayType) and isinstance(kind.elementType, (T.FloatType, T.DoubleType))


def is_photo(kind) -> bool:
    """Encoded photos, places of photos, or Spark's image struct."""
    return isinstance(kind, (T.BinaryType, T.StringType)) or (
        isinstance(kind, T.StructType) and {"height", "width", "nChannels", "data"} <= set(kind.names))


def as_lists(dataset, name):
    """The column as array<float>, whether it holds lists or Spark ML vectors."""
    if isinstance(dataset.schema[name].dataType, VectorUDT):
        return F.when(column(name).isNotNull(), vector_to_array(column(name), "float32"))
    return column(name).cast("array<float>")


def map_rows(dataset, function, added, drop=None):
    """dataset.mapInArrow(function) that adds columns and leaves out `drop`. Sparse and dense vectors pass as what they
    are; Arrow has no type for those of other user-defined types."""
    function.drop = drop
    vectors = [f.name for f in dataset.schema.fields if isinstance(f.dataType, VectorUDT) and f.name != drop]
    odd = [f.name for f in dataset.schema.fields
           if isinstance(f.dataType, T.UserDefinedType) and f.name not in vectors and f.name != drop]
    if odd:
        raise ValueError(f"column {odd[0]!r} is of a user-defined type, which Arrow cannot carry: drop it first, or "
                         "apply this stage before the one that makes it")
    order = [name for name in dataset.columns if name != drop]
    for name in vectors:
        dataset = dataset.withColumn(name, F.udf(_vector_fields, VECTOR_FIELDS)(column(name)))
    schema = T.StructType([f for f in dataset.schema.fields if f.name != drop] + added)
    mapped = dataset.mapInArrow(function, schema)
    for name in vectors:
        mapped = mapped.withColumn(name, F.udf(_vector_of, VectorUDT())(column(name)))
    return mapped.select([column(name) for name in order + [f.name for f in added]])


def map_lists(dataset, function, added):
    """map_rows() of a function whose column `source` is to hold lists: Spark ML vectors are turned into lists for it."""
    if is_list_of_numbers(dataset.schema[function.source].dataType):
        return map_rows(dataset, function, added)
    lists = as_lists(dataset, function.source)
    function.source = f"{added[0].name} of"
    return map_rows(dataset.withColumn(function.source, lists), function, added, function.source)


VECTOR_FIELDS = VectorUDT.sqlType()


def _vector_fields(vector):
    return None if vector is None else VectorUDT().serialize(vector)


def _vector_of(fields):
    return None if fields is None else VectorUDT().deserialize(fields)


def to_vectors(dataset, name):
    """The column as Spark ML vectors; null stays null."""
    vector = F.when(column(name).isNotNull(), array_to_vector(column(name).cast("array<double>")))
    return dataset.withColumn(name, vector)


def warn_of_large_batches(dataset, kind):
    """Rows of photos are large: Spark's default of 10,000 rows per Arrow batch can be gigabytes."""
    if isinstance(kind, T.StringType):
        return
    conf = dataset.sparkSession.conf
    try:
        conf.get("spark.sql.execution.arrow.maxBytesPerBatch")
        return  # a Spark that bounds batches by bytes, below 2 GB
    except Exception:  # SQL_CONF_NOT_FOUND, of a class that differs by version
        pass
    if int(conf.get("spark.sql.execution.arrow.maxRecordsPerBatch")) > 1000:
        warnings.warn("photos travel in Arrow batches of up to spark.sql.execution.arrow.maxRecordsPerBatch = 10000 rows: "
                      "spark.conf.set('spark.sql.execution.arrow.maxRecordsPerBatch', 64) keeps memory small", stacklevel=5)


def write_bytes(spark, path, data):
    """PATH/data as Parquet with one row of one binary column: any file system of Spark's takes it."""
    spark.createDataFrame([(bytearray(data),)], "data binary").coalesce(1).write.parquet(path.rstrip("/") + "/data")


def read_bytes(spark, path):
    """What write_bytes() wrote."""
    return bytes(spark.read.parquet(path.rstrip("/") + "/data").first()[0])
