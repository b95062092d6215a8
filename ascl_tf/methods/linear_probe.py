"""A linear classifier on frozen features, found once and without random numbers."""

import warnings

import numpy as np
import tensorflow as tf
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ascl_tf.losses.inputs import at_least_float32

BATCH_SIZE = 250
MAX_ITERATIONS = 200


def compute_features(encoder, images, *, branch):
    """Returns the features of un-augmented images in inference mode, [N, F], at least float32.

    Args:
        encoder: built encoder.
        images: uint8 [N, H, W, 3].
        branch: batch-norm branch.
    """

    @tf.function(
        input_signature=[tf.TensorSpec([None, *images.shape[1:]], tf.uint8)], autograph=False
    )
    def compute(batch):
        pixels = tf.cast(batch, tf.float32) / 255
        return at_least_float32(encoder(pixels, training=False, branch=branch))

    starts = range(0, len(images), BATCH_SIZE)
    batches = (np.asarray(images[i : i + BATCH_SIZE]) for i in starts)
    return np.concatenate([compute(batch).numpy() for batch in batches])


def fit_linear_probe(features, labels, *, weight_decay):
    """Returns kernel [F, C] and bias [C] of a multinomial logistic regression.

    They minimize, by L-BFGS from zero,

        1/N sum_i -log softmax(features_i . kernel + bias)[labels_i] + weight_decay/2 |kernel|^2

    or what 200 iterations reach.

    Args:
        features: [N, F].
        labels: int [N]; each of the classes 0..C-1 occurs.
        weight_decay: Python number >= 0.
    """
    features = np.asarray(features, np.float64)
    strength = weight_decay * len(labels)
    regression = LogisticRegression(
        C=1 / strength if strength > 0 else np.inf, max_iter=MAX_ITERATIONS
    )
    with warnings.catch_warnings():
        # A starting point need not be the optimum itself.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(features, labels)
    kernel, bias = regression.coef_.T, regression.intercept_
    if len(regression.classes_) == 2:  # One column there: the second class against the first.
        return np.concatenate([-kernel, kernel], axis=1) / 2, np.concatenate([-bias, bias]) / 2
    return kernel, bias
