"""Float64 NumPy versions of the layers, and a switch of the dtype policy."""

import contextlib

import keras
import numpy as np

EPSILON = 1e-5


def convolve(images, kernel, stride, pad):
    """Correlates NHWC images with an HWIO kernel, `pad` zeros on every side, by loops."""
    size = kernel.shape[0]
    padded = np.pad(images.astype(np.float64), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = [(n - size) // stride + 1 for n in padded.shape[1:3]]
    result = np.zeros((len(images), height, width, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            top, left = row * stride, column * stride
            patch = padded[:, top : top + size, left : left + size]
            result[:, row, column] = np.einsum("bhwi,hwio->bo", patch, kernel)
    return result


def normalize(inputs, mean, variance, gamma, beta):
    """Returns batch normalization with the given statistics of each channel."""
    return gamma * (inputs - mean) / np.sqrt(variance + EPSILON) + beta


def count_parameters(depth, width):
    """Counts trainable parameters of a published CIFAR ResNet without its last layer."""
    num_blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}[depth]
    total = 9 * 3 * width + 2 * width
    channels = width
    for stage, blocks in enumerate(num_blocks):
        filters = width * 2**stage
        for _ in range(blocks):
            total += 9 * channels * filters + 9 * filters * filters + 4 * filters
            if channels != filters:
                total += channels * filters + 2 * filters
            channels = filters
    return total


@contextlib.contextmanager
def policy(name):
    """Sets the global dtype policy inside the block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


RANGES = {"moving_variance": (0.5, 2.0), "gamma": (0.5, 1.5), "beta": (0.0, 0.5)}


def randomize(layer, seed=0):
    """Gives every variable of `layer` another value, such that most ReLUs stay alive."""
    rng = np.random.default_rng(seed)
    for variable in layer.variables:
        low, high = RANGES.get(variable.name, (-1.0, 1.0))
        variable.assign(rng.uniform(low, high, variable.shape))
