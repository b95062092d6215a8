"""What happens between the steps of `fit`: guards, clock, validation, saving."""

import contextlib
import time

import keras

from ascl_tf.process import signals
from ascl_tf.training.checkpoints import BEST, LAST
from ascl_tf.training.not_finite import StopOnNonFinite
from ascl_tf.training.tensorboard import write_scalar

__all__ = [
    "ContinueEpoch",
    "SaveLast",
    "StopOnNonFinite",
    "TrainingClock",
    "Validate",
    "total_seconds",
]


class ContinueEpoch(keras.callbacks.Callback):
    """Puts the metrics of an interrupted epoch back, after Keras has reset them."""

    def __init__(self, saved_values):
        super().__init__()
        self._saved = saved_values

    def on_epoch_begin(self, epoch, logs=None):
        for name, values in (self._saved or {}).items():
            for variable, value in zip(self.model.scalars[name].variables, values, strict=True):
                variable.assign(value)
        self._saved = None


STEPS, FIRST, BETWEEN = "steps", "first", "between"


class TrainingClock(keras.callbacks.Callback):
    """Counts wall and CPU seconds of training alone, epoch by epoch.

    Validation, logs, pictures and checkpoints do not count. The first step of a process, which
    is traced, counts as much as the mean of the epoch's others, so that it makes no difference
    how often a run was interrupted. What belongs to a recipe, such as the looks of a guard, is
    counted by `counting`.

    Stands behind what waits for a step's results, since on a GPU a step returns before it is
    done, and before what saves. The counts are part of the checkpoints' history.

    Args:
        history: `History`; `epoch_seconds` gets one entry for each finished epoch.
    """

    def __init__(self, history):
        super().__init__()
        self.history = history
        self._began, self._has_traced = None, False

    def on_train_batch_begin(self, batch, logs=None):
        self._began = _now()

    def on_train_batch_end(self, batch, logs=None):
        self._add(STEPS if self._has_traced else FIRST, self._began)
        self._has_traced = True

    def on_epoch_end(self, epoch, logs=None):
        wall, cpu = total_seconds(self.history.clock_seconds)
        self.history.epoch_seconds.append({"epoch": epoch + 1, "wall": wall, "cpu": cpu})
        self.history.clock_seconds = {}

    @contextlib.contextmanager
    def counting(self):
        """Counts what is done inside as training."""
        began = _now()
        yield
        self._add(BETWEEN, began)

    def _add(self, kind, began):
        counts = self.history.clock_seconds.get(kind, [0, 0.0, 0.0])
        added = (1, *(now - then for now, then in zip(_now(), began, strict=True)))
        self.history.clock_seconds[kind] = [a + b for a, b in zip(counts, added, strict=True)]


def total_seconds(counts):
    """Returns (wall, CPU) seconds of an epoch's counts: kind -> [number, wall, CPU seconds]."""
    num_steps, *steps = counts.get(STEPS, [0, 0.0, 0.0])
    num_first, *first = counts.get(FIRST, [0, 0.0, 0.0])
    _, *between = counts.get(BETWEEN, [0, 0.0, 0.0])
    if num_steps:
        first = [seconds / num_steps * num_first for seconds in steps]
    return tuple(sum(parts) for parts in zip(steps, first, between, strict=True))


def _now():
    return time.monotonic(), time.process_time()


class Validate(keras.callbacks.Callback):
    """Measures validation accuracies after an epoch, and keeps the best checkpoint.

    Args:
        measure: callable () -> dict of `standard_accuracy` and `robust_accuracy`.
    """

    def __init__(self, measure, checkpoints, writer, every, num_epochs):
        super().__init__()
        self.measure, self.checkpoints = measure, checkpoints
        self.writer, self.every, self.num_epochs = writer, every, num_epochs

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, "step": self.checkpoints.step}
        row |= {f"train/{k}": float(v) for k, v in self.model.get_metrics_result().items()}
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.num_epochs:
            row |= {f"val/{k}": v for k, v in self.measure().items()}
        history = self.checkpoints.history
        history.epochs.append(row)
        robust_accuracy = row.get("val/robust_accuracy", -1.0)
        if robust_accuracy > history.best_robust_accuracy:
            history.best_robust_accuracy, history.best_epoch = robust_accuracy, epoch + 1
            self.checkpoints.save(BEST)
        with self.writer.as_default(self.checkpoints.step):
            for name in [name for name in row if name.startswith("val/")]:
                write_scalar(name.removeprefix("val/"), row[name])


class SaveLast(keras.callbacks.Callback):
    """Writes the last checkpoint after every few steps, after each epoch, and on a signal.

    Stands behind `Validate` in the list of callbacks, so that the history that it saves
    is whole.

    Args:
        stop: what knows of signals: the module `signals`, or a `SharedStop`.
    """

    def __init__(self, checkpoints, every, stop=signals):
        super().__init__()
        self.checkpoints, self.every, self.stop = checkpoints, every, stop

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.params["steps"]:
            return  # on_epoch_end saves, and stops, when the epoch has been validated.
        if self.checkpoints.step % self.every == 0 or self.stop.is_requested():
            self.checkpoints.save(LAST)
        self.stop.stop_if_requested()

    def on_epoch_end(self, epoch, logs=None):
        self.checkpoints.save(LAST)
        self.stop.stop_if_requested()
