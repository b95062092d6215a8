"""What training shows: how far a stage is, and a line for each epoch."""

import sys
import time

import keras
from rich.console import Console

from ascl_tf.process import signals
from ascl_tf.process.bars import make_bars
from ascl_tf.training.cost import describe_duration

# Metric -> how a line calls it, and how it is written.
_SHOWN = {
    "loss": ("loss", "{:.4f}"),
    "standard_accuracy": ("SA", "{:.2f}"),
    "robust_accuracy": ("RA", "{:.2f}"),
}


class TrainingScreen(keras.callbacks.Callback):
    """Draws a bar on a terminal, with the time left; prints a line for each epoch anywhere.

    Stands behind `Validate`, whose accuracies it shows.

    Args:
        stage: name of the stage.
        checkpoints: `StageCheckpoints`, for the step and the history.
        epochs, steps_per_epoch: length of the stage.
    """

    def __init__(self, stage, checkpoints, epochs, steps_per_epoch):
        super().__init__()
        self._stage, self._checkpoints = stage, checkpoints
        self._epochs, self._num_steps = epochs, epochs * steps_per_epoch
        self._bars = None

    def on_train_begin(self, logs=None):
        self._began = None  # Behind the first step, which is traced.
        if sys.stdout.isatty():
            # What is printed meanwhile stands above the bar.
            self._bars = make_bars(Console())
            self._bars.start()
            words = f"{self._stage}: building the step"
            self._task = self._bars.add_task(words, total=self._num_steps)

    def on_train_batch_begin(self, batch, logs=None):
        self._step_began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        now, step = time.monotonic(), self._checkpoints.step
        if self._began is None:
            self._began = now, step
        else:
            signals.expect(now - self._step_began)
        if self._bars is not None:
            self._bars.update(self._task, completed=step, description=self._stage)

    def on_epoch_end(self, epoch, logs=None):
        history = self._checkpoints.history
        parts = [f"{self._stage} {epoch + 1}/{self._epochs}", describe_epoch(history)]
        left = self._seconds_left()
        print("; ".join([*parts, *left]), flush=True)

    def close(self):
        """Ends the bar, also where training has been left."""
        if self._bars is not None:
            self._bars.stop()

    def _seconds_left(self):
        """Returns what is said of the time left: nothing behind the last step."""
        began, first = self._began
        step = self._checkpoints.step
        if step in (first, self._num_steps):
            return []
        seconds = (time.monotonic() - began) / (step - first) * (self._num_steps - step)
        return [f"{describe_duration(seconds)} left"]


def describe_epoch(history):
    """Returns the newest row of a history in words.

    Example:
        >>> from types import SimpleNamespace
        >>> rows = [{"train/loss": 1.5, "train/standard_accuracy": 40.0,
        ...          "val/standard_accuracy": 38.0, "val/robust_accuracy": 20.0}]
        >>> describe_epoch(SimpleNamespace(epochs=rows, best_robust_accuracy=21.0, best_epoch=3))
        'loss 1.5000, SA 40.00; validation SA 38.00, RA 20.00 (best RA 21.00, epoch 3)'
    """
    row = history.epochs[-1]
    training, validation = (_numbers(row, prefix) for prefix in ("train/", "val/"))
    if not validation:
        return training
    best = f"best RA {history.best_robust_accuracy:.2f}, epoch {history.best_epoch}"
    return f"{training}; validation {validation} ({best})"


def _numbers(row, prefix):
    found = [
        f"{name} {form.format(row[prefix + metric])}"
        for metric, (name, form) in _SHOWN.items()
        if prefix + metric in row
    ]
    return ", ".join(found)
