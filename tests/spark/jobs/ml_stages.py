# SPDX-License-Identifier: Apache-2.0
"""The stages of pomona.spark in one session: WORK/photos (one of them corrupt), WORK/model.onnx -> WORK/out. What the
test looks at is written there; what only a session can see is printed as one line of JSON."""
import json
import pathlib
import sys
import warnings

import numpy as np
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import RandomForestClassifier
from pyspark.ml.feature import PCA as SparkPCA
from pyspark.ml.feature import StringIndexer
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import pomona
from pomona.spark import PCA, ImageFeaturizer, ModelTransformer, PCAModel

work = pathlib.Path(sys.argv[1])
out = work / "out"
spark = SparkSession.builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", "16").getOrCreate()
said = {"version": spark.version}


def matrix(rows, name):
    return np.array([row[name] if isinstance(row[name], list) else row[name].toArray() for row in rows], np.float64)


def failure(do):
    try:
        do()
    except Exception as error:
        return str(error)
    return None


photos = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(work / "photos"))
photos = photos.coalesce(3)

# Encoded photos; every other column stays as it is.
featurizer = ImageFeaturizer(inputCol="content", outputCol="features", modelName="efficientnet-lite0", inputSize=128)
made = featurizer.transform(photos)
said["columns"] = made.columns
made.write.parquet(str(out / "features"))
features = spark.read.parquet(str(out / "features"))
said["unchanged"] = features.select(photos.columns).exceptAll(photos).count() + photos.exceptAll(
    features.select(photos.columns)).count()

# Paths, read by the executors; Spark's image struct, whose pixels Java decoded.
paths = photos.select("path").withColumn("mark", F.udf(lambda p: Vectors.sparse(3, {1: 2.0}), VectorUDT())("path"))
by_path = featurizer.copy().setInputCol("path").setVectors(True).setErrorCol("").transform(paths).collect()
said["path_columns"] = list(by_path[0].asDict())
said["mark"] = str(by_path[0].mark)
(out / "by_path.json").write_text(json.dumps({row.path: None if row.features is None else row.features.toArray().tolist()
                                              for row in by_path}))
images = spark.read.format("image").option("recursiveFileLookup", "true").load(str(work / "pngs"))
seen = featurizer.copy().setInputCol("image").setOnError("raise").transform(images).collect()
pixels = [np.frombuffer(r.image.data, np.uint8).reshape(r.image.height, r.image.width, 3)[:, :, ::-1].copy() for r in seen]
said["images_equal"] = bool(np.array_equal(pomona.Featurizer(input_size=128).featurize(pixels), np.array(
    [r.features for r in seen], np.float32)))

# Errors.
said["raise"] = failure(lambda: featurizer.copy().setOnError("raise").transform(photos).collect())
said["no_column"] = failure(lambda: featurizer.copy().setInputCol("nothing").transform(photos))
said["wrong_type"] = failure(lambda: featurizer.copy().setInputCol("length").transform(photos))
said["column_there"] = failure(lambda: featurizer.transform(features))
said["no_model"] = failure(lambda: featurizer.copy().setModelName("efficientnet-lite99").transform(photos))
said["bad_word"] = failure(lambda: ImageFeaturizer(onError="explode"))

# PCA: partitions, files, Spark ML's own.
one = PCA(k=5).fit(features.coalesce(1))
many = PCA(k=5, vectors=True).fit(features.repartition(19))
again = PCA(k=5).fit(features.coalesce(1))
one.saveFile(str(out / "one.bin"))
many.saveFile(str(out / "many.bin"))
said["same_partitions_same_bits"] = one.pca.serialize() == again.pca.serialize()
share = PCA(variance=0.9, outputCol="reduced").fit(features)
said["k_of_variance"] = share.pca.n_components_
said["share"] = [float(x) for x in np.cumsum(share.pca.explained_variance_ratio_)]
one.transform(features).select("path", "components").write.parquet(str(out / "components"))
one.write().overwrite().save(str(out / "pca_model"))
loaded = PCAModel.load(str(out / "pca_model"))
said["pca_loaded"] = loaded.pca.serialize() == one.pca.serialize() and loaded.uid == one.uid
said["from_file"] = PCAModel.fromFile(str(out / "one.bin")).pca.serialize() == one.pca.serialize()
said["no_k"] = failure(lambda: PCA().fit(features))

good = features.where("features is not null").select(
    "path", "features", F.udf(lambda x: Vectors.dense(x), VectorUDT())("features").alias("vector")).cache()
ours = PCA(k=5, inputCol="vector", outputCol="ours", center=False, vectors=True).fit(good)
own = SparkPCA(k=5, inputCol="vector", outputCol="own").fit(good)
both = ours.toSparkML().setOutputCol("theirs").transform(ours.transform(good))
rows = own.transform(both).collect()
said["to_spark_ml"] = float(np.abs(matrix(rows, "ours") - matrix(rows, "theirs")).max())
mllib = matrix(rows, "own")
signs = np.sign((mllib * matrix(rows, "ours")).sum(axis=0))
said["mllib"] = float(np.abs(mllib * signs - matrix(rows, "ours")).max() / np.abs(mllib).max())
said["scale"] = float(np.abs(mllib).max())
centred = one.copy().setOutputCol("theirs")
centred._set(inputCol="vector")
rows = centred.toSparkML().transform(one.transform(good)).collect()
offset = one.pca.mean_.astype(float) @ one.pca.components_.astype(float).T
said["centred_offset"] = float(np.abs(matrix(rows, "theirs") - offset - matrix(rows, "components")).max())

# A Pipeline with Spark ML's own stages: fitted, saved, loaded.
labelled = photos.withColumn("fruit", F.element_at(F.split("path", "/"), -2)).where("length > 1000")
stages = [StringIndexer(inputCol="fruit", outputCol="label"),
          ImageFeaturizer(inputSize=128, dropInput=True),
          PCA(k=10, vectors=True),
          RandomForestClassifier(featuresCol="components", numTrees=20, maxDepth=5, seed=1)]
pipeline = Pipeline(stages=stages)
pipeline.write().overwrite().save(str(out / "pipeline"))
fitted = Pipeline.load(str(out / "pipeline")).fit(labelled)
fitted.write().overwrite().save(str(out / "fitted"))
first = fitted.transform(labelled).select("path", "label", "prediction", "probability").sort("path").collect()
second = PipelineModel.load(str(out / "fitted")).transform(labelled).select(
    "path", "label", "prediction", "probability").sort("path").collect()
said["pipeline_same"] = first == second
said["accuracy"] = sum(r.label == r.prediction for r in first) / len(first)

# Params by name, and a warning where batches would be large.
set_by_name = ModelTransformer().setParams(modelFile=str(work / "model.onnx"), top=5)
said["params"] = [set_by_name.getModelFile(), set_by_name.getOrDefault("top"),
                  featurizer.setParams(batch=4).getBatch(), featurizer.explainParam("onError")]
spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 10000)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    featurizer.transform(photos)
    featurizer.copy().setInputCol("path").transform(photos)
said["warned"] = [str(w.message) for w in caught if "maxRecordsPerBatch" in str(w.message)]
spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 16)

# Answers of a model file, of photos and of features; saved with the file inside.
model = ModelTransformer(str(work / "model.onnx"), top=2)
model.transform(photos).select("path", "prediction", "error").write.json(str(out / "predicted"))
model.write().overwrite().save(str(out / "model"))
(work / "model.onnx").rename(work / "moved.onnx")
loaded = ModelTransformer.load(str(out / "model"))
by_vector = loaded.setInputCol("vector").setErrorCol("why").transform(
    ImageFeaturizer(modelName="efficientnet-lite0", dropInput=True).transform(photos).withColumn(
        "vector", F.when(F.col("features").isNotNull(), F.udf(lambda x: x and Vectors.dense(x), VectorUDT())("features"))))
by_vector.select("path", "prediction", F.col("why").alias("error")).write.json(str(out / "predicted_features"))
said["vector_kept"] = by_vector.columns

print(json.dumps(said))
spark.stop()
