"""What stands on top of the encoder's features."""

import keras

from ascl_tf.models.batch_norm import ADVERSARIAL, DualBatchNormalization

NORMALIZED_LAYERS = ("hidden", "all", "none")


@keras.saving.register_keras_serializable("ascl_tf")
class ProjectionHead(keras.Model):
    """Features [B, F] -> projections [B, projection_dim] of unit l2 norm.

    By default Dense, batch norm, ReLU, Dense (Chen et al. 2020, arXiv:2002.05709), the
    batch norm with branches as in the encoder. Projections are normalized in at least
    float32, whatever the policy.

    Args:
        hidden_dim: width of the hidden layers.
        projection_dim: width of the projections.
        batch_norm: "separate", "shared" or "triple", see `DualBatchNormalization`.
        num_layers: Dense layers, 1 to 3; a ReLU stands behind all but the last.
        normalized_layers: behind which of them is batch norm: "hidden" (all but the
            last), "all" or "none". Such a layer has no bias, since the batch norm has one.

    Raises:
        ValueError: on `num_layers` or `normalized_layers` other than the above.
    """

    def __init__(
        self,
        hidden_dim=512,
        projection_dim=128,
        batch_norm="separate",
        num_layers=2,
        normalized_layers="hidden",
        **kwargs,
    ):
        super().__init__(**kwargs)
        _validate_projection_head(num_layers, normalized_layers)
        self.hidden_dim, self.projection_dim = hidden_dim, projection_dim
        self.batch_norm = batch_norm
        self.num_layers, self.normalized_layers = num_layers, normalized_layers
        names = ["hidden", "hidden2"][: num_layers - 1]
        self.hidden = [self._dense(name, hidden_dim, "he_normal") for name in names]
        self.hidden_bn = [self._norm(f"{name}_bn") for name in names if self._is_normalized(name)]
        self.output_dense = self._dense("output_dense", projection_dim, "glorot_uniform")
        self.output_bn = self._norm("output_bn") if normalized_layers == "all" else None

    def build(self, input_shape):
        shape, hidden_shape = input_shape, (input_shape[0], self.hidden_dim)
        for dense in self.hidden:
            dense.build(shape)
            shape = hidden_shape
        for norm in self.hidden_bn:
            norm.build(hidden_shape)
        self.output_dense.build(shape)
        if self.output_bn is not None:
            self.output_bn.build((input_shape[0], self.projection_dim))

    def call(self, features, training=False, branch=ADVERSARIAL):
        x = features
        for index, dense in enumerate(self.hidden):
            x = dense(x)
            if self.hidden_bn:
                x = self.hidden_bn[index](x, training=training, branch=branch)
            x = keras.ops.relu(x)
        x = self.output_dense(x)
        if self.output_bn is not None:
            x = self.output_bn(x, training=training, branch=branch)
        return l2_normalize(x)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "projection_dim": self.projection_dim,
            "batch_norm": self.batch_norm,
            "num_layers": self.num_layers,
            "normalized_layers": self.normalized_layers,
        }

    # The policy is named in each part, so that a saved head keeps it wherever it is loaded.

    def _dense(self, name, width, initializer):
        return keras.layers.Dense(
            width,
            use_bias=not self._is_normalized(name),
            kernel_initializer=initializer,
            name=name,
            dtype=self.dtype_policy,
        )

    def _norm(self, name):
        return DualBatchNormalization(self.batch_norm, name=name, dtype=self.dtype_policy)

    def _is_normalized(self, name):
        is_hidden = name != "output_dense"
        return self.normalized_layers == "all" or (self.normalized_layers == "hidden" and is_hidden)


def _validate_projection_head(num_layers, normalized_layers):
    if num_layers not in (1, 2, 3):
        raise ValueError(f"`num_layers` must be 1, 2 or 3; received {num_layers}.")
    if normalized_layers not in NORMALIZED_LAYERS:
        raise ValueError(
            f"`normalized_layers` must be one of {', '.join(NORMALIZED_LAYERS)}; "
            f"received {normalized_layers!r}."
        )


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


@keras.saving.register_keras_serializable("ascl_tf")
class PseudoLabelHeads(keras.layers.Layer):
    """Features [B, F] -> a list of logits [B, k], one linear head for each number of clusters.

    Args:
        cluster_counts: the numbers of clusters, k.
    """

    def __init__(self, cluster_counts, **kwargs):
        super().__init__(**kwargs)
        self.cluster_counts = tuple(cluster_counts)
        self.heads = [
            LinearHead(count, name=f"head_{place}", dtype=self.dtype_policy)
            for place, count in enumerate(self.cluster_counts)
        ]

    def build(self, input_shape):
        for head in self.heads:
            head.build(input_shape)

    def call(self, features):
        return [head(features) for head in self.heads]

    def get_config(self):
        return {**super().get_config(), "cluster_counts": self.cluster_counts}
