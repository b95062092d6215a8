"""Warnings of training: collapsed projections, a rising loss, accuracy no better than chance."""

import math

import numpy as np
from scipy.special import stdtrit

from ascl_tf.training.overfitting import OverfittingWatch, is_trained_in_one_step
from ascl_tf.training.run_warnings import Watch


def make_watches(method, dataset, checkpoints, writer, clock, agree):
    """Returns the callbacks that warn of a method's collapse and catastrophic overfitting.

    Args:
        method: compiled `Method`.
        dataset: `ImageDataset` that it is trained on.
        checkpoints: `StageCheckpoints`.
        writer: TensorBoard's.
        clock: `TrainingClock`.
        agree: callable (function) -> what `function` () returns, in a cluster the chief's: what
            decides how training goes on must be the same on every worker.
    """
    watches = [CollapseWatch(checkpoints, writer)] if can_collapse(method) else []
    if is_trained_in_one_step(method):
        watches.append(OverfittingWatch(method, dataset, checkpoints, writer, clock, agree))
    return watches


def make_loss_watches(method, checkpoints, writer, num_steps):
    """Returns the callbacks that compare the end of a stage's loss with its start.

    None where the loss means something else at the end, nor where a stage is too short to tell.

    Args:
        method: compiled `Method`.
        checkpoints: `StageCheckpoints`.
        writer: TensorBoard's.
        num_steps: steps of the whole stage.
    """
    if method.config.smoke or num_steps < MIN_STEPS or method.has_scheduled_loss:
        return []
    return [LossWatch(num_steps, checkpoints, writer)]


def make_validation_watches(method, labels, checkpoints, writer, *, num_steps, num_epochs):
    """Returns the callbacks that look at what validation has measured; they stand behind it.

    Args:
        method: compiled `Method`.
        labels: int [N] of the validation images; None without validation.
        checkpoints: `StageCheckpoints`.
        writer: TensorBoard's.
        num_steps, num_epochs: length of the whole stage.
    """
    if method.config.smoke or labels is None:
        return []
    return [
        OneAnswerWatch(labels, num_steps, checkpoints, writer),
        ChanceWatch(labels, num_epochs, checkpoints, writer),
    ]


# In units of 1 / sqrt(D).
SMALLEST_SPREAD, RECOVERED_SPREAD = 0.1, 0.2


class CollapseWatch(Watch):
    """Warns when the spread of the projections vanishes.

    The spread s, `projection_std`, is the standard deviation of each of D coordinates over a
    batch, averaged. Where k coordinates vary, each as much as the other,

        s = sqrt(k / D * (1 - c)) / sqrt(D),     c the mean cosine of two images' projections,

    which is 1 / sqrt(D) for unit vectors in all directions. Below 0.1 / sqrt(D) it is
    k / D * (1 - c) < 0.01: two images' projections have a cosine above 0.99 on average, or they
    differ in a hundredth of the coordinates alone. Above 0.2 / sqrt(D) it is over.
    """

    warning, metric = "collapse", "train/projection_std"
    _before = None

    def on_train_batch_begin(self, batch, logs=None):
        due = self.is_due(batch, self.checkpoints.step + 1)
        self._before = self._counts() if due else None

    def on_train_batch_end(self, batch, logs=None):
        if self._before is None:
            return
        (total, count), (old_total, old_count) = self._counts(), self._before
        if count <= old_count:  # A rollback has put the metric back.
            return
        # Of this step alone, so that an interruption changes nothing.
        spread = (total - old_total) / (count - old_count)
        unit = 1 / math.sqrt(self.model.projection_dim)
        self.judge(
            spread,
            is_bad=spread < SMALLEST_SPREAD * unit,
            is_good=spread >= RECOVERED_SPREAD * unit,
            text=(
                f"the spread of the projections is {spread:.2g}, less than a tenth of {unit:.2g}, "
                "the value for spread-out projections in "
                f"{self.model.projection_dim} dimensions: all images get nearly "
                "the same projection. A lower learning rate or another temperature may help"
            ),
        )

    def _counts(self):
        variables = self.model.scalars["projection_std"].variables
        return [float(variable.numpy()) for variable in variables]


def can_collapse(method):
    """Returns whether a method reports the spread of projections."""
    return "projection_std" in method.scalars


# A tenth of a stage, and no fewer steps: the spread of two losses says nothing.
SHARE, SMALLEST_PART = 10, 3
# A shorter stage has hardly begun to learn.
MIN_STEPS = 20
# How often a stage that learns nothing, its losses alike from first to last, may be warned of.
LEVEL = 0.01


class LossWatch(Watch):
    """Compares the mean loss of a stage's last tenth with that of its first, at the stage's end.

    With m, m' the two means over n steps each, and s the standard deviation of the first n
    losses, t = (m' - m) / (s * sqrt(2 / n)) follows Student's distribution of n - 1 degrees of
    freedom where the losses are alike from first to last. It warns above the quantile 1 - LEVEL.
    The spread is that of the first steps alone: losses that run away also scatter.

    The sums are part of the checkpoints' history.

    Args:
        num_steps: steps of the whole stage.
        checkpoints, writer: as for `Watch`.
    """

    warning, metric = "rising_loss", "train/loss"
    _before = None

    def __init__(self, num_steps, checkpoints, writer):
        super().__init__(checkpoints, writer)
        self._num_steps = num_steps
        self._length = max(SMALLEST_PART, num_steps // SHARE)

    def on_train_batch_begin(self, batch, logs=None):
        self._before = self._total() if self._part_of(self.checkpoints.step + 1) else None

    def on_train_batch_end(self, batch, logs=None):
        step = self.checkpoints.step
        if self._before is not None:
            self._add(self._part_of(step), self._before, self._total())
        if step == self._num_steps:
            self._compare()

    def _part_of(self, step):
        if step <= self._length:
            return "first"
        return "last" if step > self._num_steps - self._length else None

    def _total(self):
        return [float(variable.numpy()) for variable in self.model.scalars["loss"].variables]

    def _add(self, part, before, after):
        (total, count), (old_total, old_count) = after, before
        if count <= old_count:  # A rollback has put the metric back.
            return
        # Of this step alone, so that an interruption changes nothing.
        loss = (total - old_total) / (count - old_count)
        sums = self.checkpoints.history.stage_loss.setdefault(part, [0, 0.0, 0.0])
        sums[:] = [sums[0] + 1, sums[1] + loss, sums[2] + loss**2]

    def _compare(self):
        sums = self.checkpoints.history.stage_loss
        if not all(sums.get(part, [0])[0] >= SMALLEST_PART for part in ("first", "last")):
            return  # Rollbacks, or a version that kept no sums.
        (count, first, spread), (_, last, _) = (_moments(*sums[p]) for p in ("first", "last"))
        margin = stdtrit(count - 1, 1 - LEVEL) * spread * math.sqrt(2 / count)
        is_bad = last > first + max(margin, _rounding(first, last))
        self.judge(
            last,
            is_bad=is_bad,
            is_good=not is_bad,
            text=(
                f"the mean loss is {last:.4g} over the last {count} steps but was {first:.4g} over "
                f"the first {count}: training made it worse. A lower learning rate may help"
            ),
        )


def _moments(count, total, squares):
    mean = total / count
    variance = max(squares - count * mean**2, 0.0) / (count - 1)
    return count, mean, math.sqrt(variance)


def _rounding(*values):
    """Differences of float32 totals are exact to about this."""
    return 1e-4 * max(map(abs, values))


# Fewer images may well have the same class, or be told right by chance.
MIN_IMAGES = 10
# Standard errors above the chance of a share of so many images: one in forty exceeds two by luck.
MARGIN = 2


class OneAnswerWatch(Watch):
    """Warns when all validation images are given one class, though they have several.

    Not in the first tenth of a stage, in which that is no wonder.

    Args:
        labels: int [N] of the validation images.
        num_steps: steps of the whole stage.
        checkpoints, writer: as for `Watch`.
    """

    warning, metric = "one_answer", "val/predicted_classes"

    def __init__(self, labels, num_steps, checkpoints, writer):
        super().__init__(checkpoints, writer)
        self._num_classes, self._num_images = len(np.unique(labels)), len(labels)
        self._begin = max(MIN_STEPS, num_steps / 10)

    def on_epoch_end(self, epoch, logs=None):
        count = self.checkpoints.history.epochs[-1].get(self.metric)
        if count is None or self.checkpoints.step < self._begin:
            return
        self.judge(
            count,
            is_bad=count < 2 <= self._num_classes and self._num_images >= MIN_IMAGES,
            is_good=count >= 2,
            text=(
                f"all {self._num_images} validation images, of {self._num_classes} classes, get "
                "the same prediction. A lower learning rate may help; pixels are in [0, 1]"
            ),
        )


class ChanceWatch(Watch):
    """Warns when a stage ends with a best checkpoint that is no better than chance.

    Chance is the share p of the largest class among the N validation images, which one answer
    for all of them gets right. What is no better than p + MARGIN * sqrt(p * (1 - p) / N) cannot
    be told from it. Adversarial training is judged by robust accuracy, by which the best
    checkpoint is chosen, all else by standard accuracy.

    Args:
        labels: int [N] of the validation images.
        num_epochs: epochs of the whole stage.
        checkpoints, writer: as for `Watch`.
    """

    warning = "no_better_than_chance"

    def __init__(self, labels, num_epochs, checkpoints, writer):
        super().__init__(checkpoints, writer)
        self._num_images, self._num_epochs = len(labels), num_epochs
        self._chance = np.bincount(labels).max() / len(labels)

    def on_epoch_end(self, epoch, logs=None):
        history = self.checkpoints.history
        is_judged = self._num_images >= MIN_IMAGES and self.checkpoints.step >= MIN_STEPS
        if epoch + 1 != self._num_epochs or not history.best_epoch or not is_judged:
            return
        kind = "robust" if self.model.reports_robust_accuracy else "standard"
        self.metric = f"val/{kind}_accuracy"
        accuracy = history.epochs[history.best_epoch - 1][self.metric]
        error = np.sqrt(self._chance * (1 - self._chance) / self._num_images)
        is_bad = bool(accuracy <= 100 * (self._chance + MARGIN * error))
        self.judge(
            accuracy,
            is_bad=is_bad,
            is_good=not is_bad,
            text=(
                f"{kind} accuracy of the best checkpoint, from epoch {history.best_epoch}, is "
                f"{accuracy:.1f}: the largest class makes up {100 * self._chance:.1f} % of the "
                f"{self._num_images} validation images (standard error {100 * error:.1f})"
            ),
        )
