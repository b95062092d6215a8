"""Convolution and batch norm as one convolution: equal in inference, untouched in training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.models import BRANCHES, DualBatchNormalization
from ascl_tf.models.batch_norm import conv_batch_norm
from ascl_tf.models.convolutions import PaddedConv2D
from tests.models.oracles import policy, randomize


def _layers(conv_class=keras.layers.Conv2D, *, strides=1, padding="same", dtype=None):
    """A convolution and its batch norm, 3 to 5 channels, with random weights and statistics."""
    keras.utils.set_random_seed(0)
    conv = conv_class(5, 3, strides, padding, use_bias=False, dtype=dtype)
    norm = DualBatchNormalization(dtype=dtype)
    conv.build((None, 6, 6, 3))
    norm.build((None, 6, 6, 5))
    randomize(norm)
    return conv, norm


def _images(dtype):
    return tf.constant(np.random.default_rng(0).normal(size=(4, 6, 6, 3)), dtype)


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize(
    "settings", [{}, {"conv_class": PaddedConv2D, "strides": 2, "padding": "valid"}]
)
def test_inference_equals_one_layer_after_the_other(settings, branch):
    with policy("float64"):
        conv, norm = _layers(**settings)
    images = _images("float64")
    folded = conv_batch_norm(conv, norm, images, training=False, branch=branch)
    expected = norm(conv(images), training=False, branch=branch)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(folded, expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_images_and_weights_are_those_of_the_two_layers():
    with policy("float64"):
        conv, norm = _layers()
    images = _images("float64")
    layer = norm.branch_layer("clean")
    values = [images, conv.kernel.value, layer.gamma.value, layer.beta.value]

    def gradients(apply):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            total = tf.reduce_sum(tf.sin(apply()))
        return tape.gradient(total, values)

    folded = gradients(lambda: conv_batch_norm(conv, norm, images, training=False, branch="clean"))
    expected = gradients(lambda: norm(conv(images), training=False, branch="clean"))
    for ours, theirs in zip(folded, expected, strict=True):
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_training_uses_and_moves_batch_statistics():
    conv, norm = _layers()
    images = _images("float32")
    layer = norm.branch_layer("adversarial")
    before = layer.moving_mean.numpy()
    outputs = conv_batch_norm(conv, norm, images, training=True, branch="adversarial")
    assert np.any(layer.moving_mean.numpy() != before)
    mean = np.mean(outputs, axis=(0, 1, 2))
    np.testing.assert_allclose(mean, layer.beta.numpy(), atol=1e-5)


def test_low_precision_rounds_once_per_kernel_and_keeps_its_dtype():
    conv, norm = _layers(dtype="mixed_bfloat16")
    images = _images("bfloat16")
    folded = conv_batch_norm(conv, norm, images, training=False, branch="clean")
    assert folded.dtype == "bfloat16"
    expected = norm(conv(images), training=False, branch="clean")
    scale = np.abs(tf.cast(expected, "float32")).max()
    error = np.abs(tf.cast(folded, "float32") - tf.cast(expected, "float32")).max()
    assert 0 < error < 0.03 * scale
