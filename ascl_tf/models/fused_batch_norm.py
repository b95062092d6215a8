"""Batch norm that reads and writes bfloat16 once, and computes in float32."""

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch norm, by TensorFlow's one operation where bfloat16 activations are trained.

    Keras' own would copy them to float32, there and back.
    Statistics, parameters and the arithmetic are float32 in both, moving variances those of the
    biased variance. Several replicas, whose statistics are common, GPUs, and rows of features
    have Keras' own.
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
    return inputs.dtype == tf.bfloat16 and len(inputs.shape) == 4 and is_alone and not has_gpu
