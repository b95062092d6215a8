"""One linear head for each clustering of the training images."""

import keras

from ascl_tf.models.heads import LinearHead


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
