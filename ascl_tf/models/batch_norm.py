"""Batch normalisation with named branches.

Clean and adversarial images have different statistics; each branch has its own
statistics and its own affine parameters (Xie et al. 2020, arXiv:1911.09665;
ASCL, Table 8). Fine-tuning, evaluation and export use the adversarial branch.
"""

import keras

CLEAN = "clean"
ADVERSARIAL = "adversarial"
BRANCHES = (CLEAN, ADVERSARIAL)

# PyTorch's 0.1 and 1e-5 in Keras' convention: published weights can be read in,
# and short runs do not end with statistics that are mostly their initial values.
MOMENTUM = 0.9
EPSILON = 1e-5


@keras.saving.register_keras_serializable("ascl_tf")
class DualBatchNormalization(keras.layers.Layer):
    """Batch normalisation whose branch is named in each call.

    Args:
        batch_norm: "separate" (one set per branch) or "shared" (one set for both).

    Call with inputs [..., channels], `training` (False: moving statistics, nothing
    moves; True: batch statistics of the global batch, the branch's moving
    statistics are updated) and `branch`, "clean" or "adversarial".
    """

    def __init__(self, batch_norm="separate", **kwargs):
        super().__init__(**kwargs)
        if batch_norm not in ("separate", "shared"):
            raise ValueError(
                f"`batch_norm` must be 'separate' or 'shared'; received {batch_norm!r}."
            )
        self.batch_norm = batch_norm
        names = BRANCHES if batch_norm == "separate" else ("shared",)
        self.branches = {name: _make_batch_norm(name, self.dtype_policy) for name in names}

    def build(self, input_shape):
        for layer in self.branches.values():
            layer.build(input_shape)

    def call(self, inputs, training=False, branch=ADVERSARIAL):
        return self.branch_layer(branch)(inputs, training=training)

    def branch_layer(self, branch):
        """Returns the Keras layer that holds the statistics of `branch`."""
        if branch not in BRANCHES:
            raise ValueError(f"`branch` must be one of {BRANCHES}; received {branch!r}.")
        return self.branches["shared" if self.batch_norm == "shared" else branch]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "batch_norm": self.batch_norm}


def _make_batch_norm(name, dtype):
    # `synchronized` makes batch statistics those of the global batch.
    return keras.layers.BatchNormalization(
        momentum=MOMENTUM, epsilon=EPSILON, synchronized=True, name=name, dtype=dtype
    )
