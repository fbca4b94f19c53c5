# SPDX-License-Identifier: Apache-2.0
"""Run by .venv-keras: a Keras application with random weights -> a SavedModel, and its features of photos.

    export.py NAME OUTPUT_LAYER MODE FOLDER PHOTO...

Writes FOLDER/saved (the model as Keras exports it) and FOLDER/features.npy (of the photos as Pillow resizes them to
224 x 224 and as Keras preprocesses them by MODE: tf, caffe or torch).
"""
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
from keras.src.applications.imagenet_utils import preprocess_input
from PIL import Image


def prepared(photo, mode):
    pixels = np.asarray(Image.open(photo).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC), np.float32)
    return preprocess_input(pixels[None].copy(), data_format="channels_last", mode=mode)


def normalize(model, x):
    """Gives batch normalization the photos' own statistics, as training would: else a signal dies in random layers,
    and every photo has the same features. Scales and shifts are random, so that folding them is tested too."""
    rng = np.random.default_rng(5)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in layers:
        gamma, beta, mean, variance = layer.get_weights()
        layer.set_weights([rng.uniform(0.5, 1.5, gamma.shape), rng.normal(0, 0.1, beta.shape), mean, variance])
        layer.momentum = 0.0
    if layers:
        model(x, training=True)


def main():
    name, layer, mode, folder, *photos = sys.argv[1:]
    folder = pathlib.Path(folder)
    keras.utils.set_random_seed(20260101)
    model = getattr(keras.applications, name)(weights=None, include_top=layer in ("avg_pool", "global"),
                                              input_shape=(224, 224, 3))
    x = np.concatenate([prepared(photo, mode) for photo in photos])
    normalize(model, x)
    model.export(str(folder / "saved"), verbose=False)
    if layer == "global":
        output = model.layers[-2].output  # what goes into the classification head
    else:
        output = model.get_layer(layer).output
    features = keras.Model(model.input, output)
    found = np.concatenate([np.asarray(features(one[None], training=False)).reshape(1, -1) for one in x])
    np.save(folder / "features.npy", found)


main()
