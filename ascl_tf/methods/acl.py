"""Adversarial contrastive learning (ACL): SimCLR with perturbed views, without labels.

v1 and v2 are strong views of an image, d is the perturbation, NTX is NT-Xent (eq. 4).
`--acl_mode` chooses the views:

    ds   1/2 * [ NTX(v1, v2) + NTX(v1 + d1, v2 + d2) ]
    a2a  NTX(v1 + d1, v2 + d2)
    a2s  NTX(v1 + d1, v2)

Jiang et al. 2020, arXiv:2010.13337. d raises the NTX in which it stands; d1 and d2 are
found together. Unperturbed views go through the branch `clean` of encoder and head,
perturbed ones through `adversarial`, so that ds keeps two sets of statistics; under
`--batch_norm=shared` both are one set.

Differs from the authors' code: docs/differences.md.
"""

import tensorflow as tf

from ascl_tf.losses.contrastive import nt_xent_loss
from ascl_tf.methods.base import Method
from ascl_tf.methods.step_data import Outputs, Purpose, Term, make_strong_views
from ascl_tf.models import ADVERSARIAL, CLEAN


class Acl(Method):
    """ACL pre-training in the mode `config.acl_mode`."""

    has_classifier = False
    has_projection_head = True
    reports_robust_accuracy = False

    @property
    def mode(self):
        """Which views are adversarial: "ds", "a2a" or "a2s"."""
        return self.config.acl_mode

    @property
    def term_names(self):
        both = ("clean_loss", "adversarial_loss")
        return both if self.mode == "ds" else ("adversarial_loss",)

    @property
    def trained_branches(self):
        return (ADVERSARIAL,) if self.mode == "a2a" else (ADVERSARIAL, CLEAN)

    def strength(self):
        """Returns how strong the views are, from 0 to 1."""
        return 1.0

    def term_weights(self):
        """Returns the weights of `clean_loss` and `adversarial_loss` under ds."""
        return 0.5, 0.5

    def make_views(self, batch):
        purposes = (Purpose.ATTACK_CL_0, Purpose.ATTACK_CL_1)
        seeds_cl = [batch.seeds(purpose) for purpose in purposes]
        stacked_views = make_strong_views(batch, self.config.data, strength=self.strength())
        return {
            "stacked_views": stacked_views,  # [2B, H, W, 3], view-major
            "seed_cl": tf.concat(seeds_cl, axis=0),
        }

    def make_adversarial(self, views):
        images, seed, constants = views["stacked_views"], views["seed_cl"], ()
        objective = self._joint_objective
        if self.mode == "a2s":
            first, second = tf.split(images, 2, axis=0)
            images, seed = first, tf.split(seed, 2, axis=0)[0]
            # Constant in the attack: computed once. Inference mode, clean branch.
            constants = (self.projections(second, branch=CLEAN, training=False),)
            objective = self._objective_against_clean
        return {
            "views_cl": self.perturb(
                objective,
                images,
                num_steps=self.config.num_steps_cl,
                seed=seed,
                constants=constants,
                gathers=True,
            )
        }

    def _joint_objective(self, stacked_views):
        # Inference mode, adversarial branch: no statistic moves.
        projections = self.projections(stacked_views, branch=ADVERSARIAL, training=False)
        return nt_xent_loss(projections, temperature=self.config.temperature)

    def _objective_against_clean(self, images, clean_projections):
        perturbed = self.projections(images, branch=ADVERSARIAL, training=False)
        pair = tf.concat([perturbed, clean_projections], axis=0)
        return nt_xent_loss(pair, temperature=self.config.temperature)

    def forward(self, views, adversarial):
        temperature = self.config.temperature
        # Batch statistics; the adversarial branch's statistics move.
        perturbed = self.projections(adversarial["views_cl"], branch=ADVERSARIAL, training=True)
        if self.mode == "a2a":
            loss = nt_xent_loss(perturbed, temperature=temperature)
            return Outputs({"adversarial_loss": Term(loss)}, projections=perturbed)
        # Batch statistics; the clean branch's statistics move.
        clean = self.projections(self._clean_views(views), branch=CLEAN, training=True)
        if self.mode == "a2s":
            loss = nt_xent_loss(tf.concat([perturbed, clean], axis=0), temperature=temperature)
            return Outputs({"adversarial_loss": Term(loss)}, projections=perturbed)
        clean_weight, adversarial_weight = self.term_weights()
        terms = {
            "clean_loss": Term(nt_xent_loss(clean, temperature=temperature), clean_weight),
            "adversarial_loss": Term(
                nt_xent_loss(perturbed, temperature=temperature), adversarial_weight
            ),
        }
        return Outputs(terms, projections=perturbed)

    def _clean_views(self, views):
        stacked_views = views["stacked_views"]
        return tf.split(stacked_views, 2, axis=0)[1] if self.mode == "a2s" else stacked_views
