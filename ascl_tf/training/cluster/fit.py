"""The training of one stage on the workers of a cluster.

Keras' `fit` does not run under a `MultiWorkerMirroredStrategy`: it fails while it builds the
model from values of single replicas, and again while it averages the logs. The loop here
drives the same `train_step` with the same callbacks. Each worker runs all of it; only the
chief writes and prints.
"""

import pathlib
import signal
import tempfile

import keras
import tensorflow as tf

from ascl_tf.config import identity_of
from ascl_tf.process import signals
from ascl_tf.training import tensorboard
from ascl_tf.training.checkpoints import LAST, StageCheckpoints
from ascl_tf.training.fitting import StageFit


class ClusterFit(StageFit):
    """As `StageFit`, for a method that was made in the scope of a cluster's strategy.

    Args:
        workers: `Workers`; all others as for `StageFit`.
    """

    def __init__(self, *, workers, **settings):
        super().__init__(**settings)
        self._workers, self._stop = workers, SharedStop()
        measure = self.measure
        # Validated once: a best epoch that is another one elsewhere would be a deadlock.
        self.measure = lambda: workers.from_chief(measure)

    def _make_checkpoints(self):
        settings = identity_of(self.method.config, self.stage.partition("_")[0])
        found = {f"`{name}`": value for name, value in settings.items()}
        self._workers.check_same({**found, "training images": self.dataset.sha256})
        folder = self.workdir.checkpoints(self.stage)
        checkpoints = ClusterCheckpoints(folder, self.method, self._workers)
        checkpoints.take_state_of_chief()
        return checkpoints

    def _make_writer(self, part):
        if self._workers.is_chief:
            return super()._make_writer(part)
        return tf.summary.create_noop_writer()

    def _drive(self, batches, **settings):
        drive(self.method, batches, stop=self._stop, **settings)

    def _agree(self, function):
        return self._workers.from_chief(function)

    def _callbacks(self, checkpoints, writers, screen, *, is_partial):
        found = super()._callbacks(checkpoints, writers, screen, is_partial=is_partial)
        if self._workers.is_chief:
            return found
        return [c for c in found if not isinstance(c, tensorboard.TensorBoardPictures)]


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
        # The state of random numbers included.
        weights = [variable for part in method.parts.values() for variable in part.variables]
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


class SharedStop:
    """A signal to any worker, known to all of them after the same step."""

    def __init__(self):
        self._is_requested = False

    def is_requested(self):
        """Whether some worker was asked to stop."""
        return self._is_requested

    def request(self):
        """Notes that some worker was asked to stop."""
        self._is_requested = True

    def stop_if_requested(self):
        """Raises `Stopped` if some worker was asked to stop."""
        if self._is_requested:
            signals.stop_if_requested()
            raise signals.Stopped(signal.SIGTERM)


def drive(
    method,
    batches,
    *,
    initial_epoch,
    epochs,
    steps_per_epoch,
    callbacks,
    stop,
):
    """Trains as `method.fit` does, on all replicas of the strategy that it was made for.

    Args:
        method: built and compiled `Method`.
        batches: endless `tf.data.Dataset` of global batches, the same on every worker.
        initial_epoch, epochs: the first epoch, and the one before which to end.
        steps_per_epoch: steps of each of them.
        callbacks: list of Keras callbacks.
        stop: `SharedStop`.
    """
    strategy = method.distribute_strategy
    following = iter(strategy.distribute_datasets_from_function(part_of_worker(batches)))
    step = make_step(strategy, method)
    listening = keras.callbacks.CallbackList(
        callbacks,
        epochs=epochs,
        steps=steps_per_epoch,
        model=method,
    )
    listening.on_train_begin()
    for epoch in range(initial_epoch, epochs):
        method.reset_metrics()
        listening.on_epoch_begin(epoch)
        for number in range(steps_per_epoch):
            listening.on_train_batch_begin(number)
            logs, is_stop_requested = step(next(following), signals.is_requested())
            if is_stop_requested:
                stop.request()
            listening.on_train_batch_end(number, logs)
        listening.on_epoch_end(epoch, method.get_metrics_result())
    listening.on_train_end()


def make_step(strategy, method):
    """Returns a function of a distributed batch and of whether this worker was asked to stop.

    It makes one step, and returns the mean of the replicas' logs, and whether any was asked.
    """

    def of_replica(batch, is_stop_requested):
        logs = method.train_step(batch)
        values = [tf.cast(value, tf.float64) for value in logs.values()]
        # One vector is one exchange.
        return tf.stack([tf.cast(is_stop_requested, tf.float64), *values])

    @tf.function(autograph=False)
    def of_all(batch, is_stop_requested):
        values = strategy.run(of_replica, args=(batch, is_stop_requested))
        return strategy.reduce("MEAN", values, axis=None)

    def step(batch, is_stop_requested):
        stop, *values = of_all(batch, tf.constant(is_stop_requested)).numpy()
        names = [metric.name for metric in method.metrics]
        return dict(zip(names, values, strict=True)), stop > 0

    return step


def part_of_worker(batches):
    """Returns a function of an `InputContext`: the data set of a worker's own batches.

    Replica r of R gets rows r * B / R to (r + 1) * B / R - 1 of each global batch, and a
    worker's replicas follow each other.
    """

    def make(context):
        num_replicas = context.num_replicas_in_sync
        num_local = num_replicas // context.num_input_pipelines
        first = context.input_pipeline_id * num_local

        def own_parts(column):
            size = column.shape[0] // num_replicas
            parts = tf.reshape(column, [num_replicas, size, *column.shape[1:]])
            return parts[first : first + num_local]

        return batches.map(lambda batch: tf.nest.map_structure(own_parts, batch)).unbatch()

    return make
