# SPDX-License-Identifier: Apache-2.0
"""Exact PCA as an Estimator of Spark ML: mergeable moments, one pass, d x d numbers on the driver."""
from __future__ import annotations

import json

import pyarrow as pa
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import (DefaultParamsReadable, DefaultParamsReader, DefaultParamsWritable, DefaultParamsWriter,
                             MLReadable, MLReader, MLWritable, MLWriter)
from pyspark.sql import types as T

from . import columns, stages

FAN_IN = 8  # moments joined by one task
ROWS = 1024  # rows added to the moments at a time: fixed, so that Spark's batch size changes no bit
# Partitions beyond the larger of these are joined before they make moments, which are d^2 / 2 doubles each. A cluster that
# grows on demand may have few cores yet.
TASKS_PER_CORE = 4
LEAST_PARTITIONS = 256


class _PcaParams(stages.HasInputOutput, stages.HasVectors):
    k = Param(Params._dummy(), "k", "how many components", TypeConverters.toInt)
    variance = Param(Params._dummy(), "variance", "as many components as hold this share of the variance, 0 to 1",
                     TypeConverters.toFloat)
    center = Param(Params._dummy(), "center", "subtract the mean; False projects as Spark ML's own PCA does",
                   TypeConverters.toBoolean)

    def getK(self):
        return self.getOrDefault(self.k)

    def getVariance(self):
        return self.getOrDefault(self.variance)

    def getCenter(self):
        return self.getOrDefault(self.center)


class PCA(Estimator, _PcaParams, DefaultParamsReadable, DefaultParamsWritable):
    """Exact principal components of a column of vectors (array<float>, array<double> or Spark ML vectors).

    Every partition makes its moments (n, sum, X^T X in float64) in C++, a tree of tasks joins them in the order of the
    partitions, and the driver solves d x d. The number of partitions changes the components by what float64's rounding
    allows; the same partitions give the same bits. Null rows are left out.

    Params:
        inputCol, outputCol: vectors, and the column of components to add.
        k, variance: how many components, or which share of the variance they hold; one of the two.
        center: subtract the mean (default). Spark ML's own PCA never does.
        vectors: outputCol holds Spark ML vectors and not array<float>.
    """

    @keyword_only
    def __init__(self, *, k=None, variance=None, inputCol="features", outputCol="components", center=True, vectors=False):
        super().__init__()
        given = {name: value for name, value in self._input_kwargs.items() if value is not None}
        self._setDefault(inputCol="features", outputCol="components", center=True, vectors=False)
        self._set(**given)

    @keyword_only
    def setParams(self, **_):
        """Sets any params by name."""
        return self._set(**self._input_kwargs)

    def setK(self, value):
        return self._set(k=value)

    def setVariance(self, value):
        return self._set(variance=value)

    def setCenter(self, value):
        return self._set(center=value)

    def _fit(self, dataset):
        import pomona

        if self.isSet("k") == self.isSet("variance"):
            raise ValueError("PCA: give either k or variance")
        wanted = self.getK() if self.isSet("k") else self.getVariance()
        fitted = pomona.PCA(wanted, center=self.getCenter()).fit_moments(moments(dataset, self.getInputCol()))
        fitted._engine.record = json.dumps({"source": f"pomona.spark.PCA of column {self.getInputCol()}"})
        return self._copyValues(PCAModel(fitted))


class PCAModel(Model, _PcaParams, MLReadable, MLWritable):
    """Components of vectors; made by PCA.fit(), fromFile() or load().

    Attributes:
        pca: the fitted pomona.PCA (components_, mean_, explained_variance_ratio_, spectrum_, ...).
    """

    def __init__(self, pca=None):
        super().__init__()
        self._setDefault(inputCol="features", outputCol="components", center=True, vectors=False)
        self.pca = pca
        if pca is not None:
            self._set(k=pca.n_components_, center=pca.center)

    @classmethod
    def fromFile(cls, path, inputCol="features", outputCol="components"):
        """From the command's PCA file (`pca.bin`), a path or URI."""
        import pomona

        return cls(pomona.PCA.load(path)).setInputCol(inputCol).setOutputCol(outputCol)

    def saveFile(self, path):
        """Writes the command's PCA file: `pomona reduce --pca` takes it."""
        self.pca.save(path)

    def toSparkML(self):
        """Spark ML's own PCAModel with these components, in and out as vectors.

        Spark ML subtracts no mean: its components are ours + mean @ components^T, the same for every row; equal where
        center is False.
        """
        from pyspark import SparkContext
        from pyspark.ml.common import _py2java
        from pyspark.ml.feature import PCAModel as SparkPCAModel
        from pyspark.ml.linalg import DenseMatrix, DenseVector

        context = SparkContext._active_spark_context
        pca = self.pca
        loadings = DenseMatrix(pca.n_features_in_, pca.n_components_, pca.components_.astype(float).ravel())
        shares = DenseVector(pca.explained_variance_ratio_)
        made = context._jvm.org.apache.spark.ml.feature.PCAModel(
            self.uid, _py2java(context, loadings), _py2java(context, shares))
        model = SparkPCAModel(made)
        return model._set(inputCol=self.getInputCol(), outputCol=self.getOutputCol(), k=pca.n_components_)

    def _transform(self, dataset):
        source, output = self.getInputCol(), self.getOutputCol()
        stages.field(dataset, source, "PCAModel")
        stages.check_new(dataset, [output], "PCAModel")
        function = Reduce(self.pca.serialize(), source, output)
        added = [T.StructField(output, T.ArrayType(T.FloatType()))]
        result = stages.map_lists(dataset, function, added)
        return stages.to_vectors(result, output) if self.getVectors() else result

    def copy(self, extra=None):
        made = super().copy(extra)
        made.pca = self.pca
        return made

    def write(self):
        return _PcaWriter(self)

    @classmethod
    def read(cls):
        return _PcaReader(cls)


class _PcaWriter(MLWriter):
    """metadata/ as Spark ML writes it, and data/: Parquet of one row with the bytes of the command's PCA file."""

    def __init__(self, instance):
        super().__init__()
        self.instance = instance

    def saveImpl(self, path):
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc)
        stages.write_bytes(self.sparkSession, path, self.instance.pca.serialize())


class _PcaReader(MLReader):
    def __init__(self, cls):
        super().__init__()
        self.cls = cls

    def load(self, path):
        import pomona

        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        model = self.cls(pomona.PCA.deserialize(stages.read_bytes(self.sparkSession, path)))
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model


def moments(dataset, column):
    """The moments of a column of vectors, as pomona.Moments: computed and joined on the executors."""
    import pomona

    stages.field(dataset, column, "PCA")
    vectors = dataset.select(stages.as_lists(dataset, column).alias("x")).where("x IS NOT NULL")
    # Not more partitions than are useful; fewer stay as they are.
    cores = dataset.sparkSession.sparkContext.defaultParallelism
    vectors = vectors.coalesce(max(TASKS_PER_CORE * cores, LEAST_PARTITIONS))
    parts = vectors.mapInArrow(PartitionMoments(column), "part int, moments binary").rdd.map(tuple)
    count = parts.getNumPartitions()
    while count > 1:
        groups = -(-count // FAN_IN)
        parts = parts.map(lambda part: (part[0] // FAN_IN, part)).partitionBy(groups, _same).mapPartitions(_joined)
        count = groups
    found = [bytes(data) for _, data in parts.collect()]
    if not found:
        raise ValueError(f"PCA: column {column!r} holds no vector")
    return pomona.Moments.deserialize(found[0])


def _same(key):
    return key


def _joined(keyed):
    """One group's moments, joined in the order of their partitions."""
    import pomona

    members = sorted((member for _, member in keyed), key=lambda member: member[0])
    total = None
    for _, data in members:
        one = pomona.Moments.deserialize(bytes(data))
        total = one if total is None else total.merge(one)
    if total is not None:
        yield members[0][0] // FAN_IN, total.serialize()


class PartitionMoments:
    """A partition's rows -> one row: its number and its moments; none where it has no rows."""

    def __init__(self, column):
        self.column = column

    def __call__(self, batches):
        import numpy as np
        import pomona
        from pyspark import TaskContext

        threads = stages.task_threads(0)
        total, waiting, count = None, [], 0

        def add(rows):
            nonlocal total
            if total is None:
                total = pomona.Moments(rows.shape[1])
            if rows.shape[1] != total.d:
                raise ValueError(f"the vectors of column {self.column} differ in length: {total.d} and {rows.shape[1]}")
            total.add(rows, threads)

        for batch in batches:
            rows, _ = columns.matrix(batch.column(0), self.column)
            if not len(rows):
                continue
            if waiting and rows.shape[1] != waiting[0].shape[1]:
                raise ValueError(f"the vectors of column {self.column} differ in length: {waiting[0].shape[1]} and "
                                 f"{rows.shape[1]}")
            waiting.append(rows)
            count += len(rows)
            if count >= ROWS:
                whole = np.concatenate(waiting)
                last = count - count % ROWS
                for start in range(0, last, ROWS):
                    add(whole[start:start + ROWS])
                waiting, count = [whole[last:].copy()] if last < count else [], count - last
        if count:
            add(np.concatenate(waiting))
        if total is not None:
            yield pa.RecordBatch.from_arrays(
                [pa.array([TaskContext.get().partitionId()], pa.int32()), pa.array([total.serialize()], pa.binary())],
                names=["part", "moments"])


class Reduce:
    """The function on the executors that turns vectors into components."""

    def __init__(self, pca, source, output):
        self.pca, self.source, self.output = pca, source, output

    def __call__(self, batches):
        import numpy as np
        import pomona

        pca = stages.engine(("pca", self.pca), lambda: pomona.PCA.deserialize(self.pca))
        pca.n_jobs = stages.task_threads(0)
        for batch in columns.chunks(batches):
            rows, valid = columns.matrix(batch.column(self.source), self.source)
            y = pca.transform(rows) if len(rows) else np.empty((0, pca.n_components_), np.float32)
            yield columns.with_columns(batch, {self.output: columns.lists(y, valid)}, self.drop)
