"""DynACL: ACL under views that grow weaker, with an averaged encoder for the second view.

ACL's dual stream (acl.py), whose strength s and weights change every K = `dynacl_interval`
of the E epochs; e counts them from 0:

    s = 1 - K * floor(e / K) / E          w = min(r * (1 - s), 1),  r = `dynacl_weight_rate`

    (1 - w)/2 * NTX(v1, v2) + (1 + w)/2 * NTX(v1 + d1, v2 + d2)

v1 and v2 are strong views of strength s (data/views.py): at s = 0 nothing but the flip is
left. v1 goes through the trained encoder and head, v2 through averages of both, which move
by 1 - `dynacl_momentum` towards them after each update and get no gradient. The attack sees
the same two networks and perturbs both views together. The averages have moving statistics
of their own, those of v2. The averaged encoder is the result: the part `encoder` of a
checkpoint, which fine-tuning loads; the trained one is the part `online_encoder`. With
dynacl_momentum=0 there is one encoder for both views, as in ACL.

Luo et al. 2023, arXiv:2303.01289; the averages as in their code, PKU-ML/DYNACL.

Differs from the authors' code: docs/differences.md.
"""

import tensorflow as tf

from ascl_tf.methods.acl import Acl
from ascl_tf.models.averaged import copy_variables, make_twin, move_average


class DynAcl(Acl):
    """DynACL pre-training."""

    online_encoder = None
    online_projection_head = None
    mode = "ds"

    def build(self, input_shape):
        if self.config.dynacl_momentum == 0:
            super().build(input_shape)
            return
        # Made before others are built: what is made draws the seed of its initial weights.
        encoder = make_twin(self.encoder, "online_encoder")
        head = make_twin(self.projection_head, "online_projection_head")
        super().build(input_shape)
        self.online_encoder = self.add_part(encoder, input_shape)
        self.online_projection_head = self.add_part(head, self.feature_shape(input_shape))
        for online, averaged in self._twins():
            copy_variables(online, averaged)

    def _twins(self):
        """Pairs of a trained part and its average."""
        if self.online_encoder is None:
            return []
        return [
            (self.online_encoder, self.encoder),
            (self.online_projection_head, self.projection_head),
        ]

    @property
    def trained_layers(self):
        return [online for online, _ in self._twins()] or super().trained_layers

    @property
    def has_scheduled_loss(self):
        return True

    def strength(self):
        config = self.config
        stage_begin = self.epoch() // config.dynacl_interval * config.dynacl_interval
        return 1 - tf.cast(stage_begin, tf.float64) / config.epochs

    def term_weights(self):
        shift = tf.minimum(self.config.dynacl_weight_rate * (1 - self.strength()), 1.0)
        shift = tf.cast(shift, self.pixel_dtype)
        return (1 - shift) / 2, (1 + shift) / 2

    def projections(self, images, *, branch, training):
        """Returns projections [2B, D] of view-major images: view 1 by the averages."""
        if self.online_encoder is None:
            return super().projections(images, branch=branch, training=training)
        first, second = tf.split(images, 2, axis=0)
        features = self.online_encoder(first, branch=branch, training=training)
        rows = self.online_projection_head(features, branch=branch, training=training)
        # The averages get no gradient; the pixels of view 1 do.
        averaged = super().projections(second, branch=branch, training=training)
        return tf.concat([rows, averaged], axis=0)

    def after_update(self):
        for online, averaged in self._twins():
            move_average(averaged, online, self.config.dynacl_momentum)
