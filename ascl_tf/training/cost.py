"""What training and evaluation will cost, said before they begin."""

import time

import tensorflow as tf

from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.methods.cost import count_step
from ascl_tf.methods.factory import make_finetune_method, make_pretrain_method
from ascl_tf.methods.finetune import FineTune

# Of images of 32 pixels; fewer of larger ones.
BATCH_SIZES = (32, 160)
PIXELS = 32 * 32


def seconds_of_training(method, dataset, num_images, num_validated=0):
    """Returns an estimate for `num_images` of `dataset` in steps, and so many validated ones."""
    make = make_finetune_method if isinstance(method, FineTune) else make_pretrain_method
    shape = {"num_classes": dataset.num_classes, "image_shape": dataset.image_shape}
    passes = num_images * count_step(method.config, make=make, **shape)
    passes += num_validated * count_passes([method.config.validation_protocol])
    return passes * seconds_per_pass(method, dataset.image_shape)


def count_passes(protocols):
    """Returns about how many forward passes of an image protocols take, at most."""
    return sum(1 + 2 * get_protocol(name).num_steps for name in protocols)


def seconds_per_pass(model, image_shape):
    """Returns an estimate for one image from timing few images and more (best of three).

    Eagerly, since a graph would take longer to trace than to time. What each operation takes
    beside its work, which a graph does not have, is in both times, and not in their difference.
    """
    sizes = _batch_sizes(image_shape)
    few, more = (
        min(_seconds(model, tf.zeros([size, *image_shape])) for _ in range(3)) for size in sizes
    )
    per_image = (more - few) / (sizes[1] - sizes[0])
    # Else on a machine that was disturbed.
    return per_image if per_image > 0 else more / sizes[1]


def _batch_sizes(image_shape):
    share = max(1, image_shape[0] * image_shape[1] // PIXELS)
    few = max(1, BATCH_SIZES[0] // share)
    return few, max(few + 1, BATCH_SIZES[1] // share)


def roughly(seconds):
    """Returns an estimated duration in words."""
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
