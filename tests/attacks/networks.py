"""Objectives and a tiny network for the tests of the attack."""

import keras
import numpy as np
import tensorflow as tf

SHAPE = (8, 8, 3)
NUM_CLASSES = 3
LABELS = np.array([0, 1, 2, 1], np.int32)


def linear_weights(seed=0):
    """Returns float64 [H, W, C], none of them zero."""
    return np.random.default_rng(seed).normal(size=SHAPE)


def linear_objective(weights):
    """Returns images -> [B], the inner product of each image with `weights`."""

    def objective(images):
        return tf.reduce_sum(images * tf.cast(weights, images.dtype), axis=[1, 2, 3])

    return objective


def quadratic_objective(images, place):
    """Returns [B], the squared distance of each image from the gray image of this value."""
    return tf.reduce_sum((images - tf.cast(place, images.dtype)) ** 2, axis=[1, 2, 3])


def tiny_network(dtype="float32"):
    """Returns a convolutional network with batch norm whose statistics are not the initial ones."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input(SHAPE, dtype=dtype),
            keras.layers.Conv2D(4, 3, dtype=dtype),
            keras.layers.BatchNormalization(dtype=dtype),
            keras.layers.Activation("tanh", dtype=dtype),
            keras.layers.Flatten(dtype=dtype),
            keras.layers.Dense(NUM_CLASSES, dtype=dtype),
        ]
    )
    images = np.random.default_rng(1).uniform(size=(16, *SHAPE)).astype(dtype)
    network(images, training=True)
    return network


def cross_entropy(network):
    """Returns (images, labels) -> [B], in inference mode."""

    def objective(images, labels):
        logits = network(images, training=False)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    return objective
