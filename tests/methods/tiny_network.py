"""The tiny encoder and its heads once more, in float64, from their values alone.

What a training pass computes, written out: batch statistics of the images that it is given, and
the moving statistics after it.
"""

import tensorflow as tf

MOMENTUM, EPSILON = 0.9, 1e-5


class TinyNetwork:
    """Training passes by the values of a method's variables.

    Args:
        values: dict from a variable's path from its part on, such as "encoder/bn/clean/gamma",
            to its value.

    Attributes:
        values: the same as float64 tensors.
        moving: dict from the path of each moving statistic to its value after the passes so far.
    """

    def __init__(self, values):
        self.values = {path: tf.constant(value, tf.float64) for path, value in values.items()}
        self.moving = {path: v for path, v in self.values.items() if "/moving_" in path}

    def encode(self, images, branch):
        """Returns features [N, F] of images [N, H, W, 3]."""
        x = tf.nn.conv2d(images, self.values["encoder/conv/kernel"], strides=1, padding="SAME")
        x = tf.nn.relu(self._normalize(x, "encoder/bn", branch))
        return tf.reduce_mean(x**2, axis=(1, 2))

    def project(self, images, branch):
        """Returns projections [N, D] of images [N, H, W, 3]."""
        return self.project_features(self.encode(images, branch), branch)

    def project_features(self, features, branch):
        """Returns projections [N, D] of features [N, F]."""
        x = features @ self.values["projection_head/hidden/kernel"]
        x = tf.nn.relu(self._normalize(x, "projection_head/hidden_bn", branch))
        x = self._linear(x, "projection_head/output_dense")
        return x / tf.norm(x, axis=1, keepdims=True)

    def classify(self, features, head="linear_head"):
        """Returns logits [N, C] of features [N, F]."""
        return self._linear(features, f"{head}/dense")

    def _linear(self, x, path):
        return x @ self.values[f"{path}/kernel"] + self.values[f"{path}/bias"]

    def _normalize(self, x, path, branch):
        path = f"{path}/{branch if f'{path}/{branch}/gamma' in self.values else 'shared'}"
        axes = list(range(len(x.shape) - 1))
        mean = tf.reduce_mean(x, axes)
        variance = tf.reduce_mean((x - mean) ** 2, axes)
        for name, statistic in (("moving_mean", mean), ("moving_variance", variance)):
            before = self.moving[f"{path}/{name}"]
            self.moving[f"{path}/{name}"] = MOMENTUM * before + (1 - MOMENTUM) * statistic
        x = (x - mean) / tf.sqrt(variance + EPSILON)
        return self.values[f"{path}/gamma"] * x + self.values[f"{path}/beta"]
