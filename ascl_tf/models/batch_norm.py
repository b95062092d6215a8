"""Batch normalization with named branches.

Clean and adversarial images have different statistics; each branch has its own
statistics and its own affine parameters (Xie et al. 2020, arXiv:1911.09665;
ASCL, Table 8). Fine-tuning, evaluation and export use the adversarial branch.
"""

import keras
import tensorflow as tf

from ascl_tf.models.fused_batch_norm import FusedBatchNormalization

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
        if batch_norm not in _SETS:
            raise ValueError(
                f"`batch_norm` must be 'separate', 'shared' or 'triple'; received {batch_norm!r}."
            )
        self.batch_norm = batch_norm
        names = dict.fromkeys(_SETS[batch_norm].values())
        self.branches = {name: _make_batch_norm(name, self.dtype_policy) for name in names}

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
