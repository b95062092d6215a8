"""Batch norm whose training pass reads and writes the activations once."""

import keras
import tensorflow as tf

from ascl_tf.models.recomputing import recomputing


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch norm, by TensorFlow's one operation where a single CPU trains images.

    Keras' own goes over the activations once for each mean, difference and product, and in
    bfloat16 through float32 copies of them. Statistics, parameters and the arithmetic are float32
    in both, moving variances those of the biased variance; results differ by rounding. Several
    replicas, whose statistics are common, GPUs, float64 and rows of features have Keras' own.
    """

    def call(self, inputs, training=None, mask=None):
        if training and _is_fused(inputs):
            outputs, *moments = self._normalize(inputs, *self._parameters())
            self._move(inputs, *moments)
            return outputs
        return super().call(inputs, training=training, mask=mask)

    def relu_conv(self, inputs, conv):
        """Returns conv(relu(norm(inputs))) of a training pass, [B, h, w, c].

        By the one operation, what `conv` sees is not kept for the gradient but recomputed from
        `inputs`: one of the four activations that a residual block keeps, for one batch norm more
        in the backward pass.

        Args:
            inputs: [B, H, W, C] in the compute dtype of `conv`.
            conv: a `keras.layers.Conv2D` without bias.
        """
        if not _is_fused(inputs):
            return conv(keras.ops.relu(self(inputs, training=True)))

        def apply(inputs, gamma, beta, kernel):
            x, *moments = self._normalize(inputs, gamma, beta)
            return conv.convolution_op(keras.ops.relu(x), kernel), *moments

        kernel = tf.cast(conv.kernel, inputs.dtype)
        outputs, *moments = recomputing(apply)(inputs, *self._parameters(), kernel)
        self._move(inputs, *moments)
        return outputs

    def _parameters(self):
        return tf.convert_to_tensor(self.gamma.value), tf.convert_to_tensor(self.beta.value)

    def _normalize(self, inputs, gamma, beta):
        """Returns the outputs, the batch's mean and its unbiased variance."""
        unused = tf.zeros([0])  # The operation would read moving statistics in inference only.
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=unused,
            variance=unused,
            epsilon=self.epsilon,
            is_training=True,
        )
        return outputs, mean, variance

    def _move(self, inputs, mean, variance):
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        biased = variance * (count - 1) / count
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, biased)):
            moving.assign(self.momentum * moving.value + (1 - self.momentum) * value)


def _is_fused(inputs):
    is_alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    is_image = inputs.dtype in (tf.bfloat16, tf.float32) and len(inputs.shape) == 4
    return is_image and is_alone and not has_gpu
