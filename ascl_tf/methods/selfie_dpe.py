"""Selfie, rotation and jigsaw together, with a penalty on how alike their gradients are (DPE).

Three encoders, one for each task t: the image itself with hidden patches (selfie.py), the
image turned by a random number of quarters (4 classes), and the image with its 4 x 4 patches
reordered (31 classes: 30 fixed permutations, and as it is). With x_t the task's version of an
image, d_t its own perturbation, and w = `dpe_weight`:

    minimized over the weights: 1/6 sum_t ( L_t(x_t) + L_t(x_t + d_t) ) + w * D
    maximized over d_t:             sum_t            L_t(x_t + d_t)    + w * D

    D = log det( G^T G + 1e-5 I ),  G's columns the normalized gradients of L_t(x_t + d_t)
                                    with respect to x_t + d_t

so that every attack step differentiates twice. Chen et al.: Adversarial robustness: from
self-supervised pre-training to fine-tuning, CVPR 2020, arXiv:2003.12862. The sign is that of
the authors' code: D is largest for gradients at right angles, the attack looks for these, and
training lowers D under it. A negative `dpe_weight` turns both round. With 0 no D is computed.

Each encoder is fine-tuned by itself (`--encoder_part`), and at test their mean probability
decides (`python -m ascl_tf.evaluate --model=A,B,C`). No labels are used. All passes use the
adversarial branch.

Differs from the authors' code: docs/differences.md.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.losses.inputs import at_least_float32
from ascl_tf.methods import pretext
from ascl_tf.methods.base import Method
from ascl_tf.methods.selfie import make_patch_queries, patch_losses
from ascl_tf.methods.step_data import Outputs, Purpose, Term, make_weak_view
from ascl_tf.models import ADVERSARIAL
from ascl_tf.models.averaged import make_twin

TASKS = ("selfie", "rotation", "jigsaw")
RIDGE = 1e-5  # Chen et al.'s code.
# Squared norm below which a gradient counts as absent (1e-10 as a norm in Chen et al.'s code).
SMALLEST_SQUARED_NORM = 1e-20


class SelfieDpe(Method):
    """Three pretext tasks on three encoders with the gradients' log-determinant."""

    has_classifier = False
    reports_robust_accuracy = False

    @property
    def has_penalty(self):
        """Whether the objective has the gradients' log-determinant."""
        return self.config.dpe_weight != 0

    @property
    def term_names(self):
        losses = tuple(f"{task}_loss" for task in TASKS)
        return (*losses, "log_determinant") if self.has_penalty else losses

    def build(self, input_shape):
        pretext.check_image_shape("selfie_dpe", input_shape, is_square=True, has_patches=True)
        features, queries = self.feature_shape(input_shape), (None, None, self.encoder.feature_dim)
        # Made before one is built: what is made draws the seed of its initial weights.
        parts = {
            make_twin(self.encoder, "encoder_rotation"): input_shape,
            make_twin(self.encoder, "encoder_jigsaw"): input_shape,
            make_patch_queries(self.config): queries,
            _make_head(pretext.NUM_TURNS, "rotation_head"): features,
            _make_head(pretext.NUM_JIGSAW_CLASSES, "jigsaw_head"): features,
        }
        super().build(input_shape)
        self.feature_shape(pretext.patch_shape(input_shape))  # Raises if it takes no patches.
        for part, shape in parts.items():
            setattr(self, part.name, self.add_part(part, shape))
        table_seed = tf.constant([self.config.seed, int(Purpose.JIGSAW)], tf.int32)
        self.jigsaw_table = pretext.make_jigsaw_table(table_seed).numpy()

    def make_views(self, batch):
        seeds = batch.seeds
        images = make_weak_view(batch, self.config.weak_augmentation)
        turns = pretext.draw_turns(seeds(Purpose.ROTATION))
        classes = pretext.draw_jigsaw_classes(seeds(Purpose.JIGSAW))
        orders = tf.gather(self.jigsaw_table, classes)
        shuffled = pretext.reorder_patches(images, orders)
        starts = (Purpose.ATTACK_PRETEXT, Purpose.ATTACK_ROTATION, Purpose.ATTACK_JIGSAW)
        return {
            "images": images,
            # [3B, H, W, 3], one task after the other.
            "stacked_views": tf.concat([images, pretext.turn(images, turns), shuffled], axis=0),
            "patch_orders": pretext.draw_patch_orders(seeds(Purpose.PATCHES)),
            "turns": turns,
            "jigsaw_classes": classes,
            "seed_pretext": tf.concat([seeds(purpose) for purpose in starts], axis=0),
        }

    def make_adversarial(self, views):
        def objective(x):
            losses, log_determinant = self._attacked_losses(x, views, training=False)
            total = tf.add_n(losses)
            if self.has_penalty:
                total += self.config.dpe_weight * log_determinant
            return total

        perturbed = self.perturb(
            objective,
            views["stacked_views"],
            num_steps=self.config.num_steps_pretext,
            seed=views["seed_pretext"],
        )
        return {"views_pretext": perturbed}

    def forward(self, views, adversarial):
        # Of each encoder twice the adversarial branch with batch statistics, which move.
        clean = self._task_losses(
            tf.split(views["stacked_views"], len(TASKS)), views, training=True
        )
        perturbed, log_determinant = self._attacked_losses(
            adversarial["views_pretext"], views, training=True
        )
        terms = {
            f"{task}_loss": Term((natural + attacked) / 2, weight=1 / len(TASKS))
            for task, natural, attacked in zip(TASKS, clean, perturbed, strict=True)
        }
        if self.has_penalty:
            terms["log_determinant"] = Term(log_determinant, weight=self.config.dpe_weight)
        return Outputs(terms)

    def _attacked_losses(self, stacked_views, views, *, training):
        """Returns the three losses [B] and D [B], which is None without the penalty."""
        images = tf.split(stacked_views, len(TASKS))
        if not self.has_penalty:
            return self._task_losses(images, views, training=training), None
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            losses = self._task_losses(images, views, training=training)
            total = tf.add_n([tf.reduce_sum(loss) for loss in losses])
        # Inside the tape of the attack, or of the step, which differentiates it again.
        return losses, gradient_log_determinant(tape.gradient(total, images))

    def _task_losses(self, images, views, *, training):
        """Returns the losses [B] of the three tasks on `images`, one tensor for each."""
        selfie_images, turned, shuffled = images
        settings = {"branch": ADVERSARIAL, "training": training}
        turn_logits = self.rotation_head(self.encoder_rotation(turned, **settings))
        order_logits = self.jigsaw_head(self.encoder_jigsaw(shuffled, **settings))
        patch_loss = patch_losses(
            self.encoder,
            self.patch_queries,
            selfie_images,
            views["patch_orders"],
            num_masked=self.config.num_patches_masked,
            training=training,
        )
        return [
            patch_loss,
            cross_entropy_loss(turn_logits, views["turns"]),
            cross_entropy_loss(order_logits, views["jigsaw_classes"]),
        ]


def _make_head(num_classes, name):
    """Returns features -> logits in at least float32, with weights that are drawn.

    From zero, as a `LinearHead` begins, D would be as steep as the head is small.
    """
    return keras.layers.Dense(num_classes, name=name, dtype=keras.config.floatx())


def gradient_log_determinant(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the log-determinant of the Gram matrix of each image's unit gradients.

    With the columns of G the gradients of the M tasks, each divided by its l2 norm:

        log det( G^T G + 1e-5 I )

    Near 0 for gradients at right angles, and low for gradients that point the same way or
    opposite ways; with all equal it is log(M + 1e-5) + (M - 1) log(1e-5). Chen et al. 2020,
    arXiv:2003.12862, as their code has it. Twice differentiable everywhere, at equal and at
    vanishing gradients too, thanks to the 1e-5 I.

    Args:
        gradients: list of M tensors [B, ...] of one shape, any float dtype: the gradients of
            the tasks' losses with respect to their own version of the image.

    Returns:
        [B], float64 for float64 `gradients`, else float32. A gradient of length 0 counts as
        a zero column.

    Raises:
        ValueError: if there are fewer than two gradients, or their shapes differ.
    """
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    _check_gradients(gradients)
    dtype = at_least_float32(gradients[0]).dtype
    # In float64: the determinant is as small as 1e-10 where float32 resolves 1e-7.
    rows = [tf.reshape(tf.cast(g, tf.float64), [tf.shape(g)[0], -1]) for g in gradients]
    columns = tf.stack([_unit(row) for row in rows], axis=1)  # [B, M, D]
    gram = tf.matmul(columns, columns, transpose_b=True)  # [B, M, M]
    gram += RIDGE * tf.eye(len(gradients), dtype=tf.float64)
    return tf.cast(_log_determinant(gram), dtype)


def _unit(rows: tf.Tensor) -> tf.Tensor:
    squared_norm = tf.reduce_sum(tf.square(rows), axis=1, keepdims=True)
    return rows * tf.math.rsqrt(tf.maximum(squared_norm, SMALLEST_SQUARED_NORM))


def _log_determinant(matrices: tf.Tensor) -> tf.Tensor:
    """Returns the log-determinant [B] of symmetric positive definite [B, M, M], by elimination.

    Not `tf.linalg`: its gradients invert matrices, which raises on NaN in mid-training
    where the run should end with a line that says so.
    """
    total = 0.0
    for _ in range(matrices.shape[1]):
        pivot = matrices[:, :1, :1]
        total += tf.math.log(pivot[:, 0, 0])
        matrices = matrices[:, 1:, 1:] - matrices[:, 1:, :1] * matrices[:, :1, 1:] / pivot
    return total


def _check_gradients(gradients: Sequence[tf.Tensor]) -> None:
    shapes = [gradient.shape for gradient in gradients]
    is_valid = len(shapes) >= 2 and all(shape.is_compatible_with(shapes[0]) for shape in shapes)
    if not is_valid:
        raise ValueError(
            "`gradients` must be two or more tensors [B, ...] of one shape; "
            f"received {', '.join(str(shape) for shape in shapes) or 'none'}."
        )
