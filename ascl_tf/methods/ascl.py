"""Adversarial supervised contrastive learning (ASCL), the paper's method.

    L_AT(x + d_at) + lambda_1 * L_CL(v1 + d_cl1, v2 + d_cl2) + lambda_2 * L_ASCL(v1, v2; x + d_ascl)

Eq. 10 of Li et al. 2022. x is the weak view of an image, v1 and v2 are its strong
views. v1 and v2 without perturbation go through the branch `clean`; every perturbed
image, and the natural x of TRADES and MART, through `adversarial`. A term of
weight 0 is not computed, nor is its attack. Rows labelled -1 take part in L_CL only.

The attacks are in ascl_attacks.py.
"""

import tensorflow as tf

from ascl_tf.losses.contrastive import adversarial_supervised_contrastive_loss, nt_xent_loss
from ascl_tf.methods import ascl_attacks
from ascl_tf.methods.base import Method, Outputs, Purpose, Term
from ascl_tf.methods.outer_loss import make_outer_loss
from ascl_tf.methods.strong_views import make_strong_views
from ascl_tf.methods.supervised import make_weak_view
from ascl_tf.models import ADVERSARIAL, CLEAN


class Ascl(Method):
    """ASCL pre-training with every knob of `config`."""

    has_projection_head = True

    def __init__(self, *, config, **kwargs):
        self.has_cl, self.has_ascl = config.lambda_1 > 0, config.lambda_2 > 0
        is_active = {"at_loss": True, "cl_loss": self.has_cl, "ascl_loss": self.has_ascl}
        self.term_names = tuple(name for name, active in is_active.items() if active)
        super().__init__(config=config, **kwargs)
        self.outer_loss = make_outer_loss(
            config.outer_loss, trades_beta=config.trades_beta, mart_beta=config.mart_beta
        )

    @property
    def trained_layers(self):
        # Without a contrastive term nothing reaches the projection head.
        heads = [self.projection_head] if self.has_cl or self.has_ascl else []
        return [self.encoder, self.linear_head, *heads]

    @property
    def trained_branches(self):
        return (ADVERSARIAL, CLEAN) if self.has_clean_pass else (ADVERSARIAL,)

    @property
    def has_clean_pass(self):
        """Whether a term uses projections of unperturbed views."""
        return self.has_ascl or (self.has_cl and self.config.cl_mode != "a2a")

    def forward_units(self):
        config = self.config
        units = self.outer_loss.forward_units(config.num_steps_at)
        num_perturbed = 1 if config.cl_mode == "a2s" else 2
        if self.has_cl:
            units += num_perturbed * (2 * config.num_steps_cl + 3)
        if self.has_ascl:
            units += 2 * config.num_steps_ascl + 3
        # The clean views: once as the attacks' anchors, once in the step.
        return units + (2 + 6 if self.has_clean_pass else 0)

    def make_views(self, batch):
        seeds = batch.seeds
        seeds_cl = [seeds(purpose) for purpose in (Purpose.ATTACK_CL_0, Purpose.ATTACK_CL_1)]
        return {
            "images": make_weak_view(batch, self.config.weak_augmentation),  # [B, H, W, 3]
            "stacked_views": make_strong_views(batch, self.config),  # [2B, H, W, 3], view-major
            "labels": batch.labels,
            "seed_at": seeds(Purpose.ATTACK_AT),
            "seed_cl": tf.concat(seeds_cl, axis=0),
            "seed_ascl": seeds(Purpose.ATTACK_ASCL),
        }

    def make_adversarial(self, views):
        anchors = ascl_attacks.make_anchors(self, views)
        adversarial = {"images_at": ascl_attacks.perturb_for_at(self, views, anchors)}
        if self.has_cl:
            adversarial["views_cl"] = ascl_attacks.perturb_for_cl(self, views, anchors)
        if self.has_ascl:
            adversarial["images_ascl"] = ascl_attacks.perturb_for_ascl(self, views, anchors)
        return adversarial

    def forward(self, views, adversarial):
        clean = self._clean_projections(views)
        logits, projections = self._adversarial_pass(views, adversarial)
        labels = views["labels"]
        at_loss = self.outer_loss.per_example(logits.get("images"), logits["images_at"], labels)
        terms = {"at_loss": Term(at_loss, mask=labels >= 0)}
        if self.has_cl:
            cl_loss = self._cl_loss(clean, projections["views_cl"])
            terms["cl_loss"] = Term(cl_loss, weight=self.config.lambda_1)
        if self.has_ascl:
            terms["ascl_loss"] = self._ascl_term(clean, projections["images_ascl"], labels)
        return Outputs(terms, logits["images_at"], next(iter(projections.values()), None))

    def _clean_projections(self, views):
        """Projections [2B, D] of the strong views, where a term uses them."""
        if not self.has_clean_pass:
            return None
        # Clean branch, batch statistics; the clean branch's statistics move.
        return self.projections(views["stacked_views"], branch=CLEAN, training=True)

    def _adversarial_pass(self, views, adversarial):
        """Logits and projections, as dicts, of all images of the adversarial branch at once."""
        inputs = dict(adversarial)
        if self.outer_loss.needs_natural:
            inputs["images"] = views["images"]
        # Adversarial branch, batch statistics; the adversarial branch's statistics move.
        features = self._encode(inputs)
        logits = {k: self.linear_head(features[k]) for k in ("images", "images_at") if k in inputs}
        projected = [k for k in ("views_cl", "images_ascl") if k in inputs]
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

    def _ascl_term(self, clean, adversarial_projections, labels):
        """L_ASCL of eq. 9, mean over the labelled anchors."""
        per_anchor = adversarial_supervised_contrastive_loss(
            clean,
            adversarial_projections,
            labels,
            temperature=self.config.temperature,
            denominator=self.config.ascl_denominator,
            positives=self.config.ascl_positives,
        )
        is_labelled = tf.tile(labels >= 0, [2])
        return Term(per_anchor, weight=self.config.lambda_2, mask=is_labelled)


def second_view(stacked_views):
    """Returns the second half of view-major rows."""
    return stacked_views[tf.shape(stacked_views)[0] // 2 :]


def _split_like(rows, tensors, names):
    return tf.split(rows, [tf.shape(tensors[name])[0] for name in names], axis=0)
