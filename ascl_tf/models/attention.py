"""Attention pooling of patches, and the queries for patches that are not shown (Selfie)."""

import math

import keras

GRID = 4  # Patches per side of an image.
HEAD_DIM = 64


@keras.saving.register_keras_serializable("ascl_tf")
class PatchQueries(keras.Model):
    """Features of visible patches -> one query for each place that is hidden.

    A learned token and the features go through layers of self-attention; what becomes of
    the token describes the image. A query is that plus the embedding of the row and of the
    column of the hidden place. The visible patches carry no position.

    Trinh et al. 2019, arXiv:1906.02940; sizes as in Chen et al. 2020, arXiv:2003.12862: heads
    of 64 channels, twice the features' width inside. Differs from both: no dropout, whose
    random numbers would be those of a device and not of an image.

    Call with features [B, num_visible, F] and positions int32 [B, num_hidden] in 0..15, row
    by row; returns [B, num_hidden, F].
    """

    def __init__(self, num_layers=13, **kwargs):
        super().__init__(**kwargs)
        self.num_layers = num_layers
        dtype = self.dtype_policy
        self.attention_layers = [
            _AttentionLayer(name=f"layer{index + 1}", dtype=dtype) for index in range(num_layers)
        ]

    def build(self, input_shape):
        feature_dim = input_shape[-1]
        self.token = self.add_weight(name="token", shape=(1, 1, feature_dim), initializer="zeros")
        self.row_embeddings = self.add_weight(
            name="row_embeddings",
            shape=(GRID, feature_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )
        self.column_embeddings = self.add_weight(
            name="column_embeddings", shape=(GRID, feature_dim), initializer="zeros"
        )
        for layer in self.attention_layers:
            layer.build((input_shape[0], None, feature_dim))

    def call(self, features, positions):
        token = keras.ops.repeat(self.token, keras.ops.shape(features)[0], axis=0)
        x = keras.ops.concatenate([keras.ops.cast(token, features.dtype), features], axis=1)
        for layer in self.attention_layers:
            x = layer(x)
        places = self._embed(positions // GRID, self.row_embeddings)
        places += self._embed(positions % GRID, self.column_embeddings)
        return x[:, :1] + keras.ops.cast(places, x.dtype)  # [B, num_hidden, F]

    @staticmethod
    def _embed(indices, table):
        # Not a gather, whose gradient is sparse and is summed otherwise over replicas.
        return keras.ops.matmul(keras.ops.one_hot(indices, GRID, dtype=table.dtype), table)

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers}


class _AttentionLayer(keras.layers.Layer):
    """Self-attention and two dense layers, each added to its input and then normalized."""

    def build(self, input_shape):
        feature_dim, dtype = input_shape[-1], self.dtype_policy
        self.num_heads = max(1, feature_dim // HEAD_DIM)
        self.head_dim = min(HEAD_DIM, feature_dim)
        width = self.num_heads * self.head_dim
        sizes = {"query": width, "key": width, "value": width}
        self.projections = {
            name: keras.layers.Dense(size, name=name, dtype=dtype) for name, size in sizes.items()
        }
        self.output_dense = keras.layers.Dense(feature_dim, name="output_dense", dtype=dtype)
        self.wide = keras.layers.Dense(2 * feature_dim, name="wide", dtype=dtype)
        self.narrow = keras.layers.Dense(feature_dim, name="narrow", dtype=dtype)
        self.norms = [_LayerNormalization(name=f"norm{i}", dtype=dtype) for i in (1, 2)]
        for layer in [*self.projections.values(), self.wide, *self.norms]:
            layer.build(input_shape)
        self.output_dense.build((*input_shape[:-1], width))
        self.narrow.build((*input_shape[:-1], 2 * feature_dim))

    def call(self, inputs):
        x = self.norms[0](inputs + self._attend(inputs))
        inside = keras.ops.gelu(self.wide(x), approximate=True)
        return self.norms[1](x + self.narrow(inside))

    def _attend(self, inputs):
        query, key, value = (self._heads(dense(inputs)) for dense in self.projections.values())
        scores = keras.ops.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(self.head_dim)
        attended = keras.ops.einsum("bhqk,bkhd->bqhd", keras.ops.softmax(scores), value)
        shape = keras.ops.shape(attended)
        return self.output_dense(keras.ops.reshape(attended, (*shape[:2], shape[2] * shape[3])))

    def _heads(self, rows):
        shape = keras.ops.shape(rows)
        return keras.ops.reshape(rows, (*shape[:2], self.num_heads, self.head_dim))


class _LayerNormalization(keras.layers.Layer):
    """Each row with mean 0 and variance 1, then scaled and shifted, in at least float32.

    Not Keras' own: its variance comes from `tf.nn.moments`, which holds the mean constant.
    The first derivative is right all the same, the second one (selfie_dpe) is not.
    """

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")

    def call(self, inputs):
        wide = "float64" if inputs.dtype == "float64" else "float32"
        rows = keras.ops.cast(inputs, wide)
        rows -= keras.ops.mean(rows, axis=-1, keepdims=True)
        variance = keras.ops.mean(keras.ops.square(rows), axis=-1, keepdims=True)
        rows *= keras.ops.rsqrt(variance + 1e-5)
        gamma, beta = keras.ops.cast(self.gamma, wide), keras.ops.cast(self.beta, wide)
        return keras.ops.cast(gamma * rows + beta, inputs.dtype)
