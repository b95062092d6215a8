"""Which warnings a method's training may need, and that of collapsed projections."""

import math

from ascl_tf.training.loss_watch import MIN_STEPS, LossWatch
from ascl_tf.training.overfitting import OverfittingWatch, is_trained_in_one_step
from ascl_tf.training.run_warnings import Watch
from ascl_tf.training.validation_watches import ChanceWatch, OneAnswerWatch


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
        unit = 1 / math.sqrt(self.model.projection_head.projection_dim)
        self.judge(
            spread,
            is_bad=spread < SMALLEST_SPREAD * unit,
            is_good=spread >= RECOVERED_SPREAD * unit,
            text=(
                f"is {spread:.2g}, under a tenth of {unit:.2g}, which spread-out projections of "
                f"{self.model.projection_head.projection_dim} dimensions have: all images get "
                "nearly the same one. A lower learning rate or another temperature may help"
            ),
        )

    def _counts(self):
        variables = self.model.scalars["projection_std"].variables
        return [float(variable.numpy()) for variable in variables]


def can_collapse(method):
    """Returns whether a method reports the spread of projections."""
    return "projection_std" in method.scalars
