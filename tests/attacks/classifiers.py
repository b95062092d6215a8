"""Small classifiers for the tests of AutoAttack, all of whose images are right at first."""

import keras
import numpy as np
import tensorflow as tf

from tests.common import random_images

NUM_CLASSES = 5
SIZE = 8


def smooth_network(num_classes=NUM_CLASSES, seed=0):
    """Returns a small convolutional Keras model with softplus units (no kinks)."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.Conv2D(6, 3, activation="softplus"),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes),
        ]
    )


def images_and_labels(classifier, num_images=6, seed=0):
    """Returns images, and what the classifier takes them for."""
    images = random_images(num_images, SIZE, seed)
    return images, np.argmax(classifier(images), axis=1).astype(np.int32)


class LinearClassifier:
    """Logits <w_k, x> + b_k. Its calls are counted where they are traced."""

    def __init__(self, num_classes=NUM_CLASSES, size=SIZE, seed=0):
        rng = np.random.default_rng(seed)
        self.weights = rng.normal(size=(size, size, 3, num_classes)).astype(np.float32)
        self.biases = (-0.5 * self.weights.sum(axis=(0, 1, 2))).astype(np.float32)
        self.num_traces = 0

    def __call__(self, images):
        self.num_traces += 1
        return tf.tensordot(images, self.weights, 3) + self.biases

    def is_robust(self, images, labels, epsilon):
        """Returns whether no l-infinity perturbation fools the classifier, by the closed form."""
        weights = self.weights.astype(np.float64)
        answers = []
        for image, label in zip(images.astype(np.float64), labels, strict=True):
            margins = []
            for other in set(range(weights.shape[-1])) - {int(label)}:
                normal = weights[..., other] - weights[..., label]
                worst = np.clip(image + epsilon * np.sign(normal), 0, 1)
                bias = float(self.biases[label]) - float(self.biases[other])
                margins.append(bias - np.sum(normal * worst))
            answers.append(min(margins) > 0)
        return np.array(answers)
