"""Adversarial training with rotation prediction beside it: one-shot, the baseline of Figure 1.

With x' = x + d, R_r the turn by r quarters, and w = `rotation_weight`:

    CE(f(x'), y) + w * 1/4 sum_r CE(g(R_r(x')), r)

g is a linear head on the same features, and d maximizes the whole of it. Hendrycks,
Mazeika, Kadavath, Song: Using self-supervised learning can improve model robustness and
uncertainty, NeurIPS 2019, arXiv:1906.12340, section 3.1. Images without a label take part
in the second term only. All passes use the adversarial branch.

Differs from the authors' code: docs/differences.md.
"""

import tensorflow as tf

from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.methods import pretext
from ascl_tf.methods.base import Method
from ascl_tf.methods.step_data import Outputs, Term, make_attacked_view
from ascl_tf.models import ADVERSARIAL, LinearHead


class RotationAdversarialTraining(Method):
    """Adversarial training plus `rotation_weight` times the rotation loss."""

    term_names = ("at_loss", "rotation_loss")

    def build(self, input_shape):
        pretext.check_image_shape("rotation_at", input_shape, is_square=True)
        super().build(input_shape)
        head = LinearHead(pretext.NUM_TURNS, name="rotation_head")
        self.rotation_head = self.add_part(head, self.feature_shape(input_shape))

    def make_views(self, batch):
        return make_attacked_view(batch, self.config.weak_augmentation)

    def make_adversarial(self, views):
        def objective(x):
            _, at_loss, rotation_loss = self._task_losses(x, views["labels"], training=False)
            return at_loss + self.config.rotation_weight * rotation_loss

        steps, seed = self.config.num_steps_at, views["seed_at"]
        return {"images_at": self.perturb(objective, views["images"], num_steps=steps, seed=seed)}

    def forward(self, views, adversarial):
        labels = views["labels"]
        # Adversarial branch, batch statistics of all turns; its statistics move.
        logits, at_loss, rotation_loss = self._task_losses(
            adversarial["images_at"], labels, training=True
        )
        terms = {
            "at_loss": self.class_term(at_loss, labels),
            "rotation_loss": Term(rotation_loss, weight=self.config.rotation_weight),
        }
        return Outputs(terms, robust_logits=logits)

    def _task_losses(self, images, labels, *, training):
        """Returns logits [B, C], cross-entropies [B] and rotation losses [B]."""
        turned = tf.concat(pretext.all_turns(images), axis=0)  # [4B, H, H, 3], turn-major
        features = self.encoder(turned, branch=ADVERSARIAL, training=training)
        logits = self.linear_head(tf.split(features, pretext.NUM_TURNS)[0])
        turns = tf.repeat(tf.range(pretext.NUM_TURNS), tf.shape(images)[0])
        rotation_losses = cross_entropy_loss(self.rotation_head(features), turns)
        rotation_losses = tf.reshape(rotation_losses, [pretext.NUM_TURNS, -1])
        return logits, cross_entropy_loss(logits, labels), tf.reduce_mean(rotation_losses, axis=0)
