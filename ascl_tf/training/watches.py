"""Which warnings a method's training may need."""

from ascl_tf.training.collapse import CollapseWatch, can_collapse
from ascl_tf.training.loss_watch import MIN_STEPS, LossWatch
from ascl_tf.training.overfitting import OverfittingWatch, is_trained_in_one_step
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
