"""How long a stage has trained: the time of its steps, without what is done between them."""

import contextlib
import time

import keras

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
