"""One-shot supervised training: standard, AT, TRADES and MART.

No separate fine-tuning: the linear head that is trained along is the classifier.
Baselines of Table 1. All passes use the adversarial branch, the one that evaluation
and export use.

AT, TRADES and MART can take images without a label into account (`unlabeled_kl_weight`): the KL
divergence from their own prediction on the natural image, after Alayrac et al. 2019,
arXiv:1905.13725. AT then makes a natural pass too, of all images of the batch.

Natural and adversarial images are two passes, each with batch statistics
of its own, the natural ones first: a moving statistic m goes to 0.9 (0.9 m + 0.1 n) + 0.1 a.

Differs from the authors' code: docs/differences.md.
"""

from ascl_tf.losses.classification import cross_entropy_loss, kl_divergence
from ascl_tf.methods.base import Method
from ascl_tf.methods.outer_loss import (
    AtAttack,
    make_outer_loss,
    outer_loss_logits,
    perturb_for_outer_loss,
)
from ascl_tf.methods.step_data import Outputs, Term, make_attacked_view, make_weak_view
from ascl_tf.models import ADVERSARIAL


class Standard(Method):
    """Cross-entropy on natural images."""

    term_names = ("standard_loss",)
    reports_robust_accuracy = False

    def make_views(self, batch):
        images = make_weak_view(batch, self.config.weak_augmentation)
        return {"images": images, "labels": batch.labels}

    def make_adversarial(self, views):
        return {}

    def forward(self, views, adversarial):
        labels = views["labels"]
        # Batch statistics of the natural images; the adversarial branch's statistics move.
        logits = self.logits(views["images"], branch=ADVERSARIAL, training=True)
        return Outputs(
            {"standard_loss": self.class_term(cross_entropy_loss(logits, labels), labels)}
        )


class AdversarialTraining(Method):
    """A classification loss on adversarial images; `outer_loss` names which one."""

    outer_loss_name = "at"

    @property
    def has_unlabeled_term(self):
        """Whether images without a label count."""
        return self.config.unlabeled_kl_weight > 0

    @property
    def term_names(self):
        return ("at_loss", *(["unlabeled_loss"] if self.has_unlabeled_term else []))

    def build(self, input_shape):
        super().build(input_shape)
        self.outer_loss = make_outer_loss(
            self.outer_loss_name,
            trades_beta=self.config.trades_beta,
            mart_beta=self.config.mart_beta,
        )
        if self.has_unlabeled_term:
            self.outer_loss = self.outer_loss._replace(needs_natural=True)
        self.at_attack = AtAttack(self)

    def make_views(self, batch):
        return make_attacked_view(batch, self.config.weak_augmentation)

    def make_adversarial(self, views):
        steps, perturb = self.config.num_steps_at, self.at_attack.perturb
        images = perturb_for_outer_loss(
            self, self.outer_loss, views, num_steps=steps, perturb=perturb
        )
        return {"images_at": images}

    def forward(self, views, adversarial):
        labels = views["labels"]
        natural_logits, adversarial_logits = outer_loss_logits(
            self, self.outer_loss, views, adversarial, training=True
        )
        per_example = self.outer_loss.per_example(natural_logits, adversarial_logits, labels)
        terms = {"at_loss": self.class_term(per_example, labels)}
        if self.has_unlabeled_term:
            terms["unlabeled_loss"] = Term(
                kl_divergence(natural_logits, adversarial_logits),
                weight=self.config.unlabeled_kl_weight,
                mask=labels < 0,
            )
        return Outputs(terms, robust_logits=adversarial_logits)


class Trades(AdversarialTraining):
    """TRADES (Zhang et al. 2019, arXiv:1901.08573)."""

    outer_loss_name = "trades"


class Mart(AdversarialTraining):
    """MART (Wang et al. 2020)."""

    outer_loss_name = "mart"
