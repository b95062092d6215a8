"""What a run leaves for TensorBoard: losses and accuracies, settings, pictures, statistics.

Training and validation write the same tags into folders of their own, `train` and `validation`, so
that one card shows both. The pages are in the order of the tags: accuracy, loss, and so on, batch
norm last.
"""

import time

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_api

from ascl_tf.models import DualBatchNormalization

TRAIN, VALIDATION = "train", "validation"
NUM_PICTURES = 8
PICTURES_EVERY = 10  # epochs; also after the first and the last
SMALLEST_TILE = 96  # pixels; smaller images are enlarged
# Metric -> tag and description; of the others the name says what they are.
_TAGS = {
    "loss": ("loss/total", "The whole objective, a mean over images."),
    "standard_accuracy": ("accuracy/standard", "SA: percent of clean images that are right."),
    "robust_accuracy": (
        "accuracy/robust",
        "RA: percent of attacked images that are right; in training under the training attack.",
    ),
    "predicted_classes": (
        "checks/predicted_classes",
        "How many different classes the held-out images are given; 1: a constant answer.",
    ),
    "gradient_norm": ("optimization/gradient_norm", "Length of the gradient of all weights."),
    "update_norm": ("optimization/update_norm", "Length of the step that the weights took."),
    "learning_rate": ("optimization/learning_rate", "Learning rate of the next step."),
    "images_per_second": (
        "optimization/images_per_second",
        "Training images per second, validation and saving left out.",
    ),
    "projection_std": (
        "checks/projection_std",
        "Spread of the projections over a batch; near 0 they have collapsed.",
    ),
}


def write_scalar(metric, value):
    """Writes a metric's value under its tag, with a description, into the current writer."""
    tag, description = _tag_of(metric)
    tf.summary.scalar(tag, value, description=description)


def write_settings(config, step):
    """Writes the settings of a run as text, and into the page of hyperparameters."""
    changed = config.changes()
    rows = "\n".join(f"| {name} | {value} |" for name, value in changed.items())
    description = "Settings that are not at their default; all are in config.json."
    tf.summary.text(
        "settings", f"| setting | value |\n|---|---|\n{rows}", step=step, description=description
    )
    plain = {k: v if isinstance(v, bool | int | str) else float(v) for k, v in changed.items()}
    hparams_api.hparams({"method": config.method, **plain})


def _tag_of(metric):
    if metric in _TAGS:
        return _TAGS[metric]
    words = metric.replace("_", " ")
    if metric.endswith("_loss"):
        return f"loss/{metric}", f"The term {words} of the objective, before its weight."
    return f"optimization/{metric}", f"Mean of {words} over the steps since the last point."


def metric_values(method):
    """Returns the metrics' variables as arrays, summed over replicas."""
    return {name: [v.numpy() for v in m.variables] for name, m in method.scalars.items()}


class TensorBoardScalars(keras.callbacks.Callback):
    """Writes each scalar's mean over the steps since it was last written.

    Args:
        writer: TensorBoard's, of training.
        log_every: steps between two points.
        global_batch_size: images of a step.
    """

    def __init__(self, writer, log_every, global_batch_size):
        super().__init__()
        self.writer, self.log_every = writer, log_every
        self._global_batch_size = global_batch_size
        # The first step of a process is traced, and left out.
        self._num_steps, self._seconds, self._has_traced = 0, 0.0, False

    def on_epoch_begin(self, epoch, logs=None):
        self.restart()

    def restart(self):
        """Leaves out what the metrics have counted so far."""
        self._previous = metric_values(self.model)

    def on_train_batch_begin(self, batch, logs=None):
        self._began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        if self._has_traced:
            self._num_steps += 1
            self._seconds += time.monotonic() - self._began
        self._has_traced = True
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
                    write_scalar(name, (total - old_total) / (count - old_count))
            write_scalar("learning_rate", self.model.optimizer.learning_rate)
            if self._num_steps:
                rate = self._num_steps * self._global_batch_size / self._seconds
                write_scalar("images_per_second", rate)
        self._previous, self._num_steps, self._seconds = now, 0, 0.0
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
                    _write_picture(f"views/{name}", images)
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
            _write_picture(f"perturbations/{name}", shown)


def enlarged_grid(images):
    """Returns `image_grid` of images that are enlarged by a whole number until they can be seen."""
    factor = -(-SMALLEST_TILE // images.shape[1])
    return image_grid(tf.repeat(tf.repeat(images, factor, axis=1), factor, axis=2))


def image_grid(images, columns=NUM_PICTURES):
    """Returns images [N, H, W, C] side by side as one picture [1, rows * H, columns * W, C]."""
    num_images, height, width, channels = images.shape
    columns = min(columns, num_images)
    rows = num_images // columns
    tiles = tf.reshape(images[: rows * columns], [rows, columns, height, width, channels])
    picture = tf.transpose(tiles, [0, 2, 1, 3, 4])
    return tf.reshape(picture, [1, rows * height, columns * width, channels])


def _write_picture(tag, images):
    description = {
        "views": "What the network is given: views of the first images, and their attacked forms.",
        "perturbations": "What the attack has added: gray is nothing, black and white the radius.",
    }[tag.partition("/")[0]]
    tf.summary.image(tag, enlarged_grid(images), max_outputs=1, description=description)


def _write_batch_norm(encoder):
    """Writes per branch how large the moving statistics are, averaged over the layers."""
    layers = [m for m in encoder._flatten_layers() if isinstance(m, DualBatchNormalization)]
    for branch in layers[0].branches if layers else ():
        parts = [layer.branches[branch] for layer in layers]
        mean = np.mean([np.abs(part.moving_mean.numpy()).mean() for part in parts])
        variance = np.mean([part.moving_variance.numpy().mean() for part in parts])
        of = f"of the batch norms' branch {branch}, averaged over the layers."
        for name, value in (("mean_abs_moving_mean", mean), ("mean_moving_variance", variance)):
            tag, words = f"statistics/{branch}/{name}", name.replace("_", " ")
            tf.summary.scalar(tag, value, description=f"The {words} {of}")
