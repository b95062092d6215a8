"""Fine-tuning of a pre-trained encoder (Table 7): lsf, laf, fsf, faf.

The first letter says what is trained: l(inear layer, encoder frozen including its
statistics) or f(ull network). The second the images: s(tandard), cross-entropy, or
a(dversarial), TRADES with a KL attack (or cross-entropy, `--finetune_loss=ce`).
"""

from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.methods.base import Method, Outputs, Purpose, Term
from ascl_tf.methods.outer_loss import make_outer_loss
from ascl_tf.methods.supervised import make_weak_view, outer_loss_logits, perturb_for_outer_loss
from ascl_tf.models import ADVERSARIAL


class FineTune(Method):
    """Fine-tuning in the mode that `config.finetune` names."""

    def __init__(self, *, config, **kwargs):
        self.trains_encoder = config.finetune in ("fsf", "faf")
        self.is_adversarial = config.finetune in ("laf", "faf")
        self.term_names = ("adversarial_loss",) if self.is_adversarial else ("standard_loss",)
        self.reports_robust_accuracy = self.is_adversarial
        super().__init__(config=config, **kwargs)
        self.outer_loss = make_outer_loss(
            "trades" if config.finetune_loss == "trades" else "at",
            trades_beta=config.trades_beta,
            mart_beta=config.mart_beta,
        )

    @property
    def trained_layers(self):
        return [self.encoder, self.linear_head] if self.trains_encoder else [self.linear_head]

    @property
    def weight_decay(self):
        return self.config.finetune_weight_decay

    def make_views(self, batch):
        return {
            "images": make_weak_view(batch, self.config.finetune_augmentation),
            "labels": batch.labels,
            "seed_at": batch.seeds(Purpose.ATTACK_AT),
        }

    def make_adversarial(self, views):
        if not self.is_adversarial:
            return {}
        num_steps = self.config.finetune_num_steps
        return {
            "images_at": perturb_for_outer_loss(self, self.outer_loss, views, num_steps=num_steps)
        }

    def forward(self, views, adversarial):
        return (
            self._adversarial(views, adversarial) if self.is_adversarial else self._standard(views)
        )

    def _standard(self, views):
        labels = views["labels"]
        # A frozen encoder stays in inference mode: its statistics are part of it.
        logits = self.logits(views["images"], branch=ADVERSARIAL, training=self.trains_encoder)
        return Outputs(
            {"standard_loss": Term(cross_entropy_loss(logits, labels), mask=labels >= 0)}
        )

    def _adversarial(self, views, adversarial):
        labels = views["labels"]
        natural_logits, adversarial_logits = outer_loss_logits(
            self, self.outer_loss, views, adversarial, training=self.trains_encoder
        )
        per_example = self.outer_loss.per_example(natural_logits, adversarial_logits, labels)
        terms = {"adversarial_loss": Term(per_example, mask=labels >= 0)}
        return Outputs(terms, robust_logits=adversarial_logits)
