"""Checkpoints of a cluster: the chief writes and reads, the others take part."""

import pathlib
import tempfile

from ascl_tf.training.checkpoints import LAST, StageCheckpoints


class ClusterCheckpoints(StageCheckpoints):
    """As `StageCheckpoints`, in the same files, for a method that several workers train.

    Every worker must call each method. What is on the disk is asked of the chief alone: the
    others may see a shared folder later than it is written.

    Args:
        folder: checkpoints/<stage> of the work directory.
        method: a built and compiled `Method`.
        workers: `Workers`.
    """

    def __init__(self, folder, method, workers):
        super().__init__(folder, method)
        self._workers = workers

    def has(self, name):
        return self._workers.from_chief(lambda: super(ClusterCheckpoints, self).has(name))

    def last_good_step(self, name=LAST):
        """Returns None on workers other than the chief. Asks nobody: an error may call it."""
        return super().last_good_step(name) if self._workers.is_chief else None

    def restore(self, name):
        if self._workers.is_chief:
            super().restore(name)
        self.take_state_of_chief()

    def take_state_of_chief(self):
        """Gives every worker the chief's variables and history."""
        method = self.method
        weights = [weight for part in method.parts.values() for weight in part.weights]
        metrics = [v for metric in method.scalars.values() for v in metric.variables]
        self._workers.take_variables_of_chief([*weights, *method.optimizer.variables, *metrics])
        self.history.set_json(self._workers.from_chief(self.history.to_json))

    def _write(self, prefix, num_kept):
        if self._workers.is_chief:
            super()._write(prefix, num_kept)
            return
        # The metrics' variables are summed over all workers while they are written.
        with tempfile.TemporaryDirectory() as folder:
            self._checkpoint.write(str(pathlib.Path(folder) / prefix.name))
