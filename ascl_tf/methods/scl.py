"""Supervised contrastive learning (SCL): views of the same class attract each other. No attack.

    loss_i = -1/|P(i)| * sum_{p in P(i)} log( exp(z_i.z_p / t) / sum_{a != i} exp(z_i.z_a / t) )

Eq. 7 of Li et al. 2022 over the 2N strong views of a batch, P(i) the other views of i's
class, mean over the anchors with a label; Khosla et al. 2020, arXiv:2004.11362. There is no
classifier: the linear layer is trained by fine-tuning. All images go through the branch
`adversarial`, the one that fine-tuning and evaluation use.

Images without a label take no part. Differs from the authors' code: docs/differences.md.
"""

import tensorflow as tf

from ascl_tf.losses.contrastive import supervised_contrastive_loss
from ascl_tf.methods.simclr import SimClr
from ascl_tf.methods.step_data import Term


class Scl(SimClr):
    """Supervised contrastive pre-training on unperturbed views."""

    def make_views(self, batch):
        return {**super().make_views(batch), "labels": batch.labels}

    def contrastive_term(self, projections, views):
        labels = tf.tile(views["labels"], [2])
        loss = supervised_contrastive_loss(projections, labels, temperature=self.config.temperature)
        return Term(loss, mask=labels >= 0)
