"""Warnings of a run that goes wrong without a NaN: on screen, in TensorBoard, in the record.

A warning is given once for each occurrence: it stays open until the metric has recovered. Open
and past ones are part of the checkpoints' history, so that a run that goes on warns no second
time.
"""

import keras
import tensorflow as tf


class Watch(keras.callbacks.Callback):
    """Looks at a metric after every `every` steps and after each epoch.

    Stands before what saves. A subclass names the warning, the metric and how often it looks, and
    calls `judge`.

    Args:
        checkpoints: `StageCheckpoints`.
        writer: TensorBoard's.
    """

    warning = metric = ""
    every = 50

    def __init__(self, checkpoints, writer):
        super().__init__()
        self.checkpoints, self.writer = checkpoints, writer

    def is_due(self, batch, step):
        """Returns whether to look at the metric after this batch, the run's step `step`."""
        return step % self.every == 0 or batch + 1 == self.params["steps"]

    def judge(self, value, *, is_bad, is_good, text):
        """Opens or closes an occurrence; returns whether one was opened.

        Args:
            value: the metric's, a Python float.
            is_bad, is_good: whether an occurrence begins, or ends. Between the two it goes on.
            text: the warning, which says in plain words what the metric is.
        """
        step, open_one = self.checkpoints.step, find_open(self.checkpoints.history, self.warning)
        if open_one is not None and is_good:
            open_one["until"] = step
        if open_one is not None or not is_bad:
            return False
        found = {"warning": self.warning, "metric": self.metric, "value": value}
        self.checkpoints.history.warnings.append({**found, "step": step, "until": None})
        with self.writer.as_default(step):
            tf.summary.text(f"warnings/{self.warning}", text, description="What went wrong.")
        self.writer.flush()
        print(f"warning: step {step}: {self.warning.replace('_', ' ')}: {text}", flush=True)
        return True


def find_open(history, warning):
    """Returns the entry of an occurrence that has not ended, or None."""
    named = [entry for entry in history.warnings if entry["warning"] == warning]
    return next((entry for entry in named if entry["until"] is None), None)
