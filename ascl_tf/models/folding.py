"""A convolution and its batch norm as one convolution, in inference mode."""

import tensorflow as tf

from ascl_tf.loops import once_per_loop


def conv_batch_norm(conv, norm, inputs, *, training, branch):
    """Returns the batch norm of a convolution, [B, H, W, C].

    In inference mode batch norm is an affine map of each channel, which goes into the kernel:

        norm(conv(x)) = conv(x; kernel * scale) + offset,
        scale = gamma / sqrt(variance + epsilon),  offset = beta - mean * scale

    Equal but for rounding. Attacks and evaluation are made of such passes, and every activation is
    read and written once less, forward and back; TensorFlow then joins convolution, offset and
    ReLU into one operation.

    Args:
        conv: a `keras.layers.Conv2D` without bias.
        norm: its `DualBatchNormalization`.
        inputs: [B, h, w, c] in the compute dtype of `conv`.
        training: Python bool; True: batch statistics, which cannot go into the kernel.
        branch: of `norm`.
    """
    if training:
        return norm(conv(inputs), training=True, branch=branch)

    def folded():
        scale, offset = norm.scale_and_offset(branch)
        kernel = tf.cast(conv.kernel, scale.dtype) * scale
        return tf.cast(kernel, inputs.dtype), tf.cast(offset, inputs.dtype)

    # In an attack the same for all steps.
    kernel, offset = once_per_loop((conv, norm, branch, inputs.dtype), folded)
    return tf.nn.bias_add(conv.convolution_op(inputs, kernel), offset)
