"""Tiny classifiers with known behavior, and what is true of them in closed form."""

import keras
import numpy as np
import tensorflow as tf

from tests.common import random_images


def linear_problem(num_images=23, size=2, seed=0):
    """Returns (images, labels, weights, bias) of a two-class linear problem."""
    rng = np.random.default_rng(seed)
    images = random_images(num_images, size, seed)
    weights = rng.normal(size=(size, size, 3)).astype(np.float32)
    scores = np.einsum("nhwc,hwc->n", images, weights)
    bias = np.float32(-np.median(scores))
    labels = (scores + bias < 0).astype(np.int64)
    flipped = rng.uniform(size=num_images) < 0.2
    return images, np.where(flipped, 1 - labels, labels), weights, bias


def linear_logits(weights, bias, *, scale=1.0):
    """Returns the classifier with logits (s, -s), s the linear score."""

    def logits_fn(images):
        score = scale * (tf.reduce_sum(images * weights, axis=[1, 2, 3]) + bias)
        return tf.stack([score, -score], axis=1)

    return logits_fn


def linear_survivors(images, labels, weights, bias, epsilon):
    """Which images no perturbation in ball and box can move over, by the closed form."""
    survivors = []
    for image, label in zip(images.astype(np.float64), labels, strict=True):
        sign = 1.0 if label == 0 else -1.0
        worst = np.clip(image - sign * epsilon * np.sign(weights), 0.0, 1.0)
        margin = sign * (np.sum(worst * weights.astype(np.float64)) + float(bias))
        survivors.append(margin > 0)
    return np.array(survivors)


def tiny_network(num_classes=4, size=8, seed=0):
    """Returns a small convolutional Keras model with softplus units (no kinks)."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            keras.layers.Conv2D(6, 3, activation="softplus"),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes),
        ]
    )
