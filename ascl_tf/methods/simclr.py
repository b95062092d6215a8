"""SimCLR and supervised contrastive learning (SCL) on strong views. No attack.

SimCLR: two strong views of an image attract each other, all other images repel.

v1 and v2 are strong views, NTX is NT-Xent (eq. 4), a mean over the 2N views:

    NTX(v1, v2)

Chen et al. 2020, arXiv:2002.05709. SCL: views of the same class attract each other.

    loss_i = -1/|P(i)| * sum_{p in P(i)} log( exp(z_i.z_p / t) / sum_{a != i} exp(z_i.z_a / t) )

Eq. 7 of Li et al. 2022 over the 2N strong views of a batch, P(i) the other views of i's class, mean
over the anchors with a label; Khosla et al. 2020, arXiv:2004.11362. There is no classifier: the
linear layer is trained by fine-tuning. Images without a label take no part.

All images go through the branch `adversarial`, the one that fine-tuning and evaluation use.

Differs from the authors' code: docs/differences.md.
"""

import tensorflow as tf

from ascl_tf.losses.contrastive import nt_xent_loss, supervised_contrastive_loss
from ascl_tf.methods.base import Method
from ascl_tf.methods.step_data import Outputs, Term, make_strong_views
from ascl_tf.models import ADVERSARIAL


class SimClr(Method):
    """Self-supervised contrastive pre-training on unperturbed views."""

    has_classifier = False
    has_projection_head = True
    reports_robust_accuracy = False
    term_names = ("contrastive_loss",)

    def make_views(self, batch):
        return {"stacked_views": make_strong_views(batch, self.config.data)}  # [2B, H, W, 3]

    def make_adversarial(self, views):
        return {}

    def forward(self, views, adversarial):
        # Batch statistics of both views together; the adversarial branch's statistics move.
        projections = self.projections(views["stacked_views"], branch=ADVERSARIAL, training=True)
        term = self.contrastive_term(projections, views)
        return Outputs({"contrastive_loss": term}, projections=projections)

    def contrastive_term(self, projections, views):
        """Returns the `Term` of the two views' projections [2B, D]."""
        return Term(nt_xent_loss(projections, temperature=self.config.temperature))


class Scl(SimClr):
    """Supervised contrastive pre-training on unperturbed views."""

    def make_views(self, batch):
        return {**super().make_views(batch), "labels": batch.labels}

    def contrastive_term(self, projections, views):
        labels = tf.tile(views["labels"], [2])
        loss = supervised_contrastive_loss(projections, labels, temperature=self.config.temperature)
        return Term(loss, mask=labels >= 0)
