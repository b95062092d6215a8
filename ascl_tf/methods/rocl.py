"""RoCL: contrastive learning whose third view is an instance-wise attack. No labels.

v1 and v2 are strong views of an image, NTX is NT-Xent without a gradient through the rows
that an anchor meets (losses/multi_view.py), with two positives per anchor where it has three views:

    NTX(v1, v2, v1 + d) + rocl_lambda * NTX(v1 + d, v2),    d raises NTX(v1 + d, v2)

Kim et al. 2020, arXiv:2006.07589. Each NTX is the mean over its anchors. All images go
through the branch `adversarial`: the method has one set of statistics. RoCL with robust
linear evaluation (rLE) is this pre-training, then `--finetune=laf --finetune_loss=ce`.

Differs from the authors' code: docs/differences.md. Differs from the paper, as their code
does: the sum over the two positives stands outside the logarithm.
"""

import tensorflow as tf

from ascl_tf.losses.multi_view import one_sided_nt_xent_loss
from ascl_tf.methods.base import Method
from ascl_tf.methods.step_data import Outputs, Purpose, Term, make_strong_views
from ascl_tf.models import ADVERSARIAL


class Rocl(Method):
    """RoCL pre-training."""

    has_classifier = False
    has_projection_head = True
    reports_robust_accuracy = False

    @property
    def has_pair_term(self):
        """Whether the objective has the term between adversarial and second view."""
        return self.config.rocl_lambda > 0

    @property
    def term_names(self):
        return ("contrastive_loss", *(("adversarial_loss",) if self.has_pair_term else ()))

    def make_views(self, batch):
        return {
            "stacked_views": make_strong_views(
                batch, self.config.data
            ),  # [2B, H, W, 3], view-major
            "seed_cl": batch.seeds(Purpose.ATTACK_CL_0),
        }

    def make_adversarial(self, views):
        first, second = tf.split(views["stacked_views"], 2, axis=0)
        # Inference mode throughout the attack: no statistic moves.
        target = self.projections(second, branch=ADVERSARIAL, training=False)
        return {
            "views_cl": self.perturb(
                self._attack_objective,
                first,
                num_steps=self.config.num_steps_cl,
                seed=views["seed_cl"],
                constants=(target,),
                gathers=True,
            )
        }

    def _attack_objective(self, images, target):
        perturbed = self.projections(images, branch=ADVERSARIAL, training=False)
        return self._contrast(tf.concat([perturbed, target], axis=0), num_views=2)

    def forward(self, views, adversarial):
        images = tf.concat([views["stacked_views"], adversarial["views_cl"]], axis=0)
        # Batch statistics of all three views together; the adversarial branch's statistics move.
        projections = self.projections(images, branch=ADVERSARIAL, training=True)
        terms = {"contrastive_loss": Term(self._contrast(projections, num_views=3))}
        _, second, perturbed = tf.split(projections, 3, axis=0)
        if self.has_pair_term:
            pair = tf.concat([perturbed, second], axis=0)
            terms["adversarial_loss"] = Term(
                self._contrast(pair, num_views=2), weight=self.config.rocl_lambda
            )
        return Outputs(terms, projections=perturbed)

    def _contrast(self, projections, *, num_views):
        return one_sided_nt_xent_loss(
            projections, num_views=num_views, temperature=self.config.temperature
        )
