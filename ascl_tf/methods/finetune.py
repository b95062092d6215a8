"""Fine-tuning of a pre-trained encoder (Table 7): lsf, laf, fsf, faf.

The first letter says what is trained: l(inear layer, encoder frozen including its
statistics) or f(ull network). The second the images: s(tandard), cross-entropy, or
a(dversarial), TRADES with a KL attack (or cross-entropy, `--finetune_loss=ce`).

Under faf with TRADES, `--finetune_natural_branch=clean` sends the natural images through the
clean branch, in the attack's target too (DynACL's recipe for encoders with two branches;
Luo et al. 2023, arXiv:2303.01289). Every adversarial image goes through the adversarial one.

Differs from DynACL's code: the attack starts at a uniform draw, not at the image itself.
"""

from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.methods.base import Method
from ascl_tf.methods.outer_loss import make_outer_loss
from ascl_tf.methods.step_data import Outputs, Purpose, Term
from ascl_tf.methods.supervised import make_weak_view, outer_loss_logits, perturb_for_outer_loss
from ascl_tf.models import ADVERSARIAL, CLEAN


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
    def trained_branches(self):
        return (ADVERSARIAL,) if self.natural_branch == ADVERSARIAL else (ADVERSARIAL, CLEAN)

    @property
    def natural_branch(self):
        """The branch of the natural images of an adversarial loss."""
        # A frozen encoder has one branch that it is used through.
        splits = self.trains_encoder and self.is_adversarial and self.outer_loss.needs_natural
        return self.config.finetune_natural_branch if splits else ADVERSARIAL

    # What the config says of pre-training does not hold here.

    @property
    def optimizer_name(self):
        return "sgd"

    @property
    def nesterov(self):
        return False

    @property
    def weight_decay(self):
        return self.config.finetune_weight_decay

    @property
    def perturbs_weights(self):
        return False

    def forward_units(self):
        num_passes, attack = 1, 0
        if self.is_adversarial:
            num_passes += self.outer_loss.needs_natural
            attack = self.outer_loss.attack_units(self.config.finetune_num_steps)
        # Behind a frozen encoder the way back is the linear head's alone.
        return 1 + attack + num_passes * (3 if self.trains_encoder else 1)

    def make_views(self, batch):
        return {
            "images": make_weak_view(batch, self.config.finetune_augmentation),
            "labels": batch.labels,
            "seed_at": batch.seeds(Purpose.ATTACK_AT),
        }

    def make_adversarial(self, views):
        if not self.is_adversarial:
            return {}
        images = perturb_for_outer_loss(
            self,
            self.outer_loss,
            views,
            num_steps=self.config.finetune_num_steps,
            natural_branch=self.natural_branch,
        )
        return {"images_at": images}

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
        # Full: batch statistics, and those of the branches passed through move.
        natural_logits, adversarial_logits = outer_loss_logits(
            self,
            self.outer_loss,
            views,
            adversarial,
            training=self.trains_encoder,
            natural_branch=self.natural_branch,
        )
        per_example = self.outer_loss.per_example(natural_logits, adversarial_logits, labels)
        terms = {"adversarial_loss": Term(per_example, mask=labels >= 0)}
        return Outputs(terms, robust_logits=adversarial_logits)
