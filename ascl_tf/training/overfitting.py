"""The warning of catastrophic overfitting, and the guard of FGSM-RS.

Trained by an attack of one step, a network can come to withstand that step and nothing else,
from one epoch to the next: accuracy under the training attack stays high, or rises, and
accuracy under PGD falls to nothing (Wong et al. 2020, arXiv:2001.03994, who stop when PGD
accuracy on training images falls). So both are measured on the same few training images, fixed
and not augmented, and each attack starts where it did before.
"""

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.methods.finetune import FineTune
from ascl_tf.models import ADVERSARIAL
from ascl_tf.training.run_warnings import Watch, find_open

NUM_IMAGES, NUM_STEPS = 128, 10
# Percent of the images. Healthy networks lose a few; of 128 images the difference of the two
# has a standard error of about 3.
SMALLEST_GAP = 15.0
# Share of the one-step accuracy that is left under PGD, in an occurrence and after it.
LOST, RECOVERED = 1 / 2, 2 / 3
# Keeps the starts of the probe's attacks apart from all other random numbers of a run.
_PROBE = 0x0F6


class OverfittingWatch(Watch):
    """Compares accuracy under the training attack with accuracy under PGD-10.

    What is seen is written to TensorBoard. With `--fgsm_guard=pgd` a warning switches FGSM-RS to
    PGD for the rest of the run; the switch is part of the history.

    Args:
        method: `Method` that is trained by an attack of one step, see `is_trained_in_one_step`.
        dataset: `ImageDataset`, what it is trained on.
        checkpoints: `StageCheckpoints`.
        writer: TensorBoard's.
        clock: `TrainingClock`; the probe is a cost of the recipe.
        agree: see `make_watches`.
    """

    warning, metric = "catastrophic_overfitting", "probe/pgd_accuracy"
    every = 200  # A look costs as much as some steps of the fast recipe.

    def __init__(self, method, dataset, checkpoints, writer, clock, agree):
        super().__init__(checkpoints, writer)
        self._clock, self._agree = clock, agree
        self._measure, self._chance = make_probe(method, dataset), chance(dataset.labels)
        self._guards = method.config.fgsm_guard == "pgd" and _is_fast(method)

    def on_train_begin(self, logs=None):
        if self._guards and any(e.get("switched") for e in self.checkpoints.history.warnings):
            self.model.at_attack.switch_to_pgd()

    def is_due(self, batch, step):
        """Returns whether to look: not after each of epochs that take fewer steps than a look."""
        is_long = self.params["steps"] >= self.every
        return step % self.every == 0 or (is_long and super().is_due(batch, step))

    def on_train_batch_end(self, batch, logs=None):
        if not self.is_due(batch, self.checkpoints.step):
            return
        with self._clock.counting():
            one_step, pgd = self._agree(self._measure)
        with self.writer.as_default(self.checkpoints.step):
            for name, value in (("one_step_accuracy", one_step), ("pgd_accuracy", pgd)):
                description = f"Percent of the probe's training images, {name.replace('_', ' ')}."
                tf.summary.scalar(f"probe/{name}", value, description=description)
        is_new = self.judge(
            pgd,
            # A network that has learned nothing yet loses what it has by accident.
            is_bad=pgd < LOST * one_step
            and one_step - pgd > SMALLEST_GAP
            and one_step > self._chance,
            is_good=pgd >= RECOVERED * one_step,
            text=(
                f"accuracy is {pgd:.1f} under PGD but {one_step:.1f} under one attack step, on the "
                f"same training images: the network is robust to its training attack only. "
                + ("Training switches to PGD" if self._guards else "Train with more attack steps")
            ),
        )
        if is_new and self._guards:
            find_open(self.checkpoints.history, self.warning)["switched"] = True
            self.model.at_attack.switch_to_pgd()


def is_trained_in_one_step(method):
    """Returns whether robust accuracy is trained by one attack step, as long as the radius."""
    config = method.config
    if isinstance(method, FineTune):
        # A frozen encoder cannot learn to withstand one step alone.
        is_learned = method.trains_encoder and method.is_adversarial
        num_steps = config.finetune_num_steps
    else:
        is_learned = method.has_classifier and method.reports_robust_accuracy
        num_steps = config.num_steps_at
    is_single = num_steps == 1 and config.step_size >= config.epsilon
    return is_learned and (is_single or _is_fast(method))


def make_probe(method, dataset):
    """Returns a function () -> accuracies in percent after one attack step, and after PGD-10.

    In inference mode; no variable moves. It is traced here, so that the first call is as quick
    as any other.
    """
    config, rows = method.config, _spread_out(dataset.labels)
    images = tf.constant(dataset.images[rows] / np.float32(255))
    labels = tf.constant(dataset.labels[rows])
    first = config.fgsm_step_ratio * float(config.epsilon) if _is_fast(method) else None
    seeds = randomness.position_seeds(
        tf.constant([config.seed, _PROBE], tf.int32), tf.range(len(rows))
    )

    def logits_of(x):
        return method.logits(x, branch=ADVERSARIAL, training=False)

    def accuracy(num_steps, step_size=None):
        adversarial = method.perturb(
            lambda x: cross_entropy_loss(logits_of(x), labels),
            images,
            num_steps=num_steps,
            seed=seeds,
            step_size=step_size,
        )
        is_right = tf.argmax(logits_of(adversarial), axis=1, output_type=tf.int32) == labels
        return 100 * tf.reduce_mean(tf.cast(is_right, tf.float32))

    @tf.function(autograph=False)
    def accuracies():
        return accuracy(1, first), accuracy(NUM_STEPS)

    accuracies.get_concrete_function()
    return lambda: tuple(float(value) for value in accuracies())


def chance(labels):
    """Returns the accuracy on the probe of one answer for all images, in percent."""
    counts = np.bincount(np.asarray(labels)[_spread_out(labels)])
    return 100 * counts.max() / counts.sum()


def _is_fast(method):
    attack = getattr(method, "at_attack", None)
    return attack is not None and attack.is_fast


def _spread_out(labels):
    """Returns places of at most `NUM_IMAGES` labeled images, from first to last."""
    labeled = np.flatnonzero(np.asarray(labels) >= 0)
    return labeled[np.linspace(0, len(labeled) - 1, min(NUM_IMAGES, len(labeled))).astype(int)]
