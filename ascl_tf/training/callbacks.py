"""What happens between the steps of `fit`: guards, clock, scalars, pictures, validation, saving."""

import contextlib
import time

import keras
import numpy as np
import tensorflow as tf

from ascl_tf.models import DualBatchNormalization
from ascl_tf.process import signals
from ascl_tf.training.checkpoints import BEST, LAST
from ascl_tf.training.not_finite import StopOnNonFinite

__all__ = [
    "ContinueEpoch",
    "SaveLast",
    "StopOnNonFinite",
    "TensorBoardPictures",
    "TensorBoardScalars",
    "TrainingClock",
    "Validate",
    "image_grid",
    "metric_values",
    "total_seconds",
]

NUM_PICTURES = 8
PICTURES_EVERY = 10  # epochs; also after the first and the last


def metric_values(method):
    """Returns the metrics' variables as arrays, summed over replicas."""
    return {name: [v.numpy() for v in m.variables] for name, m in method.scalars.items()}


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


class TensorBoardScalars(keras.callbacks.Callback):
    """Writes each scalar's mean over the steps since it was last written."""

    def __init__(self, writer, log_every):
        super().__init__()
        self.writer, self.log_every = writer, log_every

    def on_epoch_begin(self, epoch, logs=None):
        self.restart()

    def restart(self):
        """Leaves out what the metrics have counted so far."""
        self._previous = metric_values(self.model)

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        if step % self.log_every == 0:
            self._write(step)

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        self._write(step)
        with self.writer.as_default(step):
            _write_batch_norm(self.model.encoder)

    def _write(self, step):
        now = metric_values(self.model)
        with self.writer.as_default(step):
            for name, (total, count) in now.items():
                old_total, old_count = self._previous[name]
                if count > old_count:
                    tf.summary.scalar(f"train/{name}", (total - old_total) / (count - old_count))
            tf.summary.scalar("train/learning_rate", self.model.optimizer.learning_rate)
        self._previous = now
        self.writer.flush()


class TensorBoardPictures(keras.callbacks.Callback):
    """Draws views, adversarial images and magnified perturbations of a few images."""

    def __init__(self, writer, dataset, num_epochs):
        super().__init__()
        self.writer, self.num_epochs = writer, num_epochs
        self._data = {
            name: tf.constant(np.asarray(column[:NUM_PICTURES]))
            for name, column in dataset.columns.items()
        }

    def on_epoch_end(self, epoch, logs=None):
        is_due = (epoch + 1) % PICTURES_EVERY == 0
        if not is_due and epoch + 1 not in (1, self.num_epochs):
            return
        views = self.model.make_views(self.model.make_batch(self._data))
        adversarial = self.model.make_adversarial(views)
        with self.writer.as_default(int(self.model.optimizer.iterations.numpy())):
            for name, images in {**views, **adversarial}.items():
                if getattr(images.shape, "rank", 0) == 4:
                    tf.summary.image(f"views/{name}", image_grid(images), max_outputs=1)
            self._write_perturbations(views, adversarial)
        self.writer.flush()

    def _write_perturbations(self, views, adversarial):
        attack = self.model.config.attack
        for name, images in adversarial.items():
            natural = views.get("stacked_views" if name.startswith("views") else "images")
            # A method of one's own may perturb what has no such name.
            if natural is None or natural.shape[0] < images.shape[0]:
                continue
            perturbation = images - natural[: images.shape[0]]
            white = float(attack.epsilon)
            if attack.norm == "l2":  # A single pixel gets nowhere near the radius.
                white = tf.reduce_max(tf.abs(perturbation))
            # -white is black, 0 gray.
            shown = (tf.math.divide_no_nan(perturbation, white) + 1) / 2
            tf.summary.image(f"perturbations/{name}", image_grid(shown), max_outputs=1)


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
                tf.summary.scalar(name, row[name])


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


def image_grid(images, columns=NUM_PICTURES):
    """Returns images [N, H, W, C] side by side as one picture [1, rows * H, columns * W, C]."""
    num_images, height, width, channels = images.shape
    columns = min(columns, num_images)
    rows = num_images // columns
    tiles = tf.reshape(images[: rows * columns], [rows, columns, height, width, channels])
    picture = tf.transpose(tiles, [0, 2, 1, 3, 4])
    return tf.reshape(picture, [1, rows * height, columns * width, channels])


def _write_batch_norm(encoder):
    """Writes per branch how large the moving statistics are, averaged over the layers."""
    layers = [m for m in encoder._flatten_layers() if isinstance(m, DualBatchNormalization)]
    for branch in layers[0].branches if layers else ():
        parts = [layer.branches[branch] for layer in layers]
        mean = np.mean([np.abs(part.moving_mean.numpy()).mean() for part in parts])
        variance = np.mean([part.moving_variance.numpy().mean() for part in parts])
        tf.summary.scalar(f"batch_norm/{branch}/mean_abs_moving_mean", mean)
        tf.summary.scalar(f"batch_norm/{branch}/mean_moving_variance", variance)
