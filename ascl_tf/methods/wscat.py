"""WSCAT: adversarial training for partly labeled images, with a supervised contrastive term.

With x' = x + d, p and p' the softmax of the logits of x and x', z and z' unit projections of their
features, each by a linear layer of its own, and c the most likely class of p:

    CE_s(p, y) + w * [ KL(p || p') + v * SupCon((z, c), (z', c)) ],    d raises the bracket

CE_s has labels smoothed by 0.1, w is `wscat_weight` and v `wscat_contrastive_weight`. SupCon
(eq. 7 of the paper) is over all 2B rows, whose class is that of their image's prediction. Rows
without a label take part in the bracket alone; the authors give each one a label beforehand, as
`--pseudo_label_classifier` does.

Weakly supervised contrastive adversarial training, CVPR 2025, arXiv:2503.11032. x is the weak view.
All passes use the adversarial branch: x first, then x'.

Differs from the authors' code: docs/differences.md.
"""

import keras
import tensorflow as tf

from ascl_tf.losses.classification import cross_entropy_loss, kl_divergence
from ascl_tf.losses.contrastive import supervised_contrastive_loss
from ascl_tf.losses.inputs import at_least_float32
from ascl_tf.methods.base import Method
from ascl_tf.methods.step_data import Outputs, Term, make_attacked_view
from ascl_tf.models import ADVERSARIAL
from ascl_tf.models.heads import l2_normalize

PROJECTION_DIM = 256
LABEL_SMOOTHING = 0.1


class Wscat(Method):
    """The second stage of WSCAT, whose linear head is the classifier."""

    term_names = ("standard_loss", "kl_loss", "contrastive_loss")
    reports_projections = True
    projection_dim = PROJECTION_DIM

    def build(self, input_shape):
        super().build(input_shape)
        shape = self.feature_shape(input_shape)
        names = ("natural_projection", "adversarial_projection")
        self.natural_projection, self.adversarial_projection = (
            self.add_part(keras.layers.Dense(PROJECTION_DIM, name=name), shape) for name in names
        )

    def make_views(self, batch):
        return make_attacked_view(batch, self.config.weak_augmentation)

    def make_adversarial(self, views):
        natural_logits, natural = self._pass(
            views["images"], self.natural_projection, training=False
        )

        def objective(x, natural_logits, natural):
            logits, perturbed = self._pass(x, self.adversarial_projection, training=False)
            contrastive = self._contrastive_losses(natural_logits, natural, perturbed)
            of_images = tf.add_n(tf.split(contrastive, 2)) / 2
            weight = self.config.wscat_contrastive_weight
            return kl_divergence(natural_logits, logits) + weight * of_images

        images = self.perturb(
            objective,
            views["images"],
            num_steps=self.config.num_steps_at,
            seed=views["seed_at"],
            constants=(natural_logits, natural),
            gathers=True,
        )
        return {"images_at": images}

    def forward(self, views, adversarial):
        labels, config = views["labels"], self.config
        # Both with batch statistics of their own; the adversarial branch's statistics move.
        natural_logits, natural = self._pass(
            views["images"], self.natural_projection, training=True
        )
        logits, perturbed = self._pass(
            adversarial["images_at"], self.adversarial_projection, training=True
        )
        contrastive = self._contrastive_losses(natural_logits, natural, perturbed)
        weight = config.wscat_weight
        terms = {
            "standard_loss": self.class_term(
                _smoothed_cross_entropy(natural_logits, labels), labels
            ),
            "kl_loss": Term(kl_divergence(natural_logits, logits), weight=weight),
            "contrastive_loss": Term(contrastive, weight=weight * config.wscat_contrastive_weight),
        }
        return Outputs(terms, robust_logits=logits, projections=perturbed)

    def _pass(self, images, projection, *, training):
        """Returns logits [B, C] and unit projections [B, D]."""
        features = self.encoder(images, branch=ADVERSARIAL, training=training)
        return self.linear_head(features), l2_normalize(projection(features))

    def _contrastive_losses(self, natural_logits, natural, perturbed):
        """Returns the loss of each projection, [2B], those of natural images first."""
        classes = tf.argmax(natural_logits, axis=1, output_type=tf.int32)
        return supervised_contrastive_loss(
            tf.concat([natural, perturbed], axis=0),
            tf.tile(classes, [2]),
            temperature=self.config.temperature,
        )


def _smoothed_cross_entropy(logits, labels):
    """Returns the cross-entropy against labels with a share spread over all classes, [B]."""
    uniform = -tf.reduce_mean(tf.nn.log_softmax(at_least_float32(logits)), axis=1)
    losses = cross_entropy_loss(logits, labels)
    return (1 - LABEL_SMOOTHING) * losses + LABEL_SMOOTHING * uniform
