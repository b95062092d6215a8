"""A tiny classifier, pictures and data for tests of what serves."""

import importlib.util

import keras
import numpy as np
from PIL import Image

from ascl_tf.data.image_dataset import ImageDataset

SIZE, NAMES = 8, ("cat", "dog", "very long name of a class")
L = keras.layers


def make_model(size=SIZE):
    """A functional Keras model of three classes, with a layer `features`."""
    keras.utils.set_random_seed(0)
    images = keras.Input((size, size, 3), name="images")
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3)(images)))
    features = L.Dense(4, name="features")(L.Flatten()(x))
    head = L.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=9.0))
    return keras.Model(images, head(features))


def make_data(num_images=12, seed=0):
    """Labeled noise."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, [num_images, SIZE, SIZE, 3]).astype(np.uint8)
    return ImageDataset("noise", pixels, np.arange(num_images, dtype=np.int32) % 3, 3, NAMES)


def run_code(code):
    """Runs what documents say; TensorFlow's own interpreter stands in for LiteRT's."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        code = code.replace("from ai_edge_litert.interpreter import Interpreter", _INTERPRETER)
    exec(code, {"__name__": "document"})


_INTERPRETER = "import tensorflow as tf; Interpreter = tf.lite.Interpreter"


def draw(path, *shape, seed=0, **options):
    """Writes a picture of noise; returns its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels
