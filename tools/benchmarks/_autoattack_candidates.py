"""One small network under AutoAttack: by this library, and by the official package.

Weights: arrays `conv1/kernel` (HWIO), `conv1/bias`, ..., `dense/kernel`, `dense/bias` of three
convolutions of 3 by 3 with ReLU (the last two with stride 2), mean over pixels, and
a dense layer.
"""

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import AutoAttack
from tools.benchmarks import _cost

EPSILON = 8 / 255
# Of both: the official default.
BATCH_SIZE = 250
_LAYERS = (("conv1", 1), ("conv2", 2), ("conv3", 2))


class OurCandidate:
    """The attacks of `ascl_tf`, each traced once."""

    def __init__(self, weights):
        self._weights = {name: tf.constant(value) for name, value in weights.items()}
        self._attacks = {}

    def attack(self, name, images, labels):
        """Returns bool [B], which images resist; labels: int64 [B]."""
        if name not in self._attacks:
            self._attacks[name] = AutoAttack(
                self._logits,
                epsilon=EPSILON,
                num_classes=self._weights["dense/bias"].shape[0],
                version="custom",
                attacks=[name],
                batch_size=BATCH_SIZE,
            )
        result = self._attacks[name](images, labels)
        # An attack that no image was left for is absent.
        return result.robust.get(name, result.correct)

    def _logits(self, images):
        hidden = images
        for layer, stride in _LAYERS:
            # In the convolution, as PyTorch's has it; TensorFlow's "SAME" pads otherwise.
            padding = [[0, 0], [1, 1], [1, 1], [0, 0]]
            outputs = tf.nn.conv2d(hidden, self._weights[f"{layer}/kernel"], stride, padding)
            hidden = tf.nn.relu(outputs + self._weights[f"{layer}/bias"])
        pooled = tf.reduce_mean(hidden, axis=[1, 2])
        return pooled @ self._weights["dense/kernel"] + self._weights["dense/bias"]


def forward_operations(weights, size=32):
    """Returns the operations of one forward pass of one image, convolutions alone.

    Args:
        size: height and width of the image in pixels.
    """
    total = 0
    for layer, stride in _LAYERS:
        size = -(-size // stride)
        kernel_size, _, channels, filters = weights[f"{layer}/kernel"].shape
        total += _cost.Convolution(size, kernel_size, channels, filters).operations
    return total


class OfficialCandidate:
    """The PyPI package `pyautoattack` on the same network in PyTorch.

    Args:
        weights: as above.
        channels_last: whether the network computes in that memory format.

    Raises:
        ImportError: if `torch` or `pyautoattack` is missing.
    """

    def __init__(self, weights, *, channels_last):
        import pyautoattack
        import torch

        self._torch, self._package = torch, pyautoattack
        network = _torch_network(torch, weights).eval()
        self._network = _in_channels_last(torch, network) if channels_last else network

    def attack(self, name, images, labels):
        """Returns bool [B], which images resist; labels: int64 [B]."""
        attack = self._package.AutoAttack(self._network, eps=EPSILON, seed=0, version="standard")
        # Not version "custom": that one would leave APGD at five restarts.
        attack.attacks_to_run = [name]
        contiguous = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        images, labels = self._torch.from_numpy(contiguous), self._torch.from_numpy(labels)
        found, _ = attack.run_standard_evaluation(images, labels, batch_size=BATCH_SIZE)
        with self._torch.no_grad():
            return (self._network(found).argmax(dim=1) == labels).numpy()


def _torch_network(torch, weights):
    layers = []
    for layer, stride in _LAYERS:
        kernel = weights[f"{layer}/kernel"]
        convolution = torch.nn.Conv2d(*kernel.shape[2:], 3, stride, padding=1)
        _fill(torch, convolution, kernel.transpose(3, 2, 0, 1), weights[f"{layer}/bias"])
        layers += [convolution, torch.nn.ReLU()]
    dense = torch.nn.Linear(*weights["dense/kernel"].shape)
    _fill(torch, dense, weights["dense/kernel"].T, weights["dense/bias"])
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), dense)


def _fill(torch, layer, kernel, bias):
    layer.weight.data = torch.from_numpy(kernel.copy())
    layer.bias.data = torch.from_numpy(bias.copy())


def _in_channels_last(torch, network):
    """Returns the network in channels-last; its images and their gradients stay contiguous.

    The package calls `view` on gradients, which fails on channels-last ones.
    """

    class ToChannelsLast(torch.autograd.Function):
        @staticmethod
        def forward(context, images):
            return images.contiguous(memory_format=torch.channels_last)

        @staticmethod
        def backward(context, gradient):
            return gradient.contiguous()

    network = network.to(memory_format=torch.channels_last)
    return lambda images: network(ToChannelsLast.apply(images))
