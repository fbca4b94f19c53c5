# SPDX-License-Identifier: Apache-2.0
"""Photos or feature vectors -> answers of a model file, as a stage of Spark ML."""
from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import types as T

from . import columns, shipping, stages
from .featurizer import raise_first

TOP = "top array<struct<label:string,probability:float>>"
ANSWER = f"label string, probability float, confident boolean, {TOP}"
PREDICTION = (f"{ANSWER}, unknown boolean, distance float, targets map<string,struct<label:string,probability:float,"
              "confident:boolean,top:array<struct<label:string,probability:float>>>>")


class ModelTransformer(Transformer, stages.HasInputOutput, stages.HasErrors, stages.HasEngine, MLReadable, MLWritable):
    """Answers of a model file of `pomona train` or `pomona run`; the same as `pomona predict` gives.

    Params:
        modelFile: model.onnx on the driver's machine, shipped to every executor once, or a URI they read themselves.
        inputCol: photos as ImageFeaturizer takes, or feature vectors (array<float>, array<double>, Spark ML vectors)
            that the model's own network made.
        outputCol: struct<label, probability, confident, top, unknown, distance, targets>; null where there is no answer.
            The first four are the first target's; `targets` is a map that has all of them by name.
        top: how many classes to list in `top`.
        errorCol, onError, precision, batch, threads: as in ImageFeaturizer.

    save() puts the model file inside, so that a pipeline is whole wherever it is loaded; a URI stays a URI.
    """

    modelFile = Param(Params._dummy(), "modelFile", "model.onnx: a file or a URI", TypeConverters.toString)
    top = Param(Params._dummy(), "top", "classes per target to list", TypeConverters.toInt)

    @keyword_only
    def setParams(self, *, modelFile=None, inputCol="content", outputCol="prediction", errorCol="error", onError="null", top=3,
                  precision="auto", batch=0, threads=0):
        """Sets any params by name."""
        if "modelFile" in self._input_kwargs:
            self._data = None
        return self._set(**self._input_kwargs)

    def __init__(self, modelFile=None, **params):
        super().__init__()
        self._setDefault(inputCol="content", outputCol="prediction", errorCol="error", onError="null", top=3,
                         precision="auto", batch=0, threads=0)
        self._data = None  # the file's bytes, where load() brought them
        if modelFile is not None:
            params["modelFile"] = os.fspath(modelFile)
        self.setParams(**params)

    def getModelFile(self):
        return self.getOrDefault(self.modelFile)

    def copy(self, extra=None):
        made = super().copy(extra)
        made._data = self._data
        return made

    def write(self):
        return _ModelWriter(self)

    @classmethod
    def read(cls):
        return _ModelReader(cls)

    def _bytes(self):
        """The model file; None for a URI."""
        path = self.getModelFile()
        if self._data is None and not shipping.is_remote(path):
            with open(path.removeprefix("file://"), "rb") as file:
                return file.read()
        return self._data

    def _transform(self, dataset):
        value = self.getOrDefault
        source, output, error = value("inputCol"), value("outputCol"), value("errorCol")
        kind = stages.field(dataset, source, "ModelTransformer").dataType
        if not (stages.is_photo(kind) or stages.is_list_of_numbers(kind) or isinstance(kind, VectorUDT)):
            raise ValueError(f"ModelTransformer: column {source!r} is {kind.simpleString()}; it can be photos (binary, "
                             "string or Spark's image struct) or feature vectors (array<float> or Spark ML vectors)")
        stages.check_new(dataset, [output] + [error] * bool(error), "ModelTransformer")
        data, path = self._bytes(), self.getModelFile()
        file = path if data is None else shipping.ship_bytes(dataset.sparkSession.sparkContext, os.path.basename(path), data)
        added = [T.StructField(output, T._parse_datatype_string(PREDICTION))]
        if error:
            added.append(T.StructField(error, T.StringType()))
        function = Predict(file, source, output, error, value("onError"), value("top"), value("precision"), value("batch"),
                           value("threads"))
        if stages.is_photo(kind):
            stages.warn_of_large_batches(dataset, kind)
            return stages.map_rows(dataset, function, added)
        return stages.map_lists(dataset, function, added)


class _ModelWriter(MLWriter):
    def __init__(self, instance):
        super().__init__()
        self.instance = instance

    def saveImpl(self, path):
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc)
        data = self.instance._bytes()
        if data is not None:
            stages.write_bytes(self.sparkSession, path, data)


class _ModelReader(MLReader):
    def __init__(self, cls):
        super().__init__()
        self.cls = cls

    def load(self, path):
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        model = self.cls()
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        if not shipping.is_remote(model.getModelFile()):
            model._data = stages.read_bytes(self.sparkSession, path)
        return model


class Predict:
    """The function on the executors."""

    def __init__(self, file, source, output, error, on_error, top, precision, batch, threads):
        self.file, self.source, self.output, self.error = file, source, output, error
        self.on_error, self.top, self.precision, self.batch, self.threads = on_error, top, precision, batch, threads

    def __call__(self, batches):
        model = None
        for batch in columns.chunks(batches):
            if model is None:
                model = self._engine()
            column = columns.places(batch.column(self.source))
            if pa.types.is_list(column.type):
                vectors, errors = column, None
            else:
                made = pa.record_batch(model.featurizer.featurize_arrow(column))
                vectors, errors = made.column("features"), made.column("error")
            answers, errors = self._answers(model, vectors, errors)
            if self.on_error == "raise":
                raise_first(batch, self.source, errors)
            more = {self.output: answers}
            if self.error:
                more[self.error] = errors
            yield columns.with_columns(batch, more, self.drop)

    def _engine(self):
        import pomona

        threads = stages.task_threads(self.threads)
        return stages.engine(("model", self.file, self.precision, self.batch, threads), lambda: pomona.load_model(
            shipping.local_file(self.file), precision=self.precision, threads=threads, batch=self.batch))

    def _answers(self, model, vectors, errors):
        """(struct of PREDICTION, error texts), one row per row of `vectors`."""
        import numpy as np

        rows, valid = columns.matrix(vectors, self.source)
        if errors is None:
            errors = pc.if_else(vectors.is_valid(), pa.scalar(None, pa.string()), "the vector is null")
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            where = np.flatnonzero(valid)
            valid[where[~finite]] = False
            wrong = np.zeros(len(valid), bool)
            wrong[where[~finite]] = True
            errors = pc.if_else(pa.array(wrong), "the vector holds NaN or infinity", errors)
            rows = rows[finite]
        found = model._engine.predict_features(np.require(rows, np.float32, ["C", "A"])) if len(rows) else []
        places = np.where(valid, np.cumsum(valid) - 1, -1)
        return self._table(model, found).take(pa.array(places, mask=~valid)), errors

    def _table(self, model, found):
        import numpy as np

        n, targets = len(found), model.targets
        parts = []
        for t, target in enumerate(targets):
            labels = pa.array(target.labels, pa.string())
            shares = np.array([row[3][t] for row in found], np.float32).reshape(n, len(labels))
            top = min(max(self.top, 0), len(labels))
            order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
            listed = pa.StructArray.from_arrays(
                [labels.take(pa.array(order.ravel())), pa.array(np.take_along_axis(shares, order, 1).ravel())],
                ["label", "probability"])
            parts.append([
                labels.take(pa.array([row[2][t][0] for row in found], pa.int32())),
                pa.array([row[2][t][1] for row in found], pa.float32()),
                pa.array([row[2][t][2] for row in found], pa.bool_()),
                pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * np.int32(top)), listed)])
        names = ["label", "probability", "confident", "top"]
        count = len(targets)
        # Row by row: each target's struct after the other.
        items = pa.concat_arrays([pa.StructArray.from_arrays(part, names) for part in parts]).take(
            pa.array(np.arange(n * count).reshape(count, n).T.ravel()))
        keys = pa.array([target.name for _ in range(n) for target in targets], pa.string())
        by_name = pa.MapArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * np.int32(count)), keys, items)
        return pa.StructArray.from_arrays(
            [*parts[0], pa.array([row[0] for row in found], pa.bool_()), pa.array([row[1] for row in found], pa.float32()),
             by_name], [*names, "unknown", "distance", "targets"])
