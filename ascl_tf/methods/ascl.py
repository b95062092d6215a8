"""Adversarial supervised contrastive learning (ASCL), the paper's method.

    L_AT(x + d_at) + lambda_1 * L_CL(v1 + d_cl1, v2 + d_cl2) + lambda_2 * L_ASCL(v1, v2; x + d_ascl)

Eq. 10 of Li et al. 2022. x is the weak view of an image, v1 and v2 are its strong
views. v1 and v2 without perturbation go through the branch `clean`; every perturbed
image, and the natural x of TRADES and MART, through `adversarial`. A term of
weight 0 is not computed, nor is its attack. Rows labeled -1 take part in L_CL only; every
attack moves them too, see ascl_attacks.py.

Passes of a step, in the order in which statistics move, each with batch statistics of its own:
v1 and v2 together, the natural x of TRADES and MART, all perturbed images together.

`--ascl_loss` puts eq. 8, which the paper rejects, in place of eq. 9: the third term is then
L_ASCL(v1 + d_ascl1, v2 + d_ascl2), perturbed views against one another, with the perturbed
(adversarial_pair) or the unperturbed (adversarial_pair_clean) views in the denominator.

`--shared_perturbation` makes one perturbation of x serve several terms. With ascl, d_ascl = d_at:
x + d_at passes the network once for both terms, and there is no third attack. With all, it is the
adversarial view of L_CL too (under a2s: x + d_at against v2), and there is no second attack either.

The attacks are in ascl_attacks.py.
"""

import tensorflow as tf

from ascl_tf.losses.contrastive import (
    adversarial_pair_supervised_contrastive_loss,
    adversarial_supervised_contrastive_loss,
    nt_xent_loss,
)
from ascl_tf.methods import ascl_attacks
from ascl_tf.methods.base import Method
from ascl_tf.methods.outer_loss import AtAttack, make_outer_loss
from ascl_tf.methods.step_data import Outputs, Purpose, Term, make_strong_views, make_weak_view
from ascl_tf.models import ADVERSARIAL, CLEAN


class Ascl(Method):
    """ASCL pre-training with every knob of `config`."""

    has_projection_head = True

    def build(self, input_shape):
        super().build(input_shape)
        self.outer_loss = make_outer_loss(
            self.config.outer_loss,
            trades_beta=self.config.trades_beta,
            mart_beta=self.config.mart_beta,
        )
        self.at_attack = AtAttack(self)

    @property
    def has_cl(self):
        """Whether the objective has the self-supervised term."""
        return self.config.lambda_1 > 0

    @property
    def has_ascl(self):
        """Whether the objective has the supervised contrastive term."""
        return self.config.lambda_2 > 0

    @property
    def term_names(self):
        is_active = {"at_loss": True, "cl_loss": self.has_cl, "ascl_loss": self.has_ascl}
        return tuple(name for name, active in is_active.items() if active)

    @property
    def reports_projections(self):
        return self.has_cl or self.has_ascl

    @property
    def trained_layers(self):
        # Without a contrastive term nothing reaches the projection head.
        heads = [self.projection_head] if self.reports_projections else []
        return [self.encoder, self.linear_head, *heads]

    @property
    def trained_branches(self):
        return (ADVERSARIAL, CLEAN) if self.has_clean_pass else (ADVERSARIAL,)

    @property
    def has_clean_pass(self):
        """Whether a term uses projections of unperturbed views."""
        in_ascl = self.has_ascl and self.config.ascl_loss != "adversarial_pair"
        return in_ascl or (self.has_cl and self.config.cl_mode != "a2a")

    @property
    def perturbs_pair(self):
        """Whether the supervised term is that of two perturbed views (eq. 8)."""
        return self.config.ascl_loss != "clean_adversarial"

    @property
    def attacks_ascl(self):
        """Whether L_ASCL has a perturbation of its own, and a pass of what is perturbed."""
        return self.has_ascl and self.config.shared_perturbation == "none"

    @property
    def attacks_cl(self):
        """Whether L_CL has a perturbation of its own, and a pass of what is perturbed."""
        return self.has_cl and self.config.shared_perturbation != "all"

    @property
    def shares_perturbation(self):
        """Whether a contrastive term uses the classification term's adversarial image."""
        return (self.has_ascl, self.has_cl) != (self.attacks_ascl, self.attacks_cl)

    def make_views(self, batch):
        seeds = batch.seeds
        seeds_cl = [seeds(purpose) for purpose in (Purpose.ATTACK_CL_0, Purpose.ATTACK_CL_1)]
        seeds_ascl = [seeds(Purpose.ATTACK_ASCL)]
        if self.perturbs_pair:
            seeds_ascl.append(seeds(Purpose.ATTACK_ASCL_1))
        return {
            "images": make_weak_view(batch, self.config.weak_augmentation),  # [B, H, W, 3]
            "stacked_views": make_strong_views(
                batch, self.config.data
            ),  # [2B, H, W, 3], view-major
            "labels": batch.labels,
            "seed_at": seeds(Purpose.ATTACK_AT),
            "seed_cl": tf.concat(seeds_cl, axis=0),
            "seed_ascl": tf.concat(seeds_ascl, axis=0),
        }

    def make_adversarial(self, views):
        constants = ascl_attacks.make_constants(self, views)
        adversarial = {"images_at": ascl_attacks.perturb_for_at(self, views, constants)}
        if self.attacks_cl:
            adversarial["views_cl"] = ascl_attacks.perturb_for_cl(self, views, constants)
        if self.attacks_ascl:
            perturbed = ascl_attacks.perturb_for_ascl(self, views, constants)
            adversarial["views_ascl" if self.perturbs_pair else "images_ascl"] = perturbed
        return adversarial

    def forward(self, views, adversarial):
        clean = self._clean_projections(views)
        natural_logits = self._natural_logits(views)
        adversarial_logits, projections = self._adversarial_pass(adversarial)
        labels = views["labels"]
        at_loss = self.outer_loss.per_example(natural_logits, adversarial_logits, labels)
        terms = {"at_loss": self.class_term(at_loss, labels)}
        if self.has_cl:
            perturbed = projections["views_cl" if self.attacks_cl else "images_at"]
            cl_loss = self._cl_loss(clean, perturbed)
            terms["cl_loss"] = Term(cl_loss, weight=self.config.lambda_1)
        if self.has_ascl:
            terms["ascl_loss"] = self._ascl_term(clean, projections, labels)
        return Outputs(terms, adversarial_logits, next(iter(projections.values()), None))

    def _clean_projections(self, views):
        """Projections [2B, D] of the strong views, where a term uses them."""
        if not self.has_clean_pass:
            return None
        # Clean branch, batch statistics; the clean branch's statistics move.
        return self.projections(views["stacked_views"], branch=CLEAN, training=True)

    def _natural_logits(self, views):
        """Logits [B, C] of the natural images, where the outer loss needs them."""
        if not self.outer_loss.needs_natural:
            return None
        # Adversarial branch, statistics of this batch alone; the branch's statistics move.
        return self.logits(views["images"], branch=ADVERSARIAL, training=True)

    def _adversarial_pass(self, adversarial):
        """Logits [B, C] of x + d_at, and projections as a dict, of all perturbed images at once."""
        # Adversarial branch, batch statistics; the adversarial branch's statistics move.
        features = self._encode(adversarial)
        logits = self.linear_head(features["images_at"])
        projected = [k for k in ("views_cl", "images_ascl", "views_ascl") if k in adversarial]
        projected += ["images_at"] if self.shares_perturbation else []
        if not projected:
            return logits, {}
        rows = tf.concat([features[k] for k in projected], axis=0)
        rows = self.projection_head(rows, branch=ADVERSARIAL, training=True)
        return logits, dict(zip(projected, _split_like(rows, features, projected), strict=True))

    def _encode(self, inputs):
        rows = self.encoder(
            tf.concat(list(inputs.values()), axis=0), branch=ADVERSARIAL, training=True
        )
        return dict(zip(inputs, _split_like(rows, inputs, inputs), strict=True))

    def _cl_loss(self, clean, adversarial_views):
        """L_CL of eq. 4, [2B], in the mode `cl_mode`."""
        temperature = self.config.temperature
        if self.config.cl_mode == "a2s":
            pair = tf.concat([adversarial_views, second_view(clean)], axis=0)
            return nt_xent_loss(pair, temperature=temperature)
        adversarial_loss = nt_xent_loss(adversarial_views, temperature=temperature)
        if self.config.cl_mode == "a2a":
            return adversarial_loss
        return (adversarial_loss + nt_xent_loss(clean, temperature=temperature)) / 2

    def _ascl_term(self, clean, projections, labels):
        """L_ASCL of eq. 9 or 8, mean over the labeled anchors."""
        if self.perturbs_pair:
            per_anchor = self.pair_loss(projections["views_ascl"], clean, labels)
        else:
            perturbed = projections["images_ascl" if self.attacks_ascl else "images_at"]
            per_anchor = self.supervised_loss(perturbed, clean, labels)
        is_labeled = tf.tile(labels >= 0, [2])
        return Term(per_anchor, weight=self.config.lambda_2, mask=is_labeled)

    # The supervised losses, for the objective and its attacks.

    def supervised_loss(self, adversarial_projections, clean_projections, labels):
        """Returns eq. 9 per clean view, [2B]."""
        return adversarial_supervised_contrastive_loss(
            clean_projections,
            adversarial_projections,
            labels,
            temperature=self.config.temperature,
            denominator=self.config.ascl_denominator,
            positives=self.config.ascl_positives,
        )

    def pair_loss(self, adversarial_projections, clean_projections, labels):
        """Returns eq. 8 per perturbed view, [2B]."""
        keeps_clean = self.config.ascl_loss == "adversarial_pair_clean"
        return adversarial_pair_supervised_contrastive_loss(
            adversarial_projections,
            labels,
            temperature=self.config.temperature,
            clean_projections=clean_projections if keeps_clean else None,
        )


def second_view(stacked_views):
    """Returns the second half of view-major rows."""
    return stacked_views[tf.shape(stacked_views)[0] // 2 :]


def _split_like(rows, tensors, names):
    return tf.split(rows, [tf.shape(tensors[name])[0] for name in names], axis=0)
