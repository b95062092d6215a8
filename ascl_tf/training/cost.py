"""What an epoch will cost, said before it begins."""

import time

import tensorflow as tf

from ascl_tf.config.sections import OptimizationSettings
from ascl_tf.methods.cost import count_step
from ascl_tf.training.strategy import has_gpu

# Of images of 32 pixels; fewer of larger ones.
BATCH_SIZES = (32, 160)
PIXELS = 32 * 32
QUICKSTART = "quickstart"
LONG_RUN_SECONDS = 1800


def announce(method, image_shape, optimization: OptimizationSettings, steps_per_epoch):
    """Says how long an epoch will take where that may surprise: without a GPU."""
    if has_gpu():
        return
    num_images, epochs = steps_per_epoch * optimization.global_batch_size, optimization.epochs
    seconds = seconds_per_epoch(method, image_shape, num_images)
    print(
        f"notice: no GPU; one epoch of {num_images} images takes "
        f"{_roughly(seconds)}, and {epochs} were asked for; before that the first step's "
        "graph is made, which takes from ten seconds to minutes",
        flush=True,
    )
    if seconds * epochs > LONG_RUN_SECONDS:
        print(f"notice: for a first run in minutes: --recipe={QUICKSTART}", flush=True)


def seconds_per_epoch(method, image_shape, num_images):
    """Returns an estimate from timing the classifier on few images and on more (best of three).

    Eagerly, since a graph would take longer to trace than to time. What each operation takes
    beside its work, which a graph does not have, is in both times, and not in their difference.
    """
    sizes = _batch_sizes(image_shape)
    few, more = (
        min(_seconds(method, tf.zeros([size, *image_shape])) for _ in range(3)) for size in sizes
    )
    per_image = (more - few) / (sizes[1] - sizes[0])
    if per_image <= 0:  # On a machine that was disturbed.
        per_image = more / sizes[1]
    units = count_step(method.config, num_classes=method.num_classes, image_shape=image_shape)
    return per_image * units * num_images


def _batch_sizes(image_shape):
    share = max(1, image_shape[0] * image_shape[1] // PIXELS)
    few = max(1, BATCH_SIZES[0] // share)
    return few, max(few + 1, BATCH_SIZES[1] // share)


def _roughly(seconds):
    return describe_duration(seconds) if seconds < 1 else f"about {describe_duration(seconds)}"


def describe_duration(seconds):
    """Returns a duration as a reader wants it: less than 1 s, 40 s, 12 min, 6.1 h."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _seconds(function, images):
    began = time.perf_counter()
    function(images)
    return time.perf_counter() - began
