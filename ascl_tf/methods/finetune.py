"""Fine-tuning of a pre-trained encoder (Table 7): lsf, laf, fsf, faf.

The first letter says what is trained: l(inear layer, encoder frozen including its
statistics) or f(ull network). The second the images: s(tandard), cross-entropy, or
a(dversarial), TRADES with a KL attack (or cross-entropy, `--finetune_loss=ce`).

Under faf with TRADES natural and adversarial images are two passes, in this order, each with
batch statistics of its own. `--finetune_natural_branch=clean` sends the natural images through
the clean branch, in the attack's target too (DynACL's recipe for encoders with two branches;
Luo et al. 2023, arXiv:2303.01289). Every adversarial image goes through the adversarial one.

Behind a frozen encoder the gradient is that of the linear layer, and in the attack that of the
images. The natural images' features are computed once per step, for target, loss and accuracy;
once per run where nothing augments the images (`has_fixed_features`).

Differs from the fine-tuning of ACL's, DynACL's and RoCL's authors: docs/differences.md.
"""

import tensorflow as tf

from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.methods.base import Method
from ascl_tf.methods.optimization import of_finetuning
from ascl_tf.methods.outer_loss import make_outer_loss, outer_loss_logits, perturb_for_outer_loss
from ascl_tf.methods.step_data import Outputs, make_attacked_view
from ascl_tf.models import ADVERSARIAL, CLEAN


class FineTune(Method):
    """Fine-tuning in the mode that `config.finetune` names."""

    def build(self, input_shape):
        super().build(input_shape)
        self.outer_loss = make_outer_loss(
            "trades" if self.config.finetune_loss == "trades" else "at",
            trades_beta=self.config.trades_beta,
            mart_beta=self.config.mart_beta,
        )

    def choose_optimization(self, config):
        return of_finetuning(config)

    @property
    def trains_encoder(self):
        """Whether everything is trained, not the linear layer alone."""
        return self.config.finetune in ("fsf", "faf")

    @property
    def is_adversarial(self):
        """Whether the loss is that of adversarial images."""
        return self.config.finetune in ("laf", "faf")

    @property
    def term_names(self):
        return ("adversarial_loss",) if self.is_adversarial else ("standard_loss",)

    @property
    def reports_robust_accuracy(self):
        return self.is_adversarial

    @property
    def trained_layers(self):
        return [self.encoder, self.linear_head] if self.trains_encoder else [self.linear_head]

    @property
    def trained_branches(self):
        return (ADVERSARIAL,) if self.natural_branch == ADVERSARIAL else (ADVERSARIAL, CLEAN)

    @property
    def natural_branch(self):
        """The branch of the natural images of an adversarial loss."""
        # A frozen encoder has one branch that it is used through.
        splits = self.trains_encoder and self.is_adversarial and self.outer_loss.needs_natural
        return self.config.finetune_natural_branch if splits else ADVERSARIAL

    @property
    def has_fixed_features(self):
        return not self.trains_encoder and self.config.finetune_augmentation == "none"

    def make_views(self, batch):
        views = make_attacked_view(batch, self.config.finetune_augmentation)
        if not self.trains_encoder:
            known = batch.features
            views["features"] = self._frozen(views["images"]) if known is None else known
        return views

    def _frozen(self, images):
        """Features [B, F] of a frozen encoder: inference mode, its statistics are part of it."""
        return self.encoder(images, branch=ADVERSARIAL, training=False)

    def make_adversarial(self, views):
        if not self.is_adversarial:
            return {}
        images = perturb_for_outer_loss(
            self,
            self.outer_loss,
            views,
            num_steps=self.config.finetune_num_steps,
            natural_branch=self.natural_branch,
            natural_logits=None if self.trains_encoder else self.standard_logits(views),
        )
        return {"images_at": images}

    def forward(self, views, adversarial):
        return (
            self._adversarial(views, adversarial) if self.is_adversarial else self._standard(views)
        )

    def standard_logits(self, views):
        if self.trains_encoder:
            return super().standard_logits(views)
        return self.linear_head(views["features"])

    def _standard(self, views):
        labels = views["labels"]
        if self.trains_encoder:
            # Batch statistics; the adversarial branch's statistics move.
            logits = self.logits(views["images"], branch=ADVERSARIAL, training=True)
        else:
            logits = self.standard_logits(views)
        return Outputs(
            {"standard_loss": self.class_term(cross_entropy_loss(logits, labels), labels)}
        )

    def _adversarial(self, views, adversarial):
        labels = views["labels"]
        natural_logits, adversarial_logits = self._outer_logits(views, adversarial)
        per_example = self.outer_loss.per_example(natural_logits, adversarial_logits, labels)
        terms = {"adversarial_loss": self.class_term(per_example, labels)}
        return Outputs(terms, robust_logits=adversarial_logits)

    def _outer_logits(self, views, adversarial):
        """Returns (natural or None, adversarial) logits."""
        if self.trains_encoder:
            # Batch statistics, and those of the branches passed through move.
            return outer_loss_logits(
                self,
                self.outer_loss,
                views,
                adversarial,
                training=True,
                natural_branch=self.natural_branch,
            )
        # The tape watches the linear head alone, so that no way back leads into the encoder.
        perturbed = self._frozen(adversarial["images_at"])
        if not self.outer_loss.needs_natural:
            return None, self.linear_head(perturbed)
        natural = tf.cast(views["features"], perturbed.dtype)  # Cached ones are float32.
        return tf.split(self.linear_head(tf.concat([natural, perturbed], axis=0)), 2, axis=0)
