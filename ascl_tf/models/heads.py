"""What stands on top of the encoder's features."""

import keras

from ascl_tf.models.batch_norm import ADVERSARIAL, DualBatchNormalization


@keras.saving.register_keras_serializable("ascl_tf")
class ProjectionHead(keras.Model):
    """Features [B, F] -> projections [B, projection_dim] of unit l2 norm.

    Dense, batch norm, ReLU, Dense (Chen et al. 2020, arXiv:2002.05709), the batch
    norm with branches as in the encoder. Projections are normalised in at least
    float32, whatever the policy.
    """

    def __init__(self, hidden_dim=512, projection_dim=128, batch_norm="separate", **kwargs):
        super().__init__(**kwargs)
        self.hidden_dim, self.projection_dim = hidden_dim, projection_dim
        self.batch_norm = batch_norm
        # Named in each part, so that a saved head keeps its policy wherever it is loaded.
        dtype = self.dtype_policy
        # The batch norm behind it has the offset, so the first layer needs no bias.
        self.hidden = keras.layers.Dense(
            hidden_dim, use_bias=False, kernel_initializer="he_normal", name="hidden", dtype=dtype
        )
        self.hidden_bn = DualBatchNormalization(batch_norm, name="hidden_bn", dtype=dtype)
        self.output_dense = keras.layers.Dense(
            projection_dim, kernel_initializer="glorot_uniform", name="output_dense", dtype=dtype
        )

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.hidden_bn.build((input_shape[0], self.hidden_dim))
        self.output_dense.build((input_shape[0], self.hidden_dim))

    def call(self, features, training=False, branch=ADVERSARIAL):
        x = self.hidden(features)
        x = keras.ops.relu(self.hidden_bn(x, training=training, branch=branch))
        return l2_normalize(self.output_dense(x))

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "projection_dim": self.projection_dim,
            "batch_norm": self.batch_norm,
        }


@keras.saving.register_keras_serializable("ascl_tf")
class LinearHead(keras.layers.Layer):
    """Features [B, F] -> logits [B, num_classes], at least float32.

    Starts at zero: every class is as likely as any other, and the first steps of a
    fine-tuning do not depend on a random draw.
    """

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        self.dense = keras.layers.Dense(
            num_classes, kernel_initializer="zeros", dtype=wide, name="dense"
        )

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, features):
        return self.dense(features)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_classes)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


def l2_normalize(vectors):
    """Returns `vectors` [B, D] with unit l2 norm per row, in at least float32.

    A zero vector stays zero, with a finite gradient.
    """
    # The gradient at zero is the floor's inverse root; it must fit into the vectors' type.
    floor = 1e-8 if vectors.dtype == "float16" else 1e-12
    if vectors.dtype in ("float16", "bfloat16"):
        vectors = keras.ops.cast(vectors, "float32")
    squared_norm = keras.ops.sum(keras.ops.square(vectors), axis=-1, keepdims=True)
    return vectors * keras.ops.rsqrt(keras.ops.maximum(squared_norm, floor))
