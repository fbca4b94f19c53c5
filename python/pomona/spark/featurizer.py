# SPDX-License-Identifier: Apache-2.0
"""Photos -> feature vectors, as a stage of Spark ML."""
from __future__ import annotations

import json

import pyarrow as pa
from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import types as T

from . import columns, shipping, stages


class ImageFeaturizer(Transformer, stages.HasInputOutput, stages.HasErrors, stages.HasVectors, stages.HasEngine,
                      DefaultParamsReadable, DefaultParamsWritable):
    """Feature vectors of a column of photos; each the same to the bit as `pomona featurize` makes it.

    Decoding, resizing and inference run in C++ inside the executors' Python workers, one engine per worker; Arrow
    carries the column, and no Python object is made per photo. Works on streaming DataFrames too. All other columns
    pass through.

    Params:
        inputCol: encoded photos (binary, as spark.read.format("binaryFile") has them in `content`), paths or URIs
            (string: executors read them by themselves), or Spark's image struct.
        outputCol: array<float>, or Spark ML vectors with vectors=True; null for a photo that cannot be read.
        errorCol: why it is null; null for the others. "" for no such column.
        onError: "null", or "raise": the job fails and names the photo.
        modelName: a network of `pomona models list`, or a file on the driver's machine, which is shipped to executors.
        inputSize: pixels, both sides; 0 = what the network was made for.
        precision, layer, pool, preprocess, batch: as in pomona.Featurizer.
        threads: per task; 0 = spark.task.cpus.
        dropInput: leave inputCol out of the result, so that photos do not travel back to the JVM.
    """

    modelName = Param(Params._dummy(), "modelName", "network: a name of `pomona models list`, or a file",
                      TypeConverters.toString)
    inputSize = Param(Params._dummy(), "inputSize", "pixels, both sides; 0 = the network's own", TypeConverters.toInt)
    layer = Param(Params._dummy(), "layer", "'penultimate', or a tensor or node to cut at", TypeConverters.toString)
    pool = Param(Params._dummy(), "pool", "'auto', 'avg', 'max' or 'none'", stages.one_of("auto", "avg", "max", "none"))
    preprocess = Param(Params._dummy(), "preprocess", "'tf', 'caffe', 'torch', 'lite' or a JSON file; '' = the network's",
                       TypeConverters.toString)
    dropInput = Param(Params._dummy(), "dropInput", "leave inputCol out of the result", TypeConverters.toBoolean)

    @keyword_only
    def __init__(self, *, inputCol="content", outputCol="features", modelName="efficientnet-lite0", inputSize=0,
                 errorCol="error", onError="null", vectors=False, precision="auto", layer="penultimate", pool="auto",
                 preprocess="", batch=0, threads=0, dropInput=False):
        super().__init__()
        given = self._input_kwargs
        self._setDefault(inputCol="content", outputCol="features", modelName="efficientnet-lite0", inputSize=0,
                         errorCol="error", onError="null", vectors=False, precision="auto", layer="penultimate",
                         pool="auto", preprocess="", batch=0, threads=0, dropInput=False)
        self._set(**given)

    @keyword_only
    def setParams(self, **_):
        """Sets any params by name."""
        return self._set(**self._input_kwargs)

    def getModelName(self):
        return self.getOrDefault(self.modelName)

    def setModelName(self, value):
        return self._set(modelName=value)

    def getInputSize(self):
        return self.getOrDefault(self.inputSize)

    def setInputSize(self, value):
        return self._set(inputSize=value)

    def _transform(self, dataset):
        value = self.getOrDefault
        source, output, error = value("inputCol"), value("outputCol"), value("errorCol")
        kind = stages.field(dataset, source, "ImageFeaturizer").dataType
        if not stages.is_photo(kind):
            raise ValueError(f"ImageFeaturizer: column {source!r} is {kind.simpleString()}; photos are binary (encoded), "
                             "string (paths or URIs) or Spark's image struct")
        stages.warn_of_large_batches(dataset, kind)
        drop = source if value("dropInput") else None
        kept = dataset.drop(drop) if drop else dataset
        stages.check_new(kept, [output] + [error] * bool(error), "ImageFeaturizer")
        shipped = shipping.ship_network(dataset.sparkSession.sparkContext, {
            "model": value("modelName"), "layer": value("layer"), "pool": value("pool"),
            "precision": value("precision"), "exif_orientation": True, "jpeg_scale": "auto",
            "preprocess": value("preprocess") or None, "input_size": value("inputSize") or None})
        added = [T.StructField(output, T.ArrayType(T.FloatType()))]
        if error:
            added.append(T.StructField(error, T.StringType()))
        function = Featurize(shipped, source, output, error, value("onError"), value("batch"), value("threads"))
        result = stages.map_rows(dataset, function, added, drop)
        return stages.to_vectors(result, output) if value("vectors") else result


class Featurize:
    """The function on the executors."""

    def __init__(self, shipped, source, output, error, on_error, batch, threads):
        self.shipped, self.source, self.output, self.error = shipped, source, output, error
        self.on_error, self.batch, self.threads = on_error, batch, threads

    def __call__(self, batches):
        featurizer = None
        for batch in columns.chunks(batches):
            if featurizer is None:
                featurizer = self._engine()
            result = pa.record_batch(featurizer.featurize_arrow(columns.places(batch.column(self.source))))
            if self.on_error == "raise":
                raise_first(batch, self.source, result.column("error"))
            more = {self.output: result.column("features")}
            if self.error:
                more[self.error] = result.column("error")
            yield columns.with_columns(batch, more, self.drop)

    def _engine(self):
        import pomona

        threads = stages.task_threads(self.threads)
        key = ("featurizer", json.dumps(self.shipped, sort_keys=True), self.batch, threads)
        return stages.engine(key, lambda: pomona.Featurizer(**shipping.local_network(self.shipped), batch=self.batch,
                                                            threads=threads))


def raise_first(batch, source, errors):
    """Ends the task at the first row with an error, and names its photo where a column tells."""
    if errors.null_count == len(errors):
        return
    row = errors.is_valid().index(True).as_py()
    photo = batch.column(source)[row:row + 1]
    if pa.types.is_string(photo.type):
        name = photo[0].as_py()
    elif pa.types.is_struct(photo.type):
        name = photo.field("origin")[0].as_py() if photo.type.get_field_index("origin") >= 0 else None
    else:
        name = batch.column("path")[row].as_py() if "path" in batch.schema.names else None
    raise RuntimeError(f"{name or 'a photo'}: {errors[row].as_py()}")
