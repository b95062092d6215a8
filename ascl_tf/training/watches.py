"""Which warnings a method's training may need."""

from ascl_tf.training.collapse import CollapseWatch, can_collapse
from ascl_tf.training.overfitting import OverfittingWatch, is_trained_in_one_step


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
