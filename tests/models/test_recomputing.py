"""Gradients of recomputed functions: right, differentiable, and nothing of the inside kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context  # No public name for the graph as it runs.

from ascl_tf.models import DualBatchNormalization
from ascl_tf.models.convolutions import PaddedConv2D
from ascl_tf.models.recomputing import recomputing
from tests.common import two_replicas
from tests.losses.helpers import run_on_two_replicas
from tests.models.oracles import convolve, normalize, randomize

RNG = np.random.default_rng(0)
X, Y = (tf.constant(RNG.normal(size=(3, 4))) for _ in range(2))
IMAGES = RNG.normal(2.0, 3.0, size=(6, 5, 5, 3))


def _maybe_compiled(function, compiled):
    return tf.function(function, autograph=False) if compiled else function


@pytest.mark.parametrize("compiled", [False, True])
def test_gradient_is_that_of_the_first_output(compiled):
    apply = recomputing(lambda x, y: (tf.exp(x * y), 5.0 * x))

    def run(x, y):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            first, second = apply(x, y)
            total = tf.reduce_sum(first**2) + tf.reduce_sum(second)
        return first, second, *tape.gradient(total, [x, y])

    first, second, by_x, by_y = _maybe_compiled(run, compiled)(X, Y)
    np.testing.assert_allclose(first, np.exp(X * Y), rtol=1e-12)
    np.testing.assert_allclose(second, 5 * X, rtol=1e-12)
    np.testing.assert_allclose(by_x, 2 * Y * np.exp(2 * X * Y), rtol=1e-12)
    np.testing.assert_allclose(by_y, 2 * X * np.exp(2 * X * Y), rtol=1e-12)


def test_gradient_can_be_differentiated_again():
    apply = recomputing(lambda x: (x**3,))
    with tf.GradientTape() as outer:
        outer.watch(X)
        with tf.GradientTape() as inner:
            inner.watch(X)
            (outputs,) = apply(X)
        slope = inner.gradient(outputs, X)
    np.testing.assert_allclose(outer.gradient(slope, X), 6 * X, rtol=1e-12)


def _norm(dtype="float32"):
    layer = DualBatchNormalization(dtype=dtype)
    layer.build((None, 5, 5, 3))
    randomize(layer)
    return layer.branch_layer("clean")


def _conv(kind=keras.layers.Conv2D, dtype="float32", **settings):
    conv = kind(4, 3, use_bias=False, dtype=dtype, **settings)
    conv.build((None, 5, 5, 3))
    conv.kernel.assign(np.random.default_rng(1).normal(size=(3, 3, 3, 4)))
    return conv


def _pass(norm, conv, inputs, weights):
    """Outputs of conv(relu(norm)), gradients by inputs and parameters, moved statistics."""
    inputs = tf.cast(inputs, conv.compute_dtype)
    watched = [inputs, norm.gamma.value, norm.beta.value, conv.kernel.value]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(watched)
        outputs = norm.relu_conv(inputs, conv)
        total = tf.reduce_sum(tf.cast(outputs, tf.float64) * weights)
    return [outputs, *tape.gradient(total, watched), norm.moving_mean, norm.moving_variance]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_conv_equals_its_formula(dtype):
    norm, conv = _norm(dtype), _conv(dtype=dtype, padding="same")
    before = norm.moving_mean.numpy()
    outputs = norm.relu_conv(tf.constant(IMAGES, dtype), conv)
    mean, variance = IMAGES.mean((0, 1, 2)), IMAGES.var((0, 1, 2))
    x = normalize(IMAGES, mean, variance, norm.gamma.numpy(), norm.beta.numpy())
    expected = convolve(np.maximum(x, 0), conv.kernel.numpy(), stride=1, pad=1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(norm.moving_mean, 0.9 * before + 0.1 * mean, rtol=1e-5)


# Processors without instructions for bfloat16 round more often: 0.022 was seen.
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.03)], ids=str
)
@pytest.mark.parametrize("compiled", [False, True])
def test_relu_conv_has_the_gradients_of_float64(dtype, tolerance, compiled):
    # What bfloat16 holds exactly, so that all that differs is rounded inside.
    inputs = np.float64(tf.cast(IMAGES, tf.bfloat16))
    weights = RNG.normal(size=(6, 5, 5, 4))
    found = []
    for name in (dtype, "float64"):
        norm, conv = _norm(name), _conv(dtype=name, padding="same")
        run = _maybe_compiled(lambda: _pass(norm, conv, inputs, weights), compiled)  # noqa: B023
        found.append([np.float64(value) for value in run()])
    for got, want in zip(*found, strict=True):
        scale = np.abs(want).max()
        assert scale > 0.1
        np.testing.assert_allclose(got, want, atol=tolerance * scale)


@pytest.mark.parametrize("compiled", [False, True])
def test_two_passes_keep_their_statistics_apart_in_the_gradient(compiled):
    norm, conv = _norm(), _conv(padding="same")
    batches = [tf.constant(images, tf.float32) for images in (IMAGES, 3.0 - 0.5 * IMAGES**2)]
    watched = [norm.gamma.value, norm.beta.value, conv.kernel.value]

    def run(batches):
        """Gradients of a product, which needs what both passes computed."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            first, second = [norm.relu_conv(images, conv) for images in batches]
            total = tf.reduce_sum(first * second)
        return tape.gradient(total, watched)

    before = norm.moving_mean.numpy()
    found = _maybe_compiled(run, compiled)(batches)
    gamma, beta, kernel = [tf.constant(v.numpy(), tf.float64) for v in watched]
    with tf.GradientTape() as tape:
        tape.watch([gamma, beta, kernel])
        outputs = []
        for images in batches:
            x = np.float64(images)
            x = normalize(x, x.mean((0, 1, 2)), x.var((0, 1, 2)), gamma, beta)
            outputs.append(tf.nn.conv2d(tf.nn.relu(x), kernel, strides=1, padding="SAME"))
        total = tf.reduce_sum(outputs[0] * outputs[1])
    for got, want in zip(found, tape.gradient(total, [gamma, beta, kernel]), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
    first, second = [np.mean(images, axis=(0, 1, 2)) for images in batches]
    moved = 0.9 * (0.9 * before + 0.1 * first) + 0.1 * second
    np.testing.assert_allclose(norm.moving_mean, moved, rtol=1e-5)


def test_relu_conv_of_two_replicas_has_common_statistics():
    conv, norm = _conv(dtype="float64"), _norm("float64")
    want = norm.relu_conv(tf.constant(IMAGES), conv)
    with two_replicas().scope():
        parts_conv, parts_norm = _conv(dtype="float64"), _norm("float64")
    parts = run_on_two_replicas(lambda x: parts_norm.relu_conv(x, parts_conv), (IMAGES, 1))
    np.testing.assert_allclose(np.concatenate(parts), want, atol=1e-12)


@pytest.mark.parametrize("size", [5, 6])
def test_gradients_of_a_padded_convolution_are_those_of_the_linear_map(size):
    conv = _conv(PaddedConv2D, "float64", strides=2)
    images = tf.constant(RNG.normal(size=(3, size, size, 3)))
    upstream = RNG.normal(size=(3, 3, 3, 4))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([images, conv.kernel.value])
        total = tf.reduce_sum(conv(images) * upstream)
    by_images, by_kernel = tape.gradient(total, [images, conv.kernel.value])
    # sum(conv(x; k) * u) is linear in x and in k: with a direction in their place it is the slope.
    kernel = conv.kernel.numpy()
    for _ in range(3):
        x, k = RNG.normal(size=images.shape), RNG.normal(size=kernel.shape)
        slope = np.sum(convolve(x, kernel, stride=2, pad=1) * upstream)
        np.testing.assert_allclose(np.sum(by_images * x), slope, rtol=1e-10)
        slope = np.sum(convolve(images.numpy(), k, stride=2, pad=1) * upstream)
        np.testing.assert_allclose(np.sum(by_kernel * k), slope, rtol=1e-10)


def _operations_of_gradient(function, variable):
    """Names of the operations that run when `variable` gets the gradient of a sum of squares."""

    @tf.function(autograph=False)
    def run():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variable)
            total = tf.reduce_sum(function() ** 2)
        return tape.gradient(total, variable)

    with context.collect_graphs(optimized=True) as graphs:
        run()
    nodes = [node.op for graph in graphs for node in graph.node]
    nodes += [n.op for graph in graphs for f in graph.library.function for n in f.node_def]
    return [name.removeprefix("_Mkl") for name in nodes]


def test_compiled_gradient_pads_anew():
    conv = _conv(PaddedConv2D, strides=2)
    images = tf.constant(IMAGES, tf.float32)
    names = _operations_of_gradient(lambda: conv(images), conv.kernel.value)
    # Merged with the one of the forward pass it would be 1, and kept from there.
    assert names.count("Pad") == 2


def test_compiled_gradient_normalizes_anew_and_convolves_once():
    norm, conv = _norm(), _conv(padding="same")
    images = tf.constant(IMAGES, tf.float32)
    names = _operations_of_gradient(lambda: norm.relu_conv(images, conv), conv.kernel.value)
    assert sum("FusedBatchNorm" in name and "Grad" not in name for name in names) == 2
    assert names.count("Conv2D") == 1


def _before(operation):
    """All operations of a graph that run before one."""
    found, waiting = set(), [operation]
    while waiting:
        last = waiting.pop()
        earlier = {tensor.op for tensor in last.inputs} | set(last.control_inputs)
        waiting += earlier - found
        found |= earlier
    return found


def test_gradient_goes_on_when_that_of_the_weights_is_done():
    norm, conv = _norm(), _conv(padding="same")

    @tf.function(autograph=False)
    def run(images):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            total = tf.reduce_sum(norm.relu_conv(images, conv) ** 2)
        return tape.gradient(total, images)

    (output,) = run.get_concrete_function(tf.TensorSpec((6, 5, 5, 3))).graph.outputs
    assert "Conv2DBackpropFilter" in {operation.type for operation in _before(output.op)}
