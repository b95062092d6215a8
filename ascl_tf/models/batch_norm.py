"""Batch normalization with named branches, fused in training and folded away in inference.

Clean and adversarial images have different statistics; each branch has its own
statistics and its own affine parameters (Xie et al. 2020, arXiv:1911.09665;
ASCL, Table 8). Fine-tuning, evaluation and export use the adversarial branch.
"""

import keras
import tensorflow as tf

from ascl_tf.loops import once_per_loop
from ascl_tf.models.recomputing import recomputing

CLEAN = "clean"
ADVERSARIAL = "adversarial"
BRANCHES = (CLEAN, ADVERSARIAL)
# Images that attack AdvCL's pseudo-labels. Without a set of their own they are adversarial.
ADVERSARIAL_CE = "adversarial_ce"

# batch_norm -> which set of statistics and parameters each branch uses.
_SETS = {
    "separate": {CLEAN: CLEAN, ADVERSARIAL: ADVERSARIAL, ADVERSARIAL_CE: ADVERSARIAL},
    "shared": dict.fromkeys((*BRANCHES, ADVERSARIAL_CE), "shared"),
    "triple": {branch: branch for branch in (*BRANCHES, ADVERSARIAL_CE)},
}

# PyTorch's 0.1 and 1e-5 in Keras' convention: published weights can be read in,
# and short runs do not end with statistics that are mostly their initial values.
MOMENTUM = 0.9
EPSILON = 1e-5


@keras.saving.register_keras_serializable("ascl_tf")
class DualBatchNormalization(keras.layers.Layer):
    """Batch normalization whose branch is named in each call.

    Args:
        batch_norm: "separate" (a set for clean and one for adversarial images), "shared"
            (one set for all), or "triple" (as separate, and a third set for the branch
            "adversarial_ce").

    Call with inputs [..., channels], `training` (False: moving statistics, nothing
    moves; True: batch statistics of the global batch, the branch's moving
    statistics are updated) and `branch`, "clean", "adversarial" or "adversarial_ce".
    """

    def __init__(self, batch_norm="separate", **kwargs):
        super().__init__(**kwargs)
        self._make_branches(batch_norm, _make_batch_norm)

    def _make_branches(self, batch_norm, make):
        if batch_norm not in _SETS:
            raise ValueError(
                f"`batch_norm` must be 'separate', 'shared' or 'triple'; received {batch_norm!r}."
            )
        self.batch_norm = batch_norm
        names = dict.fromkeys(_SETS[batch_norm].values())
        self.branches = {name: make(name, self.dtype_policy) for name in names}

    def build(self, input_shape):
        for layer in self.branches.values():
            layer.build(input_shape)

    def call(self, inputs, training=False, branch=ADVERSARIAL):
        return self.branch_layer(branch)(inputs, training=training)

    def branch_layer(self, branch):
        """Returns the Keras layer that holds the statistics of `branch`."""
        sets = _SETS[self.batch_norm]
        if branch not in sets:
            raise ValueError(f"`branch` must be one of {tuple(sets)}; received {branch!r}.")
        return self.branches[sets[branch]]

    def scale_and_offset(self, branch):
        """Returns what inference multiplies each channel by, and then adds: [C] and [C]."""
        layer = self.branch_layer(branch)
        variance, mean = layer.moving_variance.value, layer.moving_mean.value
        scale = layer.gamma.value * tf.math.rsqrt(variance + layer.epsilon)
        return scale, layer.beta.value - mean * scale

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "batch_norm": self.batch_norm}


def _make_batch_norm(name, dtype):
    # `synchronized` makes batch statistics those of the global batch.
    return FusedBatchNormalization(
        momentum=MOMENTUM, epsilon=EPSILON, synchronized=True, name=name, dtype=dtype
    )


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
