"""Warnings of a classifier that tells no validation images apart, or does no better than chance."""

import numpy as np
import tensorflow as tf

from ascl_tf.evaluation.evaluation_data import padded_batches
from ascl_tf.training.loss_watch import MIN_STEPS
from ascl_tf.training.run_warnings import Watch

# Fewer images may well have the same class, or be told right by chance.
MIN_IMAGES = 10
# Standard errors above the chance of a share of so many images: one in forty exceeds two by luck.
MARGIN = 2


def make_prediction_counter(logits_fn, dataset, batch_size):
    """Returns a function () -> how many different classes the images of a data set are given.

    Args:
        logits_fn: images float32 [B, H, W, 3] in [0, 1] -> logits [B, C]; it may change between
            two calls.
        dataset: `ImageDataset`.
        batch_size: images at a time.
    """

    @tf.function(autograph=False)
    def predict(images):
        return tf.argmax(logits_fn(tf.cast(images, tf.float32) / 255), axis=1)

    def count():
        places = padded_batches(np.arange(len(dataset)), min(batch_size, len(dataset)))
        found = [predict(tf.constant(dataset.images[rows])).numpy() for rows, _ in places]
        return len(np.unique(np.concatenate(found)))

    return count


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
                f"is 1: all {self._num_images} validation images, of {self._num_classes} classes, "
                "get the same answer. A lower learning rate may help; pixels are in [0, 1]"
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
                f"of the best checkpoint, of epoch {history.best_epoch}, is {accuracy:.1f}: the "
                f"largest class holds {100 * self._chance:.1f} % of the {self._num_images} "
                f"validation images (standard error {100 * error:.1f})"
            ),
        )
