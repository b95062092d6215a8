"""What training shows: how far a stage is, and a line for each epoch."""

import contextlib
import sys
import time

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ascl_tf.process import signals
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
        self._bar = contextlib.nullcontext()

    def on_train_begin(self, logs=None):
        self._began = None  # Behind the first step, which is traced.
        if sys.stdout.isatty():
            self._bar = _StageBar(self._stage, self._num_steps)
            self._bar.__enter__()

    def on_train_batch_begin(self, batch, logs=None):
        self._step_began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        now, step = time.monotonic(), self._checkpoints.step
        if self._began is None:
            self._began = now, step
        else:
            signals.expect(now - self._step_began)
        if isinstance(self._bar, _StageBar):
            self._bar.show(step)

    def on_epoch_end(self, epoch, logs=None):
        history = self._checkpoints.history
        parts = [f"{self._stage} {epoch + 1}/{self._epochs}", describe_epoch(history)]
        left = self._seconds_left()
        print("; ".join([*parts, *left]), flush=True)

    def on_train_end(self, logs=None):
        self._bar.__exit__(None, None, None)

    def close(self):
        """Ends the bar, also where training has been left."""
        self._bar.__exit__(None, None, None)

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


class _StageBar:
    """A bar over the steps of a stage; what is printed meanwhile stands above it."""

    def __init__(self, stage, num_steps):
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console())
        self._task = self._progress.add_task(f"{stage}: building the step", total=num_steps)
        self._stage = stage

    def __enter__(self):
        self._progress.start()

    def __exit__(self, *error):
        self._progress.stop()

    def show(self, step):
        """Moves the bar to a step."""
        self._progress.update(self._task, completed=step, description=self._stage)
