"""Batch norm whose training pass reads and writes the activations once."""

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch norm, by TensorFlow's one operation where a single CPU trains images.

    Keras' own goes over the activations once for each mean, difference and product, and in
    bfloat16 through float32 copies of them. Statistics, parameters and the arithmetic are float32
    in both, moving variances those of the biased variance; results differ by rounding. Several
    replicas, whose statistics are common, GPUs, float64 and rows of features have Keras' own.
    """

    def call(self, inputs, training=None, mask=None):
        if training and _is_fused(inputs):
            return self._normalize(inputs)
        return super().call(inputs, training=training, mask=mask)

    def _normalize(self, inputs):
        unused = tf.zeros([0])  # The operation would read moving statistics in inference only.
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma.value),
            offset=tf.convert_to_tensor(self.beta.value),
            mean=unused,
            variance=unused,
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        self._move(self.moving_mean, mean)
        # The operation gives the unbiased variance.
        self._move(self.moving_variance, variance * (count - 1) / count)
        return outputs

    def _move(self, moving, value):
        moving.assign(self.momentum * moving.value + (1 - self.momentum) * value)


def _is_fused(inputs):
    is_alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    is_image = inputs.dtype in (tf.bfloat16, tf.float32) and len(inputs.shape) == 4
    return is_image and is_alone and not has_gpu
